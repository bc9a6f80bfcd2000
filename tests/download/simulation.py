"""A world in virtual time for the download machine: connections with a rate, a delay and faults."""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import Factory, define, evolve

from aimirror.download.assignment import Assignment
from aimirror.download.commands import (
    Cancel,
    Command,
    Complete,
    Fail,
    Fetch,
    FetchWhole,
    Hash,
    Refused,
    Resolve,
    Restart,
    Trim,
    Wake,
)
from aimirror.download.connections import Allowance
from aimirror.download.download import Download
from aimirror.download.life import Phase
from aimirror.download.plan import Demand
from aimirror.download.spans import Spans
from aimirror.download.tasks import FetchResult, Reason

MB = 1_000_000
STEP = 0.01
#: Seconds after which a connection that brings no more bytes is given up by its worker.
SILENCE = 30.0


@define
class Connection:
    """One simulated request: ``rate`` bytes/s after ``delay`` s; ``dies_after`` bytes, or never."""

    id: int
    position: float
    start: int
    stop: int
    opened: float
    delay: float
    rate: float
    dies_after: float = float("inf")
    fails: FetchResult | None = None
    served: bool = True
    source: int = 0


@define
class World:
    """Carries out the machine's commands; ``behave(n)`` gives rate and faults of connection n."""

    machine: Download
    behave: Callable[[int], dict[str, object]]
    rtt: float = 0.03
    now: float = 100.0
    fetched: int = 0
    opened: int = 0
    refused: int = 0
    #: Bytes/s of all connections of a source together, where its host limits that.
    host_rates: dict[int, float] = Factory(dict)
    found: list[int] = Factory(list)
    coming: list[tuple[int, int, int]] = Factory(list)
    #: Connections that the host bears, and what one more gets; a silent one has no end.
    bears: int = 1000
    overload: FetchResult | None = None
    connections: dict[int, Connection] = Factory(dict)
    outcome: Command | None = None
    log: list[Command] = Factory(list)
    covered: Spans = Factory(Spans)

    def refusal(self, start: int) -> dict[str, object]:
        """What one connection too many gets."""
        if sum(c.served for c in self.connections.values()) < self.bears:
            return {}
        if self.overload is None:
            return {"served": False, "delay": float("inf")}
        return {"served": False, "fails": evolve(self.overload, stop=start)}

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            self.log.append(command)
            match command:
                case Fetch(id=i, source=source, start=start, stop=stop):
                    assert 0 <= start < stop <= self.machine.total
                    self.opened += 1
                    delay = self.rtt * (
                        2 if self.opened <= self.machine.assignment.allowance.share else 1
                    )
                    made = {"delay": delay, "rate": 1.0 * MB, **self.behave(self.opened)}
                    made.update(self.refusal(start), source=source)
                    self.connections[i] = Connection(
                        i,
                        start,
                        start,
                        stop,
                        self.now,
                        **made,  # type: ignore[arg-type]
                    )
                case Trim(id=i, stop=stop):
                    if i in self.connections:
                        self.connections[i].stop = stop
                case Cancel(id=i):
                    self.connections.pop(i, None)
                case Hash(stop=stop):
                    assert self.machine.written.covers(0, stop), "hashed what is not written"
                    digests = {"sha256": "right"} if stop == self.machine.total else {}
                    self.carry_out(self.machine.hashed(stop, digests, self.now))
                case Resolve(source=source):
                    self.carry_out(self.machine.resolved(source, self.now))
                case FetchWhole(id=i):
                    total = self.machine.total
                    self.connections[i] = Connection(i, 0, 0, total, self.now, self.rtt, MB)
                case Complete() | Fail() | Restart():
                    self.outcome = command
                case Wake() | Refused():
                    self.refused += isinstance(command, Refused)

    def read_in_parts(self, readers: int, order: int) -> None:
        """A client that reads so many equal parts at once, each as fast as it comes."""
        size = -(-self.machine.total // readers)
        parts = [(n * size, min(self.machine.total, (n + 1) * size)) for n in range(readers)]
        self.coming = [(n, *part) for n, part in enumerate(parts)][::order]

    def all_have_come(self) -> None:
        """Whoever reads has waited for the header."""
        readers = {n: Demand(start, stop) for n, start, stop in self.coming}
        self.machine.assignment.demands.update(readers)
        self.coming = []

    def _read(self) -> None:
        """One more part is asked for in each step; those that are read go on."""
        if self.coming:
            number, start, stop = self.coming.pop(0)
            self.carry_out(self.machine.joined(number, start, stop, self.now))
        for reader, demand in list(self.machine.assignment.demands.items()):
            end = min(demand.stop, self.machine.readable(demand.position))
            if end >= demand.stop:
                self.machine.left(reader)
            elif end > demand.position:
                self.machine.advanced(reader, end)

    def step(self) -> None:
        self.now += STEP
        self._read()
        if self.found and self.opened and self.now > 100.0 + self.rtt:
            source = self.found.pop()
            self.carry_out(self.machine.add_source(source, self.now))
            self.carry_out(self.machine.moved_in(source, self.now))
        for connection in list(self.connections.values()):
            self._move(connection)
            if self.outcome is not None:
                return
        self.carry_out(self.machine.tick(self.now))

    def _move(self, c: Connection) -> None:
        if c.id not in self.connections or self.now - c.opened < c.delay:
            return
        if c.fails is not None:
            self._end(c, c.fails)
            return
        before = int(c.position)
        c.position = min(c.stop, c.position + self._rate(c) * STEP, c.start + c.dies_after)
        if int(c.position) > before:
            self.fetched += int(c.position) - before
            self.covered = self.covered.add(before, int(c.position))
            self.carry_out(self.machine.wrote(c.id, before, int(c.position), self.now))
        if c.id in self.connections and c.position >= c.stop:
            self._end(c, FetchResult(Reason.DONE, c.stop, latency=self.rtt))
        elif self.now - c.opened > SILENCE and c.position >= c.start + c.dies_after:
            self._end(c, FetchResult(Reason.SILENT, int(c.position)))

    def _rate(self, c: Connection) -> float:
        """What it brings: its own rate, or its part of its host's."""
        if c.source not in self.host_rates:
            return c.rate
        flowing = [
            other
            for other in self.connections.values()
            if other.source == c.source and self.now - other.opened >= other.delay
        ]
        return min(c.rate, self.host_rates[c.source] / max(1, len(flowing)))

    def _end(self, c: Connection, result: FetchResult) -> None:
        del self.connections[c.id]
        self.carry_out(self.machine.ended(c.id, result, self.now))

    def run(self, seconds: float = 600.0) -> float:
        """Seconds until the outcome; fails when there is none within ``seconds``."""
        begun = self.now
        total = self.machine.total
        probe = (0, total if self.machine.assignment.unproven else min(1 << 20, total))
        self.machine.assignment.latency = self.rtt
        self.connections[0] = Connection(
            0,
            0,
            0,
            probe[1],
            self.now,
            0.0,
            **{"rate": MB, **self.behave(0)},  # type: ignore[arg-type]
        )
        self.carry_out(self.machine.begin(self.now, probe))
        while self.outcome is None:
            assert self.now - begun < seconds, f"no end: {self.machine!r}"
            self.step()
        return self.now - begun


def machine(
    total: int = 64 * MB,
    slots: int = 20,
    digest: tuple[str, str] | None = None,
    **rest: object,
) -> Download:
    jitter = random.Random(7).random
    assignment = Assignment(total=total, allowance=Allowance(slots), jitter=jitter, **rest)  # type: ignore[arg-type]
    return Download(assignment, digest)


__all__ = ["MB", "Connection", "Phase", "World", "machine"]
