"""The state machine of one ranged download: events in, commands out.

::

    FILLING --all written--> PROVING --digest right--> DONE
       |  ^                     |
       |  '---(retry)-----------'--digest wrong--> RESTARTED (once), then FAILED
       '--the file changed--> RESTARTED      '--no way on--> FAILED

The interpreter (``aimirror.downloads``) sends the probe itself and creates the machine when the
probe's 206 has told size and validator.  ``RESTARTED`` ends this machine: the interpreter cuts
the readers off and begins anew, so that no reader ever sees bytes of two versions.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from statistics import median

from attrs import Factory, define

from aimirror.core.backoff import wait_before
from aimirror.core.commands import (
    Cancel,
    Command,
    Complete,
    Fail,
    Fetch,
    FetchWhole,
    Hash,
    Resolve,
    Restart,
    Trim,
    Wake,
)
from aimirror.core.economy import Economy
from aimirror.core.fetching import FetchResult, Reason
from aimirror.core.flight import Flight, usual_rate
from aimirror.core.plan import Demand, Pace, next_gap, piece_size, takeover
from aimirror.core.spans import Spans

#: Failures in a row, without a byte of progress, after which a source is given up; fewer when
#: another source can take over.
MOST_STRIKES = 6
MOST_STRIKES_BESIDE_OTHERS = 2
#: Seconds: an upstream that asks us to wait longer than this has refused.
LONGEST_RETRY_AFTER = 120.0
#: Siblings with a known rate that a judgement needs, else the remembered rate serves; and how
#: much of that memory is left after a connection was dropped, so that a line that has become
#: slow as a whole is soon accepted as it is.
FEWEST_SIBLINGS = 2
FORGET = 0.8
#: Connections regained with each finished piece after the upstream had refused some.
REGAIN = 0.25
#: Times that one download asks the original URL for a new redirect without progress between.
MOST_RESOLVES = 3
#: Bytes held back from readers until an expected digest has matched.
HOLDBACK = 64 << 10
#: Bytes of frontier between two digest requests.
HASH_STEP = 8 << 20
#: Seconds between two looks at the connections.
TICK = 0.25

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


@define
class Source:
    """One place to fetch from."""

    strikes: int = 0
    resolving: bool = False
    alive: bool = True
    rate: float = 0.0


@define(kw_only=True)
class Download:
    """One file of ``total`` bytes on its way; every method returns the commands to carry out.

    ``slots`` is how many connections it may use now.  ``digest`` is (algorithm, hex) when the
    right one is known.  ``jitter`` returns numbers in [0, 1) and spreads back-offs.
    """

    total: int
    slots: int
    chunk_size: int = 0
    digest: tuple[str, str] | None = None
    jitter: Callable[[], float] = lambda: 0.5
    written: Spans = Factory(Spans)
    latency: float = 0.0

    phase: Phase = Phase.FILLING
    sources: dict[int, Source] = Factory(lambda: {0: Source()})
    flights: dict[int, Flight] = Factory(dict)
    demands: dict[int, Demand] = Factory(dict)
    paused_until: float = 0.0
    whole: bool = False
    _next_id: int = 1
    _latencies: list[float] = Factory(list)
    #: Connections that the upstream has shown to bear, None while it refused none.
    _borne: float | None = None
    _resolves: int = 0
    _hashing: int | None = None
    _hashed: int = 0
    _economy: Economy = Factory(Economy)

    # -- what readers may see --------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Bytes from here on are held back: the digest has not spoken yet."""
        if self.digest is None or self.phase is Phase.DONE:
            return self.total
        return max(0, self.total - HOLDBACK)

    def readable(self, position: int) -> int:
        """The end of the run of readable bytes at ``position`` (itself when there are none)."""
        return max(position, min(self.limit, self.written.run_from(position)))

    @property
    def frontier(self) -> int:
        """The first byte, counted from 0, that is not written."""
        return self.written.run_from(0)

    # -- events ----------------------------------------------------------------------------

    def begin(self, now: float, probe: tuple[int, int] | None = None) -> list[Command]:
        """Start; ``probe`` is the span that the interpreter's own request brings (flight 0)."""
        if probe is not None and probe[0] < probe[1]:
            self.flights[0] = Flight(0, 0, probe[0], probe[1], now - self.latency)
        return self._go(now)

    def expect(self, algorithm: str, digest: str, now: float) -> list[Command]:
        """The right digest became known (from an index or a header)."""
        if self.digest is None and self.phase in (Phase.FILLING, Phase.PROVING):
            self.digest = (algorithm, digest)
        return self._go(now)

    def wrote(self, flight: int, start: int, stop: int, now: float) -> list[Command]:
        """Bytes ``[start, stop)`` of a flight are written and checked."""
        if self.phase is not Phase.FILLING:
            return []
        self.written = self.written.add(start, stop)
        self._resolves = 0
        running = self.flights.get(flight)
        if running is not None:
            running.moved(stop, now)
            self.sources[running.source].strikes = 0
        return self._hash_on() if self.frontier < self.total else self._go(now)

    def ended(self, flight: int, result: FetchResult, now: float) -> list[Command]:
        """A flight is over; all its bytes up to ``result.stop`` were reported before."""
        running = self.flights.pop(flight, None)
        if running is None or self.phase is not Phase.FILLING:
            return []
        if result.latency > 0:
            self._latencies = [*self._latencies[-8:], result.latency]
            self.latency = median(self._latencies)
        seen = running.average(now, self.latency) if result.reason is Reason.DONE else None
        if seen is not None:
            source = self.sources[running.source]
            source.rate = 0.7 * source.rate + 0.3 * seen if source.rate else seen
        return self._judge(running, result, now)

    def joined(self, reader: int, position: int, stop: int, now: float) -> list[Command]:
        """A reader came or jumped: it wants ``[position, stop)``."""
        self.demands[reader] = Demand(position, min(stop, self.total))
        if self.phase is not Phase.FILLING:
            return []
        return [*self._make_way(position, stop, now), *self._go(now)]

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
        if result.reason is Reason.CHANGED:
            return self._restart(Reason.CHANGED, result.detail)
        if result.reason is Reason.STATUS and result.status not in BUSY:
            return self._lose(source, result, now)
        return self._strike(Flight(-1, source, 0, 0, now), result, now)

    def hashed(self, stop: int, digests: dict[str, str], now: float) -> list[Command]:
        """The digests of ``[0, stop)`` (those of the whole file when stop is its size)."""
        self._hashing, self._hashed = None, stop
        if self.phase is not Phase.PROVING or stop < self.total:
            return self._hash_on()
        if self.digest is not None:
            algorithm, expected = self.digest
            if algorithm not in digests:
                return self._hash_on(again=True)
            if digests[algorithm] != expected:
                self.phase = Phase.RESTARTED
                detail = f"{algorithm} is {digests[algorithm]}, expected {expected}"
                return [Restart(Reason.CHANGED, detail, quarantine=True)]
        self.phase = Phase.DONE
        return [Complete(tuple(sorted(digests.items())))]

    def failed(self, reason: Reason, detail: str) -> list[Command]:
        """Something outside broke (disk, shutdown): stop everything."""
        return self._fail(FetchResult(reason, 0, detail=detail))

    def tick(self, now: float) -> list[Command]:
        """Time passed: drop hopeless connections, take over the tail, wake from a back-off."""
        if self.phase is not Phase.FILLING:
            return []
        commands: list[Command] = []
        usual = self._usual(now)
        for flight in list(self.flights.values()):
            if usual and flight.hopeless(now, usual, self.latency):
                del self.flights[flight.id]
                self.sources[flight.source].rate *= FORGET
                commands.append(Cancel(flight.id))
        rate = sum(f.measured(now, self.latency) or 0.0 for f in self.flights.values())
        steady = len(self.flights) >= self._economy.slots(self.slots)
        self._economy.observe(now, rate, len(self.flights) if steady else 0, self._missing())
        return [*commands, *self._go(now)]

    # -- decisions -------------------------------------------------------------------------

    def _usual(self, now: float) -> float:
        """Bytes per second of a usual connection: the siblings' median, or what is remembered."""
        fewest = max(FEWEST_SIBLINGS, self.slots // 4)
        seen = usual_rate(self.flights.values(), now, self.latency, fewest)
        return seen or max(s.rate for s in self.sources.values())

    def _missing(self) -> int:
        return self.total - self.written.total()

    def _free(self) -> Spans:
        free = self.written.gaps(0, self.total)
        for flight in self.flights.values():
            free = free.remove(flight.position, flight.stop)
        return free

    def _go(self, now: float) -> list[Command]:
        """Hand out pieces as long as there are bytes, slots and a living source."""
        if self.phase is not Phase.FILLING:
            return self._hash_on()
        if self.frontier >= self.total:
            return self._prove()
        commands: list[Command] = []
        if not self.whole and now >= self.paused_until:
            commands += self._assign(now)
        commands += self._hash_on()
        wake = now + TICK if now >= self.paused_until else min(self.paused_until, now + TICK * 4)
        commands.append(Wake(wake))
        return commands

    def _assign(self, now: float) -> list[Command]:
        commands: list[Command] = []
        slots = self._economy.slots(self.slots)
        if self._borne is not None:
            slots = max(1, min(slots, int(self._borne)))
        pace = Pace(self._usual(now), self.latency)
        free = self._free()
        while len(self.flights) < slots and (source := self._choose_source()) is not None:
            gap = next_gap(free, self.demands.values())
            if gap is not None:
                size = piece_size(self._missing(), slots, pace, self.chunk_size)
                start, stop = gap[0], min(gap[1], gap[0] + size)
                if gap[1] - stop < size // 4 and (stop - start) * 5 // 4 <= self._ceiling(size):
                    stop = gap[1]
                commands.append(self._launch(source, start, stop, now))
                free = free.remove(start, stop)
                continue
            taken = takeover(tuple(self.flights.values()), pace, now)
            if taken is None:
                break
            for flight in taken.trimmed:
                self.flights[flight].stop = taken.start
                commands.append(Trim(flight, taken.start))
            commands.append(self._launch(source, taken.start, taken.stop, now))
        return commands

    def _ceiling(self, size: int) -> int:
        return self.chunk_size if self.chunk_size > 0 else size * 2

    def _launch(self, source: int, start: int, stop: int, now: float) -> Fetch:
        fetch = Fetch(self._next_id, source, start, stop)
        self._next_id += 1
        self.flights[fetch.id] = Flight(fetch.id, source, start, stop, now)
        return fetch

    def _choose_source(self) -> int | None:
        """The living source with the fewest flights for its measured rate."""
        ready = [(i, s) for i, s in self.sources.items() if s.alive and not s.resolving]
        if not ready:
            return None
        best = max((s.rate for _, s in ready), default=0.0) or 1.0

        def load(item: tuple[int, Source]) -> float:
            busy = sum(f.source == item[0] for f in self.flights.values())
            return (busy + 1) / ((item[1].rate or best) / best)

        return min(ready, key=load)[0]

    def _make_way(self, position: int, stop: int, now: float) -> list[Command]:
        """Free a slot for a reader that jumped to where nothing will arrive soon."""
        if self.written.run_from(position) > position or len(self.flights) < self.slots:
            return []
        for flight in self.flights.values():
            if flight.position <= position < flight.stop:
                rate = flight.rate(now, self._usual(now), self.latency)
                if (position - flight.position) <= rate * max(0.5, 4 * self.latency):
                    return []
        others = [f for f in self.flights.values() if f.id != 0 and not self._wanted_soon(f)]
        if not others:
            return []
        victim = max(others, key=lambda f: f.stop - f.position)
        del self.flights[victim.id]
        return [Cancel(victim.id)]

    def _wanted_soon(self, flight: Flight) -> bool:
        return any(flight.start <= d.position < flight.stop for d in self.demands.values())

    def _judge(self, running: Flight, result: FetchResult, now: float) -> list[Command]:
        reason = result.reason
        if reason is Reason.CHANGED:
            return self._restart(reason, result.detail)
        if reason in (Reason.DISK_FULL, Reason.DISK):
            return self._fail(result)
        if reason in (Reason.DONE, Reason.CANCELLED, Reason.WORKER_LOST):
            if reason is Reason.DONE and self._borne is not None:
                self._borne += REGAIN
            return [*self._drop_losers(), *self._go(now)]
        if reason in (Reason.WHOLE, Reason.BAD_RANGE, Reason.ENCODED):
            return self._ranges_lie(result, now)
        if reason is Reason.STATUS and result.status in EXPIRED:
            return self._expired(running.source, result, now)
        return self._strike(running, result, now)

    def _drop_losers(self) -> list[Command]:
        """Flights whose whole span somebody else has written by now."""
        losers = [f.id for f in self.flights.values() if self.written.covers(f.position, f.stop)]
        for flight in losers:
            del self.flights[flight]
        return [Cancel(flight) for flight in losers]

    def _ranges_lie(self, result: FetchResult, now: float) -> list[Command]:
        """Fall back to one plain stream; if that is what is running, there is no way on."""
        if self.whole:
            return self._fail(result)
        self.whole = True
        dropped: list[Command] = [Cancel(f) for f in self.flights]
        self.flights.clear()
        self.flights[0] = Flight(0, 0, 0, self.total, now)
        return [*dropped, FetchWhole(), Wake(now + TICK)]

    def _expired(self, source: int, result: FetchResult, now: float) -> list[Command]:
        place = self.sources[source]
        if place.resolving:
            return [Wake(now + TICK)]
        self._resolves += 1
        if self._resolves > MOST_RESOLVES:
            return self._lose(source, result, now)
        place.resolving = True
        return [Resolve(source), Wake(now + TICK)]

    def _strike(self, running: Flight, result: FetchResult, now: float) -> list[Command]:
        """A failure that may pass: go on with what works, wait, and try a bounded number of times.

        While siblings of the same source fly, a refused connection only says that they are too
        many; the last one to fail counts against the source.
        """
        if self.whole:
            return self._fail(result)
        place = self.sources[running.source]
        siblings = sum(f.source == running.source for f in self.flights.values())
        busy = result.status in BUSY
        if result.stop > running.start and not busy:
            return self._go(now)
        if siblings:
            self._borne = max(1.0, siblings / 2 if busy else siblings)
        else:
            self._borne = 1.0
            place.strikes += 1
        alone = sum(s.alive for s in self.sources.values()) == 1
        most = MOST_STRIKES if alone else MOST_STRIKES_BESIDE_OTHERS
        hopeless = (result.retry_after or 0.0) > LONGEST_RETRY_AFTER and not siblings
        if place.strikes >= most or hopeless:
            return self._lose(running.source, result, now)
        wait = wait_before(place.strikes, self.jitter(), result.retry_after)
        self.paused_until = max(self.paused_until, now + wait)
        return self._go(now)

    def _lose(self, source: int, result: FetchResult, now: float) -> list[Command]:
        """A source is of no more use; without another one, the download fails."""
        self.sources[source].alive = False
        if any(place.alive for place in self.sources.values()):
            return self._go(now)
        return self._fail(result)

    def _restart(self, reason: Reason, detail: str) -> list[Command]:
        self.phase = Phase.RESTARTED
        return [*self._cancel_all(), Restart(reason, detail)]

    def _fail(self, result: FetchResult) -> list[Command]:
        if self.phase in (Phase.DONE, Phase.FAILED, Phase.RESTARTED):
            return []
        self.phase = Phase.FAILED
        fail = Fail(result.reason, result.detail, result.status, result.retry_after)
        return [*self._cancel_all(), fail]

    def _cancel_all(self) -> list[Command]:
        dropped: list[Command] = [Cancel(flight) for flight in self.flights]
        self.flights.clear()
        return dropped

    def _prove(self) -> list[Command]:
        self.phase = Phase.PROVING
        return [*self._cancel_all(), *self._hash_on()]

    def _hash_on(self, again: bool = False) -> list[Command]:
        """Let the hasher follow the frontier in big steps, and to the end once all is written."""
        if self._hashing is not None or self.phase not in (Phase.FILLING, Phase.PROVING):
            return []
        reached = self.frontier
        finishing = self.phase is Phase.PROVING
        if again or (finishing and self._hashed <= reached) or reached - self._hashed >= HASH_STEP:
            self._hashing = reached
            return [Hash(reached)]
        return []


def overview(download: Download, now: float) -> Iterable[tuple[int, int, int, float]]:
    """(start, position, stop, bytes per second) of each flight, for status pages."""
    for flight in download.flights.values():
        rate = flight.measured(now, download.latency) or 0.0
        yield flight.start, flight.position, flight.stop, rate
