"""The state machine of one ranged download: events in, commands out.

::

    FILLING --all written--> PROVING --digest right--> DONE
       |                        '--digest wrong--> RESTARTED
       |--the file changed--> RESTARTED
       '--no way on--> FAILED

The interpreter (``aimirror.exchanges``) sends the probe itself and creates the machine when the
probe's 206 has told size and validator.  ``RESTARTED`` ends this machine: the interpreter cuts
the readers off and begins anew, so that no reader ever sees bytes of two versions.
"""

from __future__ import annotations

import enum

from attrs import Factory, define

from aimirror.download.assignment import PROBE, Assignment
from aimirror.download.commands import Command, Complete, Fail, FetchWhole, Resolve, Restart, Wake
from aimirror.download.flight import Flight
from aimirror.download.plan import CROWD, Demand
from aimirror.download.proof import Proof
from aimirror.download.sources import Source
from aimirror.download.tasks import FetchResult, Reason

#: Times that one download asks the original URL for a new redirect without progress between.
MOST_RESOLVES = 3
#: Seconds between two looks at the connections, and during a back-off.
TICK = 0.25
PAUSED_TICK = 1.0

#: Statuses that say that the URL, not the file, has expired.
EXPIRED = frozenset({401, 403, 404, 410})
#: Statuses that ask for fewer requests.
BUSY = frozenset({429, 503})


class Phase(enum.Enum):
    """Where a download stands."""

    FILLING = "filling"
    PROVING = "proving"
    DONE = "done"
    RESTARTED = "restarted"
    FAILED = "failed"


