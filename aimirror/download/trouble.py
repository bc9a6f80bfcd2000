"""What follows from a flight that failed: go on, wait, another source, one stream, or the end."""

from __future__ import annotations

import enum

from attrs import define, evolve, frozen

from aimirror.download.assignment import PROBE, Assignment
from aimirror.download.backoff import MAY_PASS, wait_before
from aimirror.download.commands import Command, FetchWhole, Once, Refused, Resolve
from aimirror.download.dropping import drop_all, drop_losers
from aimirror.download.flight import Flight
from aimirror.download.sources import MOST_ROUNDS, ROUNDS_BEFORE_EXPIRED
from aimirror.download.tasks import FetchResult, Reason

#: Times that one download asks the original URL for a new redirect without progress between.
MOST_RESOLVES = 3
#: Statuses that say that the URL, not the file, has expired.
EXPIRED = frozenset({401, 403, 404, 410})
#: Of them, those by which some hosts say that they bear no more connections.
LIMITING = frozenset({403, 404})
#: Those that say where it is now: the original URL is asked, which knows the way.
MOVED = frozenset({301, 302, 303, 307, 308})
#: Those that may be others the next time, though they are no failures of the upstream.
LATER = frozenset({408, 421, 425})
#: Times that a second request for a link is tried, where its failure may pass.
MOST_SECONDS = 3
#: Ends of a flight that say nothing of its source.
_ABOUT_US = frozenset(
    {Reason.DONE, Reason.CANCELLED, Reason.WORKER_LOST, Reason.DISK, Reason.DISK_FULL}
)
#: Ends that may be for the range alone.
_OF_RANGES = frozenset({Reason.STATUS, Reason.RESET, Reason.SHORT, Reason.PROTOCOL})
#: Statuses that ask for fewer requests.
BUSY = frozenset({429, 503})


class Then(enum.Enum):
    """What the machine does after the commands of a verdict."""

    GO_ON = enum.auto()
    WAIT = enum.auto()
    FAIL = enum.auto()
    RESTART = enum.auto()


@frozen
class Verdict:
    """What follows; ``result`` is the one that a failure or a new beginning tells of."""

    then: Then
    result: FetchResult
    commands: tuple[Command, ...] = ()


