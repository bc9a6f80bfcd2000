"""Which connection fetches which bytes from where: the flights of one download."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from statistics import median

from attrs import Factory, define

from aimirror.download.commands import Command, Fetch, Trim
from aimirror.download.connections import Allowance
from aimirror.download.cutting import Sizes, next_piece
from aimirror.download.flight import EVIDENCE, JUDGED_AFTER, RATE_WINDOW, Flight, usual_rate
from aimirror.download.plan import (
    CROWD,
    FIRST_PIECE,
    Demand,
    Pace,
    crowd_piece,
    first_piece,
    next_gap,
    piece_size,
    smallest_piece,
    takeover,
)
from aimirror.download.sources import Source
from aimirror.download.spans import Spans
from aimirror.download.tasks import FetchResult, Reason

#: Siblings with a known rate that a judgement needs, else the remembered rate serves.
FEWEST_SIBLINGS = 2
#: Finished pieces that are remembered, and the seconds of flow from which their rate means much.
MOST_LANDED = 16
LEAST_FLOW = 0.05
#: The flight of the interpreter's own first request.
PROBE = 0


@define(kw_only=True)
class Assignment:
    """The flights of a file of ``total`` bytes, of which ``written`` ones are there.

    ``primary`` names the source that answered first, whose version all others must have.
    ``jitter`` returns numbers in [0, 1) and spreads back-offs.
    """

    total: int
    allowance: Allowance
    chunk_size: int = 0
    jitter: Callable[[], float] = lambda: 0.5
    written: Spans = Factory(Spans)
    latency: float = 0.0
    primary: int = 0
    #: Readers that waited for the header: they come as soon as it is there.
    awaited: int = 0
    #: Whether nobody knows if the primary source answers a second request: links may work once.
    #: Then the probe flies to the end, beside one other, until that is accepted.
    unproven: bool = False
    #: Whether it is not: the probe alone brings all.
    alone: bool = False

    #: Whether a request after the first one has brought something.
    answered: bool = False

    sources: dict[int, Source] = Factory(lambda self: {self.primary: Source()}, takes_self=True)
    flights: dict[int, Flight] = Factory(dict)
    demands: dict[int, Demand] = Factory(dict)
    #: Seconds by which a busy machine lets us hear late of what has come, and be heard late.
    lag: float = 0.0
    _next_id: int = PROBE + 1
    _latencies: list[float] = Factory(list)
    #: When the last pieces were done, in seconds, and how fast they came.
    landed: deque[tuple[float, float]] = Factory(lambda: deque(maxlen=MOST_LANDED))

    @property
    def frontier(self) -> int:
        """The first byte, counted from 0, that is not written."""
        return self.written.run_from(0)

    @property
    def crowded(self) -> bool:
        """Whether so many read it that sending matters: see ``plan.CROWD``."""
        return max(self.awaited, self.crowd()) >= CROWD

    def crowd(self) -> int:
        """How many read the same: those who read parts side by side are together as one."""
        wanted = sum(demand.stop - demand.position for demand in self.demands.values())
        return min(len(self.demands), round(wanted / max(1, self.missing())))

    def missing(self) -> int:
        """Bytes not yet written."""
        return self.total - self.written.total()

    def untouched(self) -> int:
        """Bytes of these that nobody is about to bring."""
        flying = sum(flight.stop - flight.position for flight in self.flights.values())
        return max(0, self.missing() - flying)

    def siblings(self, source: int) -> int:
        """How many connections a source has."""
        return sum(f.source == source for f in self.flights.values())

    def waits_until(self, now: float) -> float | None:
        """When a source may be asked again, None while something flies or may be asked now."""
        pauses = [source.paused_until for source in self.sources.values()]
        return None if self.flights or min(pauses) <= now else min(pauses)

    def allow(self, slots: int, granted: Mapping[int, int]) -> None:
        """So many connections from now on, and so many of them to each source."""
        self.allowance.share = slots
        for source, number in granted.items():
            if source in self.sources:
                self.sources[source].granted = number

    def working(self, source: int) -> int:
        """How many of them have brought something."""
        return sum(f.source == source and f.first_at is not None for f in self.flights.values())

    # -- giving out ------------------------------------------------------------------------

    def assign(self, now: float) -> list[Command]:
        """Hand out pieces as long as there are bytes, slots and a source that takes more."""
        if self.unproven and PROBE in self.flights:
            return self._second(now)
        slots = self.allowance.most
        if len(self.flights) >= slots:
            return []
        commands: list[Command] = []
        pace = Pace(self.usual(now), self.latency, self.lag)
        free, missing = self._free(), self._expected(now, pace.rate)
        while len(self.flights) < slots and (source := self._choose_source(now)) is not None:
            gap = next_gap(free, self.demands.values())
            if gap is not None:
                idle, sizes = slots - len(self.flights), self._sizes(pace, missing)
                start, stop = next_piece(gap, free, self.demands.values(), idle, sizes)
                commands.append(self._launch(source, start, stop, now))
                free = free.remove(start, stop)
                continue
            idle = slots - len(self.flights)
            taken = takeover(tuple(self.flights.values()), pace, now, idle)
            if taken is None:
                break
            for flight in taken.trimmed:
                self.flights[flight].stop = taken.start
                commands.append(Trim(flight, taken.start))
            if taken.trimmed:
                free = free.add(taken.start, taken.stop)
                continue
            for _ in range(taken.racers):
                if self.sources[source].takes(self.siblings(source), now):
                    commands.append(self._launch(source, taken.start, taken.stop, now))
        return commands

    def _second(self, now: float) -> list[Command]:
        """The one request beside a probe that flies to the end."""
        free = len(self.flights) == 1 and self.allowance.most > 1 and not self.alone
        if not free or not self.sources[self.primary].takes(1, now):
            return []
        ahead = self.flights[PROBE].position + first_piece(self.chunk_size)
        rest = self.written.gaps(min(ahead, self.total), self.total)
        if (gap := next_gap(rest, self.demands.values())) is None:
            return []
        pace = Pace(self.usual(now), self.latency)
        stop = self._sizes(pace, self._expected(now, pace.rate)).stop(gap)
        return [self._launch(self.primary, gap[0], stop, now)]

    def prove(self, flight: int) -> list[Command]:
        """A second request has brought bytes: the probe ends soon, before that one begins."""
        second = self.flights.get(flight)
        if flight == PROBE or second is None or second.source != self.primary:
            return []
        self.unproven = False
        if (probe := self.flights.get(PROBE)) is None:
            return []
        ahead = probe.position + first_piece(self.chunk_size)
        probe.stop = min(probe.stop, ahead, max(second.start, probe.position))
        return [Trim(PROBE, probe.stop)]

    def _expected(self, now: float, usual: float) -> int:
        """Bytes that are still to come, as far as can be told: not those of which nobody heard."""
        flying = self.flights.values()
        return self.missing() - sum(
            f.unheard(now, f.rate(now, usual, self.latency)) for f in flying
        )

    def _sizes(self, pace: Pace, missing: int) -> Sizes:
        """Bytes of the next piece."""
        usable = self.allowance.usable(self.sources.values())
        limits = [self.chunk_size] if self.chunk_size > 0 else []
        if self.allowance.scarce and pace.rate <= 0:
            limits.append(FIRST_PIECE)
        if self.crowded:
            limits.append(crowd_piece(missing, usable))
        limit = min(limits, default=0)
        size = piece_size(missing, usable, pace, limit)
        return Sizes(size, limit if limit > 0 else size * 2, smallest_piece(pace))

    def _free(self) -> Spans:
        flying = Spans((f.position, max(f.position, f.stop)) for f in self.flights.values())
        return self.written.gaps(0, self.total).minus(flying)

    def _launch(self, source: int, start: int, stop: int, now: float) -> Fetch:
        fetch = Fetch(self.new_id(), source, start, stop)
        self.fly(fetch.id, source, (start, stop), now)
        return fetch

    def fly(self, number: int, source: int, span: tuple[int, int], sent_at: float) -> None:
        """A request for a span is on its way."""
        self.flights[number] = Flight(number, source, *span, sent_at)

    def unsent(self, flights: Iterable[int], now: float) -> None:
        """Some are still to be sent: that they bring nothing says nothing of the source."""
        for number in flights:
            flight = self.flights.get(number)
            if flight is not None:
                flight.sent_at = flight.last_at = now

    def new_id(self) -> int:
        """A number for one more flight."""
        number, self._next_id = self._next_id, self._next_id + 1
        return number

    def _choose_source(self, now: float) -> int | None:
        """The source whose host has most to give to one more connection.

        Some hosts give each connection so much, others so much to all together; both show in what
        all of a host's connections bring.  Each source has some, so that its rate is known.
        """
        busy = {i: self.siblings(i) for i in self.sources}
        ready = [i for i, s in self.sources.items() if s.takes(busy[i], now)]
        if len(ready) <= 1:
            return ready[0] if ready else None
        fewest = max(1, self.allowance.most // (2 * len(self.sources)))
        few = [i for i in ready if busy[i] < fewest]
        if few:
            return min(few, key=lambda i: busy[i])
        brought = {i: self._brought(i, now) for i in ready}
        return max(ready, key=lambda i: (brought[i] / (busy[i] + 1), -busy[i]))

    def _brought(self, source: int, now: float) -> float:
        """Bytes per second of all connections of a source together."""
        usual = self.sources[source].rate
        mine = (flight for flight in self.flights.values() if flight.source == source)
        return sum(flight.rate(now, usual, self.latency) for flight in mine)

    def looks(self, now: float) -> list[float]:
        """When it can be told which bring next to nothing, or end late while others are idle."""
        flights = self.flights.values()
        times = [flight.judged_from(self.latency) for flight in flights]
        if len(flights) < self.allowance.most and (usual := self.usual(now)) > 0:
            times += [flight.late_from(usual, self.latency) for flight in flights]
        return times

    # -- watching --------------------------------------------------------------------------

    def wrote(self, flight: int, start: int, position: int, now: float) -> None:
        """A flight has written ``[start, position)``."""
        self.written = self.written.add(start, position)
        running = self.flights.get(flight)
        if running is not None:
            if running.first_at is None:
                self.sources[running.source].accepted()
            running.moved(position, now)
            self.answered = self.answered or flight != PROBE
            self.sources[running.source].progressed()

    def land(self, flight: int, result: FetchResult, now: float) -> Flight | None:
        """A flight is over: learn from it.  None for one that is not missed."""
        if (running := self.flights.pop(flight, None)) is None:
            return None
        if result.latency > 0:
            self._latencies = [*self._latencies[-8:], result.latency]
            self.latency = median(self._latencies)
        flow, brought = now - running.sent_at - self.latency, running.position - running.start
        is_evidence = result.reason is Reason.DONE and (brought >= EVIDENCE or flow >= JUDGED_AFTER)
        seen = running.average(now, self.latency) if is_evidence else None
        if seen is not None:
            if flow >= LEAST_FLOW:
                self.landed.append((now, seen))
            self.sources[running.source].measured(seen)
        return running

    def usual(self, now: float) -> float:
        """Bytes per second of a usual connection: the siblings' median, or what is remembered.

        Good connections are done with small pieces before they can be measured in flight, so that
        those done lately count as siblings; and the last few to fly may all be crawling.
        """
        fewest = max(FEWEST_SIBLINGS, self.allowance.share // 4)
        landed = (rate for when, rate in self.landed if now - when <= RATE_WINDOW)
        seen = usual_rate(self.flights.values(), now, self.latency, fewest, landed)
        few = 2 * len(self.flights) < self.allowance.most
        return max(seen, self.remembered()) if few else seen or self.remembered()

    def remembered(self) -> float:
        """Bytes per second of the best source's connections, 0 while unknown."""
        return max(source.rate for source in self.sources.values())
