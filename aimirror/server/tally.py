"""What is counted of answers, downloads and upstreams, and samples of it over time.

Counting is on the way of each answer, so a count is an addition to a plain number; what reads the
numbers (a metrics page, a graph) does the work.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from attrs import Factory, define, frozen

#: Upper ends in seconds of the classes in which times are counted; the last class has none.
FIRST_BYTE = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DURATION = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
#: Distinct label sets of one metric; what comes later is counted together as OTHER.
MOST_ROWS = 2000
OTHER = "other"
#: X-Cache words, of which some tell that no byte came from the upstream for the answer.
OUTCOMES = frozenset({"HIT", "STALE", "REVALIDATED", "JOIN", "MISS", "PASS", "TIER", "PEER"})
FROM_CACHE = frozenset({"HIT", "STALE", "REVALIDATED"})
#: Those whose bytes no upstream sent for this answer, though it had to be waited for: they came of
#: a download that somebody else had begun, or from another node.
SPARED = FROM_CACHE | {"JOIN", "TIER", "PEER"}

N = TypeVar("N", bound=Hashable)
R = TypeVar("R")


@define
class Histogram:
    """How many values fell into which class."""

    bounds: tuple[float, ...]
    counts: list[int] = Factory(lambda self: [0] * (len(self.bounds) + 1), takes_self=True)
    sum: float = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@define
class AnswerCount:
    """Answers of one rule, X-Cache word and status."""

    count: int = 0
    #: Bytes of bodies sent.
    bytes: int = 0


@define
class UpstreamCount:
    """Requests to one host, those of the workers left out."""

    answered: int = 0
    failed: int = 0
    #: Seconds to the header.
    header: Histogram = Factory(lambda: Histogram(FIRST_BYTE))
    #: Its last trouble: what it was, and when (epoch seconds); and when it last answered well.
    why: str = ""
    ill_at: float = 0.0
    well_at: float = 0.0

    @property
    def ill(self) -> bool:
        """Whether the last that was heard of it is trouble."""
        return self.ill_at > self.well_at

    def trouble(self, why: str, now: float) -> None:
        """It failed, for its workers or for the service."""
        self.why, self.ill_at = why, now


@define
class Rows(Generic[N, R]):
    """Rows by name, at most MOST_ROWS of them; ``other`` names the one for all that come later."""

    other: N
    make: type[R]
    known: dict[N, R] = Factory(dict)

    def at(self, name: N) -> R:
        """The row of a name."""
        row = self.known.get(name)
        if row is None:
            if len(self.known) >= MOST_ROWS:
                name = self.other
            row = self.known.setdefault(name, self.make())
        return row


@define
class Tally:
    """All counts of one service since it was started."""

    answers: Rows[tuple[str, str, int], AnswerCount] = Factory(
        lambda: Rows((OTHER, OTHER, 0), AnswerCount)
    )
    #: Seconds from a request's head to the answer's, by whether the cache had it.
    first_byte: dict[bool, Histogram] = Factory(
        lambda: {True: Histogram(FIRST_BYTE), False: Histogram(FIRST_BYTE)}
    )
    upstreams: Rows[str, UpstreamCount] = Factory(lambda: Rows(OTHER, UpstreamCount))
    #: Downloads that have ended, by rule and reason, and their seconds.
    ended: Rows[tuple[str, str], AnswerCount] = Factory(lambda: Rows((OTHER, OTHER), AnswerCount))
    durations: Histogram = Factory(lambda: Histogram(DURATION))
    #: Files that were whole and did not hash to what they should.
    mismatches: int = 0
    #: Requests refused by an access rule, by its name.
    refused: dict[str, int] = Factory(dict)

    def answered(self, rule: str, outcome: str, status: int, sent: int, first: float) -> None:
        """An answer ended after ``sent`` bytes of body; ``first`` is in seconds, to its head."""
        row = self.answers.known.get((rule, outcome, status))
        if row is None:
            word = outcome if outcome in OUTCOMES else ""
            row = self.answers.at((rule, word, status))
        row.count += 1
        row.bytes += sent
        if first:
            self.first_byte[outcome in FROM_CACHE].add(first)
        else:  # a repeat, whose answer was at hand
            self.first_byte[outcome in FROM_CACHE].counts[0] += 1

    def downloaded(self, rule: str, reason: str, written: int, seconds: float, bad: bool) -> None:
        """A download ended; ``bad`` when its bytes were proved wrong."""
        row = self.ended.at((rule, reason))
        row.count += 1
        row.bytes += written
        self.durations.add(seconds)
        self.mismatches += bad

    def refuse(self, why: str) -> None:
        """A request was refused by an access rule."""
        self.refused[why] = self.refused.get(why, 0) + 1

    def totals(self, fetching: int) -> Totals:
        """The sums of now; ``fetching`` are the bytes written of downloads still running."""
        hits = misses = served = saved = errors = 0
        for (rule, outcome, status), row in self.answers.known.items():
            errors += row.count if status >= 500 else 0
            served += row.bytes if rule else 0
            saved += row.bytes if outcome in SPARED else 0
            if outcome in FROM_CACHE:
                hits += row.count
            elif outcome:
                misses += row.count
        fetched = sum(row.bytes for row in self.ended.known.values())
        return Totals(hits, misses, served, saved, fetched + fetching, errors)


@frozen
class Totals:
    """Sums since the start; bytes are of bodies."""

    hits: int = 0
    misses: int = 0
    #: Bytes that clients got by some rule: the mirror's own pages are none of its traffic.
    served: int = 0
    #: Bytes that clients got without an upstream sending them.
    saved: int = 0
    #: Bytes that were written into the cache.
    fetched: int = 0
    #: Answers of status 500 and above.
    errors: int = 0

    def since(self, before: Totals) -> Totals:
        """What was added."""
        return Totals(
            self.hits - before.hits,
            self.misses - before.misses,
            self.served - before.served,
            self.saved - before.saved,
            max(0, self.fetched - before.fetched),
            self.errors - before.errors,
        )


@define
class Series:
    """The growth of totals in each of the last ``length`` steps of ``step`` seconds."""

    step: float
    length: int
    _last: Totals = Totals()
    _steps: deque[tuple[float, Totals]] = Factory(
        lambda self: deque(maxlen=self.length), takes_self=True
    )

    def sample(self, now: float, totals: Totals) -> None:
        """A step is over."""
        self._steps.append((now, totals.since(self._last)))
        self._last = totals

    def steps(self) -> tuple[tuple[float, Totals], ...]:
        """The end of each step in epoch seconds, and what was added in it."""
        return tuple(self._steps)

    def resume(self, steps: Iterable[tuple[float, Totals]]) -> None:
        """Begin with what was sampled before; steps of the future are left out by the caller."""
        self._steps.extend(steps)