@define(kw_only=True)
class Download(Assignment):
    """One file of ``total`` bytes on its way; every event returns the commands to carry out.

    ``digest`` is (algorithm, hex) when the right one is known.
    """

    digest: tuple[str, str] | None = None
    phase: Phase = Phase.FILLING
    #: The flight that reads the whole file in one stream, once ranges have turned out to lie.
    whole: int | None = None
    #: Readers have become a crowd: what flies is shortened once its rate can be told.
    _gathered: bool = False
    _resolves: int = 0
    _proof: Proof = Factory(lambda self: Proof(self.total, self.digest), takes_self=True)

    # -- what readers may see --------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Bytes from here on are held back: the digest has not spoken yet."""
        return self.total if self.phase is Phase.DONE else self._proof.limit

    def readable(self, position: int) -> int:
        """The end of the run of readable bytes at ``position`` (itself when there are none)."""
        return max(position, min(self.limit, self.written.run_from(position)))

    # -- events ----------------------------------------------------------------------------

    def begin(self, now: float, probe: tuple[int, int] | None = None) -> list[Command]:
        """Start; ``probe`` is the span that the interpreter's own request brings (flight 0)."""
        if probe is not None and probe[0] < probe[1]:
            sent_at = now - self.latency
            self.flights[PROBE] = Flight(PROBE, self.primary, probe[0], probe[1], sent_at)
        return [*(self.thin_out(now) if self.crowded else ()), *self._go(now)]

    def expect(self, algorithm: str, digest: str, now: float) -> list[Command]:
        """The right digest became known (from an index or a header)."""
        if self.digest is None and self.phase in (Phase.FILLING, Phase.PROVING):
            self.digest = self._proof.expected = (algorithm, digest)
        return self._go(now)

    def wrote(self, flight: int, start: int, stop: int, now: float) -> list[Command]:
        """Bytes ``[start, stop)`` of a flight are written and checked."""
        if self.phase is not Phase.FILLING:
            return []
        self.written = self.written.add(start, stop)
        self._resolves = 0
        self.moved(flight, stop, now)
        frontier = self.frontier
        return self._proof.follow(frontier) if frontier < self.total else self._go(now)

    def ended(self, flight: int, result: FetchResult, now: float) -> list[Command]:
        """A flight is over; all its bytes up to ``result.stop`` were reported before."""
        running = self.land(flight, result, now)
        if running is None or self.phase is not Phase.FILLING:
            return []
        return self._judge(running, result, now)

    def joined(self, reader: int, position: int, stop: int, now: float) -> list[Command]:
        """A reader came or jumped: it wants ``[position, stop)``."""
        self.demands[reader] = Demand(position, min(stop, self.total))
        if self.phase is not Phase.FILLING:
            return []
        self._gathered = self._gathered or len(self.demands) == CROWD
        return [*self.make_way(position, now), *self._go(now)]

    def advanced(self, reader: int, position: int) -> None:
        """A reader read on."""
        if reader in self.demands:
            self.demands[reader] = Demand(position, self.demands[reader].stop)

    def left(self, reader: int) -> None:
        """A reader is gone; the download goes on."""
        self.demands.pop(reader, None)

    def allowed(self, slots: int, now: float) -> list[Command]:
        """The share of connections changed; running flights are not cut for it."""
        self.slots = slots
        return self._go(now)

    def add_source(self, source: int, now: float) -> list[Command]:
        """Another upstream has the same file (equal validator and size, or a known digest)."""
        self.sources[source] = Source()
        return self._go(now)

    def resolved(self, source: int, now: float) -> list[Command]:
        """The original URL gave a new place for the same version."""
        self.sources[source].resolving = False
        return self._go(now)

    def unresolved(self, source: int, result: FetchResult, now: float) -> list[Command]:
        """The original URL did not help."""
        self.sources[source].resolving = False
        if self.phase is not Phase.FILLING:
            return []
        if result.reason is Reason.CHANGED:
            return self._changed(source, result, now)
        if result.reason is Reason.STATUS and result.status not in BUSY:
            return self._lose(source, result, now)
        return self._strike(Flight(-1, source, 0, 0, now), result, now)

    def hashed(self, stop: int, digests: dict[str, str], now: float) -> list[Command]:
        """The digests of ``[0, stop)`` (those of the whole file when stop is its size)."""
        self._proof.hashed(stop)
        if self.phase is Phase.FILLING or (self.phase is Phase.PROVING and stop < self.total):
            return self._proof.follow(self.frontier)
        if self.phase is not Phase.PROVING:
            return []
        commands = self._proof.conclude(digests)
        match commands[0] if commands else None:
            case Complete():
                self.phase = Phase.DONE
            case Restart():
                self.phase = Phase.RESTARTED
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
        dropped = self.drop_hopeless(now)
        thinned = self.thin_out(now) if self._gathered else []
        self._gathered = False
        return [*dropped, *thinned, *self._go(now)]

    # -- decisions -------------------------------------------------------------------------

    def _go(self, now: float) -> list[Command]:
        """Go on as far as is possible now."""
        if self.phase is Phase.PROVING:
            return self._proof.follow(self.total)
        if self.phase is not Phase.FILLING:
            return []
        if self.frontier >= self.total:
            self.phase = Phase.PROVING
            return [*self.drop_all(), *self._proof.follow(self.total)]
        given_out = self.assign(now) if self.whole is None else []
        paused = not self.flights and all(s.paused_until > now for s in self.sources.values())
        wake = now + TICK
        if paused:
            wake = min(now + PAUSED_TICK, min(s.paused_until for s in self.sources.values()))
        return [*given_out, *self._proof.follow(self.frontier), Wake(wake)]

    def _judge(self, running: Flight, result: FetchResult, now: float) -> list[Command]:
        reason = result.reason
        source = self.sources[running.source]
        if reason in (Reason.DISK_FULL, Reason.DISK):
            return self._fail(result)
        if running.id == self.whole:
            return self._whole_ended(result, now)
        if reason is Reason.CHANGED:
            return self._changed(running.source, result, now)
        if reason in (Reason.DONE, Reason.CANCELLED, Reason.WORKER_LOST):
            if reason is Reason.DONE:
                source.finished()
            return [*self.drop_losers(), *self._go(now)]
        if reason in (Reason.WHOLE, Reason.BAD_RANGE, Reason.ENCODED):
            return self._ranges_lie(running.source, result, now)
        if reason is Reason.STATUS and result.status in EXPIRED:
            return self._expired(running.source, result, now)
        return self._strike(running, result, now)

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
        return any(place.alive for i, place in self.sources.items() if i != source)

    def _ranges_lie(self, source: int, result: FetchResult, now: float) -> list[Command]:
        """Fall back to one plain stream, unless another upstream has true ranges."""
        if source != self.primary and self._others(source):
            return self._lose(source, result, now)
        dropped = self.drop_all()
        self.whole = self.new_id()
        self.flights[self.whole] = Flight(self.whole, source, 0, self.total, now)
        return [*dropped, FetchWhole(self.whole, source)]

    def _expired(self, source: int, result: FetchResult, now: float) -> list[Command]:
        place = self.sources[source]
        if place.resolving:
            return self._go(now)
        self._resolves += 1
        if self._resolves > MOST_RESOLVES:
            return self._lose(source, result, now)
        place.resolving = True
        return [Resolve(source), *self._go(now)]

    def _strike(self, running: Flight, result: FetchResult, now: float) -> list[Command]:
        """A failure that may pass: go on with what works, wait, and try a few times."""
        busy = result.status in BUSY
        if result.stop > running.start and not busy:
            return self._go(now)
        place, siblings = self.sources[running.source], self.siblings(running.source)
        place.refused(siblings, busy, result.retry_after, self.jitter(), now)
        if place.hopeless(not self._others(running.source), siblings, result.retry_after):
            return self._lose(running.source, result, now)
        return self._go(now)

    def _lose(self, source: int, result: FetchResult, now: float) -> list[Command]:
        """A source is of no more use; without another one, the download fails."""
        self.sources[source].alive = False
        return self._go(now) if self._others(source) else self._fail(result)

    def _restart(self, result: FetchResult) -> list[Command]:
        self.phase = Phase.RESTARTED
        return [*self.drop_all(), Restart(result.reason, result.detail)]

    def _fail(self, result: FetchResult) -> list[Command]:
        if self.phase in (Phase.DONE, Phase.FAILED, Phase.RESTARTED):
            return []
        self.phase = Phase.FAILED
        fail = Fail(result.reason, result.detail, result.status, result.retry_after)
        return [*self.drop_all(), fail]