@define
class Trouble:
    """Judges the ends of the flights of one download."""

    assignment: Assignment
    #: The flight that reads the whole file in one stream, once ranges have turned out to lie.
    whole: int | None = None
    #: Questions for a new redirect since something was written.
    resolves: int = 0

    def ended(self, running: Flight, result: FetchResult, now: float, beside: int) -> Verdict:
        """A flight has ended; see ``Download.ended``."""
        if self.assignment.unproven and result.reason not in _ABOUT_US:
            if PROBE in self.assignment.flights:
                return self._doubted(result, now, beside)
            self.assignment.unproven = False
        return self._judge(running, result, now, beside)

    def unresolved(self, source: int, result: FetchResult, now: float, beside: int) -> Verdict:
        """The original URL did not help; see ``Download.unresolved``."""
        if result.reason is Reason.CHANGED:
            return self._changed(source, result, now)
        place = self.assignment.sources[source]
        limited = beside > 0 and result.status in LIMITING and place.rounds < MOST_ROUNDS
        if result.reason is Reason.STATUS and result.status not in BUSY and not limited:
            return self._lose(source, result, now)
        return self._strike(Flight(-1, source, 0, 0, now), result, now, beside)

    def _judge(self, running: Flight, result: FetchResult, now: float, beside: int) -> Verdict:
        reason = result.reason
        source = self.assignment.sources[running.source]
        if reason in (Reason.DISK_FULL, Reason.DISK):
            return Verdict(Then.FAIL, result)
        if running.id == self.whole:
            return self._whole_ended(result)
        if reason is Reason.CHANGED:
            return self._changed(running.source, result, now)
        if reason in (Reason.DONE, Reason.CANCELLED, Reason.WORKER_LOST):
            if reason is Reason.DONE:
                source.finished()
            return Verdict(Then.GO_ON, result, tuple(drop_losers(self.assignment)))
        if reason in (Reason.WHOLE, Reason.BAD_RANGE, Reason.ENCODED):
            return self._ranges_lie(running.source, result, now)
        if reason is Reason.STATUS and result.status in EXPIRED | MOVED:
            return self._expired(running, result, now, beside)
        if reason is Reason.STATUS and result.status < 500 and result.status not in BUSY | LATER:
            return self._lose(running.source, result, now)
        return self._strike(running, result, now, beside)

    def _doubted(self, result: FetchResult, now: float, beside: int) -> Verdict:
        """The one request beside the probe was refused: is there but one for this link?

        The probe goes on all the same.  What may pass is tried again a few times.
        """
        primary = self.assignment.primary
        place = self.assignment.sources[primary]
        place.unaccepted += 1
        passes = result.status in BUSY or result.status >= 500 or result.reason in MAY_PASS
        if passes and place.unaccepted < MOST_SECONDS:
            wait = wait_before(place.unaccepted, self.assignment.jitter(), result.retry_after)
            place.paused_until = now + wait
            return Verdict(Then.GO_ON, result)
        self.assignment.alone = True
        limited: list[Command] = [Refused(primary)] if result.status in LIMITING else []
        once: list[Command] = [] if passes or beside > 1 else [Once(primary)]
        return Verdict(Then.GO_ON, result, (*limited, *once))

    def _whole_ended(self, result: FetchResult) -> Verdict:
        """The one stream is over before all was written: there is no way on."""
        if result.reason is Reason.CHANGED:
            return Verdict(Then.RESTART, result)
        if result.reason is Reason.DONE:
            result = FetchResult(Reason.SHORT, result.stop)
        return Verdict(Then.FAIL, result)

    def _changed(self, source: int, result: FetchResult, now: float) -> Verdict:
        """Another version: of the file, or of what one of several upstreams has."""
        if source != self.assignment.primary and self._others(source):
            return self._lose(source, result, now)
        return Verdict(Then.RESTART, result)

    def _others(self, source: int) -> bool:
        return any(place.alive for i, place in self.assignment.sources.items() if i != source)

    def _ranges_lie(self, source: int, result: FetchResult, now: float) -> Verdict:
        """Fall back to one plain stream, unless another upstream has true ranges."""
        assignment = self.assignment
        if source != assignment.primary and self._others(source):
            return self._lose(source, result, now)
        dropped = drop_all(assignment)
        self.whole = assignment.new_id()
        assignment.fly(self.whole, source, (0, assignment.total), now)
        return Verdict(Then.WAIT, result, (*dropped, FetchWhole(self.whole, source)))

    def _expired(self, running: Flight, result: FetchResult, now: float, beside: int) -> Verdict:
        """A refused address: while others from there work, they are first taken for too many."""
        place = self.assignment.sources[running.source]
        works = self.assignment.working(running.source) or beside
        limiting = bool(works) and result.status in LIMITING and place.rounds < MOST_ROUNDS
        if limiting and place.unaccepted < ROUNDS_BEFORE_EXPIRED:
            return self._strike(running, result, now, beside)
        if place.resolving:
            return Verdict(Then.GO_ON, result)
        self.resolves += 1
        if self.resolves <= MOST_RESOLVES:
            place.resolving = True
            return Verdict(Then.GO_ON, result, (Resolve(running.source),))
        if limiting:
            return self._strike(running, result, now, beside)
        if self._others(running.source):
            return self._lose(running.source, result, now)
        # Each new address was refused, which asking for it may have used up: one request, then.
        verdict = self._ranges_lie(running.source, result, now)
        return evolve(verdict, commands=(Once(running.source), *verdict.commands))

    def _strike(self, running: Flight, result: FetchResult, now: float, beside: int) -> Verdict:
        """A failure that may pass: go on with what works, wait, and try a few times."""
        busy = result.status in BUSY
        if result.stop > running.start and not busy:
            return Verdict(Then.GO_ON, result)
        place = self.assignment.sources[running.source]
        works = self.assignment.working(running.source) or beside
        beside = max(beside, self.assignment.siblings(running.source))
        place.refused(beside, busy, result.retry_after, self.assignment.jitter(), now)
        if place.hopeless(not self._others(running.source), beside, result.retry_after):
            return self._lose(running.source, result, now)
        return Verdict(Then.GO_ON, result, (Refused(running.source),) if works else ())

    def _lose(self, source: int, result: FetchResult, now: float) -> Verdict:
        """A source is of no more use; without another one, ranges are not.

        Some servers answer the first range, and no other: one request without any is the last try.
        """
        if self._others(source):
            self.assignment.sources[source].alive = False
            return Verdict(Then.GO_ON, result)
        unwelcome = result.status == 401 or result.status in BUSY
        if self.whole is None and result.reason in _OF_RANGES and not unwelcome:
            return self._ranges_lie(source, result, now)
        self.assignment.sources[source].alive = False
        return Verdict(Then.FAIL, result)
