"""A host in virtual time, and all downloads from it: what clients wait for in the end."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

from attrs import Factory, define

from aimirror.download.assignment import PROBE, Assignment
from aimirror.download.commands import Cancel, Command, Complete, Fetch, Hash, Trim
from aimirror.download.connections import Allowance, useful
from aimirror.download.download import Download
from aimirror.download.life import Phase
from aimirror.download.plan import FIRST_PIECE
from aimirror.download.shares import Need, shares
from aimirror.download.tasks import FetchResult, Reason

STEP = 0.05


@define
class File:
    """What a client wants, and when it had it all."""

    size: int
    client: str = ""
    asked_at: float = 0.0
    done_at: float | None = None


@define
class Link:
    """One connection's work."""

    start: int
    stop: int
    position: float
    flows_at: float


@define(eq=False)
class Job:
    """One running download."""

    file: File
    machine: Download
    links: dict[int, Link] = Factory(dict)

    @property
    def need(self) -> Need:
        left = self.machine.assignment.missing()
        return Need(left, useful(left, 20), len(self.links), (self.file.client,))


@define
class Host:
    """``limit`` connections of ``rate`` bytes/s; clients ask for ``at_once`` files at a time."""

    queues: dict[str, deque[File]]
    limit: int = 64
    rate: float = 900_000.0
    rtt: float = 0.03
    at_once: int = 50
    now: float = 0.0
    fetched: int = 0
    requests: int = 0
    busiest: int = 0
    cancels: int = 0
    #: Bytes/s of a connection to it, as learned so far.
    known: float = 0.0
    jobs: list[Job] = Factory(list)
    waiting: deque[File] = Factory(deque)

    @property
    def busy(self) -> int:
        return sum(len(job.links) for job in self.jobs)

    def run(self, seconds: float = 300.0) -> float:
        """Seconds until every file is there."""
        while any(self.queues.values()) or self.jobs or self.waiting:
            assert self.now < seconds, "no end"
            self.turn()
        return self.now

    def turn(self) -> None:
        """One step."""
        self._arrive()
        self._share()
        self.busiest = max(self.busiest, self.busy)
        self._step()

    def _arrive(self) -> None:
        for client, queue in self.queues.items():
            open_ = [f for f in self.waiting if f.client == client]
            open_ += [j.file for j in self.jobs if j.file.client == client]
            for _ in range(min(len(queue), self.at_once - len(open_))):
                file = queue.popleft()
                file.client, file.asked_at = client, self.now
                self.waiting.append(file)
        while self.waiting and self.busy < self.limit:
            self._begin(self.waiting.popleft())

    def _begin(self, file: File) -> None:
        """A first request, its header after two round trips."""
        assignment = Assignment(
            total=file.size, allowance=Allowance(0), jitter=random.Random(1).random
        )
        assignment.latency = self.rtt
        assignment.sources[0].rate = self.known
        job = Job(file, Download(assignment, ("sha256", "right")))
        probe = (0, min(FIRST_PIECE, file.size))
        job.links[PROBE] = Link(*probe, 0.0, self.now + 2 * self.rtt)
        self.requests += 1
        self.jobs.append(job)
        self._do(job, job.machine.begin(self.now, probe))

    def _share(self) -> None:
        room = self.limit - len(self.waiting)
        for job, share in zip(
            self.jobs, shares([job.need for job in self.jobs], room), strict=True
        ):
            self._do(job, job.machine.allowed(share, self.now))

    def _do(self, job: Job, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Fetch(id=i, start=start, stop=stop):
                    job.links[i] = Link(start, stop, start, self.now + self.rtt)
                    self.requests += 1
                case Trim(id=i, stop=stop):
                    job.links[i].stop = stop
                case Cancel(id=i):
                    self.cancels += job.links.pop(i, None) is not None
                case Hash(stop=stop):
                    right = {"sha256": "right"} if stop == job.file.size else {}
                    self._do(job, job.machine.hashed(stop, right, self.now))
                case Complete():
                    job.file.done_at = self.now

    def _step(self) -> None:
        self.now += STEP
        for job in self.jobs:
            for i, link in list(job.links.items()):
                if i in job.links and self.now > link.flows_at:
                    self._move(job, i, link)
            if job.machine.phase is Phase.FILLING:
                self._do(job, job.machine.tick(self.now))
        self.jobs = [job for job in self.jobs if job.machine.phase is not Phase.DONE]

    def _move(self, job: Job, i: int, link: Link) -> None:
        before = int(link.position)
        flow = min(STEP, self.now - link.flows_at) * self.rate
        link.position = min(link.stop, link.position + flow)
        after = int(link.position)
        if after > before:
            self.fetched += after - before
            self._do(job, job.machine.wrote(i, before, after, self.now))
        if i in job.links and after >= link.stop:
            del job.links[i]
            done = FetchResult(Reason.DONE, link.stop, latency=self.rtt)
            self._do(job, job.machine.ended(i, done, self.now))
            self.known = job.machine.assignment.sources[0].rate or self.known


def bound(files: Sequence[File], host: Host, concurrency: int = 20) -> float:
    """No mirror could be faster: from when something was asked for all connections are busy.

    The largest file has at most ``concurrency`` of them.
    """
    whole = host.limit * host.rate
    ends = [f.asked_at + f.size / (concurrency * host.rate) for f in files]
    left = 0
    for file in sorted(files, key=lambda f: -f.asked_at):
        left += file.size
        ends.append(file.asked_at + left / whole)
    return max(ends) + 2 * host.rtt


__all__ = ["File", "Host", "bound"]
