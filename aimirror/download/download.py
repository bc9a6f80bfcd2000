"""The state machine of one ranged download: events in, commands out.

``life`` is the table of its phases, ``assignment`` the connections and their pieces.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, define

from aimirror.download.assignment import PROBE, Assignment
from aimirror.download.backoff import MAY_PASS, wait_before
from aimirror.download.commands import (
    Command,
    Complete,
    Fail,
    FetchWhole,
    Once,
    Refused,
    Resolve,
    Restart,
    Wake,
)
from aimirror.download.flight import Flight
from aimirror.download.life import Life, Phase, Turn
from aimirror.download.plan import CROWD, Demand
from aimirror.download.proof import Proof
from aimirror.download.sources import MOST_ROUNDS, ROUNDS_BEFORE_EXPIRED, Source
from aimirror.download.spans import Spans
from aimirror.download.tasks import FetchResult, Reason

#: Times that one download asks the original URL for a new redirect without progress between.
MOST_RESOLVES = 3
#: Seconds between two looks at the connections, and during a back-off.
TICK = 0.25
PAUSED_TICK = 1.0

#: Statuses that say that the URL, not the file, has expired.
EXPIRED = frozenset({401, 403, 404, 410})
#: Of them, those by which some hosts say that they bear no more connections.
LIMITING = frozenset({403, 404})
#: Times that a second request for a link is tried, where its failure may pass.
MOST_SECONDS = 3
#: Ends of a flight that say nothing of its source.
_ABOUT_US = frozenset(
    {Reason.DONE, Reason.CANCELLED, Reason.WORKER_LOST, Reason.DISK, Reason.DISK_FULL}
)
#: Statuses that ask for fewer requests.
BUSY = frozenset({429, 503})


@define
class Download:
    """One file on its way; every event returns the commands to carry out.

    ``digest`` is (algorithm, hex) when the right one is known.
    """

    assignment: Assignment
    digest: tuple[str, str] | None = None
    #: The flight that reads the whole file in one stream, once ranges have turned out to lie.
    whole: int | None = None
    #: Readers have become a crowd: what flies is shortened once its rate can be told.
    _gathered: bool = False
    _resolves: int = 0
    _life: Life = Factory(Life)
    _proof: Proof = Factory(lambda self: Proof(self.total, self.digest), takes_self=True)

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self._life.phase

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self.assignment.total

    @property
    def primary(self) -> int:
        """The source that answered first."""
        return self.assignment.primary

    @property
    def written(self) -> Spans:
        """The bytes that are written."""
        return self.assignment.written

    # -- what readers may see --------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Bytes from here on are held back: the digest has not spoken yet."""
        return self.total if self.phase is Phase.DONE else self._proof.limit

    def readable(self, position: int) -> int:
        """The end of the run of readable bytes at ``position`` (itself when there are none)."""
        return max(position, min(self.limit, self.written.run_from(position)))

    def arrived(self, position: int) -> int:
        """The same for readers who need not wait for the digest."""
        return self.written.run_from(position)

    # -- events ----------------------------------------------------------------------------

    def begin(self, now: float, probe: tuple[int, int] | None = None) -> list[Command]:
        """Start; ``probe`` is the span that the interpreter's own request brings (flight 0)."""
        if probe is not None and probe[0] < probe[1]:
            sent_at = now - self.assignment.latency
            self.assignment.fly(PROBE, self.primary, probe, sent_at)
        thinned = self.assignment.thin_out(now) if self.assignment.crowded else []
        return [*thinned, *self._go(now)]

    def expect(self, algorithm: str, digest: str, now: float) -> list[Command]:
        """The right digest became known (from an index or a header)."""
        if self.digest is None and not self._life.over:
            self.digest = self._proof.expected = (algorithm, digest)
        return self._go(now)

    def wrote(self, flight: int, start: int, stop: int, now: float) -> list[Command]:
        """Bytes ``[start, stop)`` of a flight are written and checked."""
        if self.phase is not Phase.FILLING:
            return []
        self._resolves = 0
        self.assignment.wrote(flight, start, stop, now)
        frontier = self.assignment.frontier
        if self.assignment.unproven and (proven := self.assignment.prove(flight)):
            return [*proven, *self._go(now)]
        return self._proof.follow(frontier) if frontier < self.total else self._go(now)

    def ended(self, flight: int, result: FetchResult, now: float, beside: int = 0) -> list[Command]:
        """A flight is over; all its bytes up to ``result.stop`` were reported before.

        ``beside`` counts the connections to its host that bring something, for others, too.
        """
        running = self.assignment.land(flight, result, now)
        if running is None or self.phase is not Phase.FILLING:
            return []
        if self.assignment.unproven and result.reason not in _ABOUT_US:
            if PROBE in self.assignment.flights:
                return self._doubted(result, now, beside)
            self.assignment.unproven = False
        return self._judge(running, result, now, beside)

    def joined(self, reader: int, position: int, stop: int, now: float) -> list[Command]:
        """A reader came or jumped: it wants ``[position, stop)``."""
        demand = self.assignment.demands[reader] = Demand(position, min(stop, self.total))
        if self.phase is not Phase.FILLING:
            return []
        self._gathered = self._gathered or self.assignment.crowd() == CROWD
        return [*self.assignment.make_way(demand, now), *self._go(now)]

    def advanced(self, reader: int, position: int) -> None:
        """A reader read on."""
        demands = self.assignment.demands
        if reader in demands:
            demands[reader] = Demand(position, demands[reader].stop)

    def left(self, reader: int) -> None:
        """A reader is gone; the download goes on."""
        self.assignment.demands.pop(reader, None)

    def allowed(
        self, slots: int, now: float, granted: Mapping[int, int] | None = None
    ) -> list[Command]:
        """The share of connections changed; running flights are not cut for it.

        ``granted`` says how many of them each source may have.
        """
        self.assignment.allow(slots, granted or {})
        return self._go(now)

    def add_source(self, source: int, now: float) -> list[Command]:
        """Another upstream has the same file (equal validator and size, or a known digest)."""
        self.assignment.sources[source] = Source()
        return self._go(now)

    def moved_in(self, source: int, now: float) -> list[Command]:
        """An added source has its share of connections, and gets its part of the bytes."""
        if self.phase is not Phase.FILLING or self.whole is not None:
            return []
        return [*self.assignment.make_way_for(source), *self._go(now)]

    def resolved(self, source: int, now: float) -> list[Command]:
        """The original URL gave a new place for the same version."""
        place = self.assignment.sources[source]
        place.resolving, place.unaccepted, place.borne = False, 0, None
        return self._go(now)

    def unresolved(
        self, source: int, result: FetchResult, now: float, beside: int = 0
    ) -> list[Command]:
        """The original URL did not help."""
        self.assignment.sources[source].resolving = False
        if self.phase is not Phase.FILLING:
            return []
        if result.reason is Reason.CHANGED:
            return self._changed(source, result, now)
        place = self.assignment.sources[source]
        limited = beside > 0 and result.status in LIMITING and place.rounds < MOST_ROUNDS
        if result.reason is Reason.STATUS and result.status not in BUSY and not limited:
            return self._lose(source, result, now)
        return self._strike(Flight(-1, source, 0, 0, now), result, now, beside)

    def hashed(self, stop: int, digests: dict[str, str], now: float) -> list[Command]:
        """The digests of ``[0, stop)`` (those of the whole file when stop is its size)."""
        self._proof.hashed(stop)
        if self.phase is Phase.FILLING or (self.phase is Phase.PROVING and stop < self.total):
            return self._proof.follow(self.assignment.frontier)
        if self.phase is not Phase.PROVING:
            return []
        commands = self._proof.conclude(digests)
        match commands[0] if commands else None:
            case Complete():
                self._life.take(Turn.PROVED)
            case Restart():
                self._life.take(Turn.DISPROVED)
        return commands

    def failed(self, reason: Reason, detail: str) -> list[Command]:
        """Something outside broke (disk, shutdown): stop everything."""
        return self._fail(FetchResult(reason, 0, detail=detail))

    def tick(self, now: float) -> list[Command]:
        """Time passed: drop hopeless connections, take over the tail, wake from a back-off."""
        if self.phase is not Phase.FILLING:
            return []
        if self.whole is not None:
            return self._go(now)
        dropped = self.assignment.drop_hopeless(now)
        thinned = self.assignment.thin_out(now) if self._gathered else []
        self._gathered = False
        return [*dropped, *thinned, *self._go(now)]

    # -- decisions -------------------------------------------------------------------------

    def _go(self, now: float) -> list[Command]:
        """Go on as far as is possible now."""
        if self.phase is Phase.PROVING:
            return self._proof.follow(self.total)
        if self.phase is not Phase.FILLING:
            return []
        if self.assignment.frontier >= self.total:
            self._life.take(Turn.WRITTEN)
            return [*self.assignment.let_land(), *self._proof.follow(self.total)]
        given_out = self.assignment.assign(now) if self.whole is None else []
        until = self.assignment.waits_until(now)
        wake = now + TICK if until is None else min(now + PAUSED_TICK, until)
        return [*given_out, *self._proof.follow(self.assignment.frontier), Wake(wake)]

    def _judge(
        self, running: Flight, result: FetchResult, now: float, beside: int
    ) -> list[Command]:
        reason = result.reason
        source = self.assignment.sources[running.source]
        if reason in (Reason.DISK_FULL, Reason.DISK):
            return self._fail(result)
        if running.id == self.whole:
            return self._whole_ended(result, now)
        if reason is Reason.CHANGED:
            return self._changed(running.source, result, now)
        if reason in (Reason.DONE, Reason.CANCELLED, Reason.WORKER_LOST):
            if reason is Reason.DONE:
                source.finished()
            return [*self.assignment.drop_losers(), *self._go(now)]
        if reason in (Reason.WHOLE, Reason.BAD_RANGE, Reason.ENCODED):
            return self._ranges_lie(running.source, result, now)
        if reason is Reason.STATUS and result.status in EXPIRED:
            return self._expired(running, result, now, beside)
        return self._strike(running, result, now, beside)

    def _doubted(self, result: FetchResult, now: float, beside: int) -> list[Command]:
        """The one request beside the probe was refused: is there but one for this link?

        The probe goes on all the same.  What may pass is tried again a few times.
        """
        place = self.assignment.sources[self.primary]
        place.unaccepted += 1
        passes = result.status in BUSY or result.status >= 500 or result.reason in MAY_PASS
        if passes and place.unaccepted < MOST_SECONDS:
            wait = wait_before(place.unaccepted, self.assignment.jitter(), result.retry_after)
            place.paused_until = now + wait
            return self._go(now)
        self.assignment.alone = True
        limited: list[Command] = [Refused(self.primary)] if result.status in LIMITING else []
        once: list[Command] = [] if passes or beside > 1 else [Once(self.primary)]
        return [*limited, *once, *self._go(now)]

    def _whole_ended(self, result: FetchResult, now: float) -> list[Command]:
        """The one stream is over before all was written: there is no way on."""
        if result.reason is Reason.CHANGED:
            return self._restart(result)
        if result.reason is Reason.DONE:
            result = FetchResult(Reason.SHORT, result.stop)
        return self._fail(result)

    def _changed(self, source: int, result: FetchResult, now: float) -> list[Command]:
        """Another version: of the file, or of what one of several upstreams has."""
        if source != self.primary and self._others(source):
            return self._lose(source, result, now)
        return self._restart(result)

    def _others(self, source: int) -> bool:
        return any(place.alive for i, place in self.assignment.sources.items() if i != source)

    def _ranges_lie(self, source: int, result: FetchResult, now: float) -> list[Command]:
        """Fall back to one plain stream, unless another upstream has true ranges."""
        if source != self.primary and self._others(source):
            return self._lose(source, result, now)
        dropped = self.assignment.drop_all()
        self.whole = self.assignment.new_id()
        self.assignment.fly(self.whole, source, (0, self.total), now)
        return [*dropped, FetchWhole(self.whole, source)]

    def _expired(
        self, running: Flight, result: FetchResult, now: float, beside: int
    ) -> list[Command]:
        """A refused address: while others from there work, they are first taken for too many."""
        place = self.assignment.sources[running.source]
        works = self.assignment.working(running.source) or beside
        limiting = bool(works) and result.status in LIMITING and place.rounds < MOST_ROUNDS
        if limiting and place.unaccepted < ROUNDS_BEFORE_EXPIRED:
            return self._strike(running, result, now, beside)
        if place.resolving:
            return self._go(now)
        self._resolves += 1
        if self._resolves <= MOST_RESOLVES:
            place.resolving = True
            return [Resolve(running.source), *self._go(now)]
        if limiting:
            return self._strike(running, result, now, beside)
        return self._lose(running.source, result, now)

    def _strike(
        self, running: Flight, result: FetchResult, now: float, beside: int
    ) -> list[Command]:
        """A failure that may pass: go on with what works, wait, and try a few times."""
        busy = result.status in BUSY
        if result.stop > running.start and not busy:
            return self._go(now)
        place = self.assignment.sources[running.source]
        works = self.assignment.working(running.source) or beside
        beside = max(beside, self.assignment.siblings(running.source))
        place.refused(beside, busy, result.retry_after, self.assignment.jitter(), now)
        if place.hopeless(not self._others(running.source), beside, result.retry_after):
            return self._lose(running.source, result, now)
        commands: list[Command] = [Refused(running.source)] if works else []
        return [*commands, *self._go(now)]

    def _lose(self, source: int, result: FetchResult, now: float) -> list[Command]:
        """A source is of no more use; without another one, the download fails."""
        self.assignment.sources[source].alive = False
        return self._go(now) if self._others(source) else self._fail(result)

    def _restart(self, result: FetchResult) -> list[Command]:
        self._life.take(Turn.REPLACED)
        return [*self.assignment.drop_all(), Restart(result.reason, result.detail)]

    def _fail(self, result: FetchResult) -> list[Command]:
        if not self._life.take(Turn.LOST):
            return []
        fail = Fail(result.reason, result.detail, result.status, result.retry_after)
        return [*self.assignment.drop_all(), fail]
