"""The state machine of one ranged download: events in, commands out.

``life`` is the table of its phases, ``assignment`` the connections and their pieces,
``trouble`` what follows from those that fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from attrs import Factory, define

from aimirror.download.assignment import PROBE, Assignment
from aimirror.download.commands import Command, Complete, Fail, Restart, Wake
from aimirror.download.dropping import drop_all, drop_hopeless, let_land
from aimirror.download.life import Life, Phase, Turn
from aimirror.download.plan import CROWD, Demand
from aimirror.download.proof import Proof
from aimirror.download.sources import Source
from aimirror.download.spans import Spans
from aimirror.download.tasks import FetchResult, Reason
from aimirror.download.trouble import Then, Trouble, Verdict
from aimirror.download.yielding import make_way, make_way_for, thin_out

#: Seconds between two looks at the connections, and during a back-off.
TICK = 0.25
#: Seconds after which what could just be told of a connection is clear.
CLEAR = 0.03
PAUSED_TICK = 1.0
#: The part of a lag that counts at the next look still.
LAG_KEPT = 0.5


@define
class Download:
    """One file on its way; every event returns the commands to carry out.

    ``digest`` is (algorithm, hex) when the right one is known.
    """

    assignment: Assignment
    digest: tuple[str, str] | None = None
    #: Readers have become a crowd: what flies is shortened once its rate can be told.
    _gathered: bool = False
    #: When it wants to be called again.
    _due: float = inf
    _trouble: Trouble = Factory(lambda self: Trouble(self.assignment), takes_self=True)
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

    @property
    def whole(self) -> int | None:
        """The flight that reads the whole file in one stream, where ranges lie."""
        return self._trouble.whole

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
        thinned = thin_out(self.assignment, now) if self.assignment.crowded else []
        return [*thinned, *self._go(now)]

    def wrote(self, flight: int, start: int, stop: int, now: float) -> list[Command]:
        """Bytes ``[start, stop)`` of a flight are written and checked."""
        if self.phase is not Phase.FILLING:
            return []
        self._trouble.resolves = 0
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
        return self._follow(self._trouble.ended(running, result, now, beside), now)

    def joined(self, reader: int, position: int, stop: int, now: float) -> list[Command]:
        """A reader came or jumped: it wants ``[position, stop)``."""
        demand = self.assignment.demands[reader] = Demand(position, min(stop, self.total))
        if self.phase is not Phase.FILLING:
            return []
        self._gathered = self._gathered or self.assignment.crowd() == CROWD
        return [*make_way(self.assignment, demand, now), *self._go(now)]

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
        return [*make_way_for(self.assignment, source), *self._go(now)]

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
        return self._follow(self._trouble.unresolved(source, result, now, beside), now)

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
        lag = self.assignment.lag * LAG_KEPT
        self.assignment.lag, self._due = max(0.0, now - self._due, lag), inf
        if self.whole is not None:
            return self._go(now)
        dropped = drop_hopeless(self.assignment, now)
        thinned = thin_out(self.assignment, now) if self._gathered else []
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
            return [*let_land(self.assignment), *self._proof.follow(self.total)]
        given_out = self.assignment.assign(now) if self.whole is None else []
        until = self.assignment.waits_until(now)
        wake = self._next_look(now) if until is None else min(now + PAUSED_TICK, until)
        self._due = min(self._due, wake)
        return [*given_out, *self._proof.follow(self.assignment.frontier), Wake(wake)]

    def _next_look(self, now: float) -> float:
        """After a while, or as soon as something can be told of a connection."""
        looks = (at + CLEAR for at in self.assignment.looks(now))
        return min([now + TICK, *(at for at in looks if at > now)])

    def _follow(self, verdict: Verdict, now: float) -> list[Command]:
        """Do what follows from a failure."""
        match verdict.then:
            case Then.GO_ON:
                return [*verdict.commands, *self._go(now)]
            case Then.WAIT:
                return [*verdict.commands]
            case Then.RESTART:
                return self._restart(verdict.result)
            case Then.FAIL:
                return self._fail(verdict.result)

    def _restart(self, result: FetchResult) -> list[Command]:
        self._life.take(Turn.REPLACED)
        return [*drop_all(self.assignment), Restart(result.reason, result.detail)]

    def _fail(self, result: FetchResult) -> list[Command]:
        if not self._life.take(Turn.LOST):
            return []
        fail = Fail(result.reason, result.detail, result.status, result.retry_after)
        return [*drop_all(self.assignment), fail]
