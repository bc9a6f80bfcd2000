"""One connection's work on one piece: where it is, how fast it was, whether it has stalled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median

from attrs import Factory, define

#: Seconds over which a connection's rate is measured.
RATE_WINDOW = 1.5
#: Seconds of flight before a connection's own rate can be told, and after which it is trusted where
#: it is not far from the usual one: bytes that were gathered first make it look slower.
MEASURED_AFTER = 0.25
TRUSTED_AFTER = 0.6
#: Seconds after its due end from which a flight is late: reports come so much later.
LATE = 0.1
#: Seconds of flight before a connection may be judged against its siblings.
JUDGED_AFTER = 1.0
#: A connection below this share of its siblings' median is dropped.
SLOW_SHARE = 0.25
#: One that has begun to bring bytes, and has brought less than this share of theirs in so many
#: seconds and round trips, need not be watched for longer.
GLARING_AFTER = 0.4
GLARING_ROUND_TRIPS = 5
GLARING_SHARE = 0.06
#: Seconds without a byte, while siblings move, before a connection counts as stalled.
STALLED_AFTER = 1.0
#: Bytes that a usual connection must have brought meanwhile before a judgement means anything:
#: on a thin line, single packets come in bursts.
EVIDENCE = 64 << 10
#: Seconds, at most, for which bytes have come and nobody was told: they are gathered first.
UNHEARD = 0.3


@define
class Flight:
    """Bytes ``[start, stop)`` asked for at ``sent_at`` (seconds); ``position`` is the next byte."""

    id: int
    source: int
    start: int
    stop: int
    sent_at: float
    position: int = 0
    first_at: float | None = None
    last_at: float = 0.0
    _marks: deque[tuple[float, int]] = Factory(deque)

    def __attrs_post_init__(self) -> None:
        self.position = self.start
        self.last_at = self.sent_at

    def moved(self, position: int, now: float) -> None:
        """Bytes up to ``position`` are written."""
        if self.first_at is None:
            self.first_at = now
        self.position = max(self.position, position)
        self.last_at = now
        self._marks.append((now, self.position))
        while len(self._marks) > 2 and self._marks[1][0] <= now - RATE_WINDOW:
            self._marks.popleft()

    def measured(self, now: float, latency: float) -> float | None:
        """Bytes per second seen lately, None while it is too early to say."""
        begun = self.sent_at + latency
        if now - begun < MEASURED_AFTER:
            return None
        if self.first_at is None:
            return 0.0
        since, place = self.sent_at + latency, self.start
        for when, position in self._marks:
            if when > now - RATE_WINDOW:
                break
            since, place = when, position
        heard = self.last_at  # what has come since may have been gathered, and not told yet
        until = heard if now - heard <= UNHEARD and heard - since >= MEASURED_AFTER else now
        return (self.position - place) / max(until - since, 1e-3)

    def average(self, now: float, latency: float) -> float | None:
        """Bytes per second over the whole flight, for one that has ended; None without bytes."""
        if self.position <= self.start:
            return None
        return (self.position - self.start) / max(now - self.sent_at - latency, 1e-3)

    def rate(self, now: float, usual: float, latency: float) -> float:
        """Measured rate, or the usual one while nothing is known."""
        seen = self.measured(now, latency)
        return usual if seen is None else seen

    def unheard(self, now: float, rate: float) -> int:
        """Bytes that have come at ``rate`` since it was heard of, as far as can be told."""
        if self.first_at is None:
            return 0
        silence = min(UNHEARD, max(0.0, now - self.last_at))
        return min(self.stop - self.position, int(rate * silence))

    def eta(self, now: float, usual: float, latency: float) -> float:
        """Seconds until its last byte, as far as can be told."""
        seen = self.rate(now, usual, latency)
        if now - self.sent_at - latency < TRUSTED_AFTER and seen > SLOW_SHARE * usual:
            seen = max(seen, usual)
        left = self.stop - self.position - self.unheard(now, seen)
        return left / seen if seen > 0 else float("inf") if left else 0.0

    def hopeless(self, now: float, usual: float, latency: float) -> bool:
        """Whether it is so far below its siblings' usual rate that a fresh connection is better."""
        age = now - self.sent_at - 2 * latency
        if age < JUDGED_AFTER:
            return self._glaring(now, usual, latency)
        if age * usual < EVIDENCE:
            return False
        silence = now - self.last_at - 2 * latency
        if silence > STALLED_AFTER and silence * usual > EVIDENCE:
            return True
        if RATE_WINDOW * usual < EVIDENCE:
            return (self.position - self.start) / age < SLOW_SHARE * usual
        seen = self.measured(now, latency)
        return seen is not None and seen < SLOW_SHARE * usual

    def late_from(self, usual: float, latency: float) -> float:
        """When it is late beside a usual connection, or its rate can be told, if that is later."""
        due = 2 * latency + (self.stop - self.start) / usual
        return self.sent_at + max(MEASURED_AFTER + latency, due + LATE)

    def judged_from(self, latency: float) -> float:
        """When it can be told for the first time whether next to nothing comes."""
        begun = self.sent_at + latency if self.first_at is None else self.first_at
        return begun + max(GLARING_AFTER, GLARING_ROUND_TRIPS * latency)

    def _glaring(self, now: float, usual: float, latency: float) -> bool:
        """Whether it flows, but next to nothing comes, on a line on which much would have come."""
        if self.first_at is None or now < self.judged_from(latency):
            return False
        due = GLARING_SHARE * usual * (now - self.first_at)
        return due >= EVIDENCE / 4 and self.position - self.start < due


def usual_rate(
    flights: Iterable[Flight],
    now: float,
    latency: float,
    fewest: int,
    landed: Iterable[float] = (),
) -> float:
    """The median rate of connections that have one, 0.0 while fewer than ``fewest`` do.

    ``landed`` are the rates of some that were done lately.
    """
    rates = [r for f in flights if (r := f.measured(now, latency)) is not None]
    rates += landed
    return float(median(rates)) if len(rates) >= fewest else 0.0
