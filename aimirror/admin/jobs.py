"""Work that administrators start and that takes a while: verifying, fetching ahead."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from attrs import Factory, define
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Jobs that run at one time, and jobs of which is told, the running ones included.
MOST_RUNNING = 4
MOST_KNOWN = 50
#: Failures that a job remembers.
MOST_FAILURES = 200


class TooManyJobs(Exception):
    """Wait for one to end."""


@define(eq=False)
class Job:
    """One piece of work and how far it is; times are epoch seconds."""

    id: int
    kind: str
    what: str
    started: float
    ended: float | None = None
    #: running, done, failed or cancelled.
    state: str = "running"
    #: Items in all, once that is known, and items that are through.
    total: int | None = None
    done: int = 0
    #: Of those, what the cache had already.
    cached: int = 0
    #: Bytes that came or were read, and how many it will be, where that is known.
    bytes: int = 0
    total_bytes: int | None = None
    #: The item that was begun last.
    current: str = ""
    #: Items whose sizes are known, and the sum of those that come or came.
    sized: int = 0
    expected: int = 0
    failures: list[tuple[str, str]] = Factory(list)
    failed: int = 0
    message: str = ""
    work: Deferred[None] | None = None
    #: Brings the numbers up to date, for work that is watched rather than tells.
    look: Callable[[], None] | None = None

    def begin(self, item: str) -> None:
        """One item is next."""
        self.current = item

    def expect(self, size: int) -> None:
        """One more item's size is known."""
        self.sized += 1
        self.expected += size

    @property
    def likely_bytes(self) -> int | None:
        """``total_bytes``, or what it is likely to be by the items that are known; else None."""
        if self.total_bytes is not None or not self.sized or self.total is None:
            return self.total_bytes
        left = max(0, self.total - max(self.sized, self.done))
        return self.expected + left * self.expected // self.sized

    def fail(self, item: str, why: str) -> None:
        """One item went wrong."""
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append((item, why))

    def told(self) -> dict[str, Any]:
        """For the API."""
        if self.look is not None:
            self.look()
        return {
            "id": self.id,
            "kind": self.kind,
            "what": self.what,
            "state": self.state,
            "started": self.started,
            "ended": self.ended,
            "total": self.total,
            "done": self.done,
            "cached": self.cached,
            "bytes": self.bytes,
            "total_bytes": self.total_bytes,
            "likely_bytes": self.likely_bytes,
            "current": self.current if self.state == "running" else "",
            "failed": self.failed,
            "failures": [{"item": item, "why": why} for item, why in self.failures],
            "message": self.message,
        }


class Jobs:
    """The jobs of one service; they end with it."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._ids = itertools.count(1)
        self._known: dict[int, Job] = {}

    def start(self, kind: str, what: str, run: Callable[[Job], Awaitable[None]]) -> Job:
        """Begin; raises TooManyJobs.  ``run`` keeps the job's numbers."""
        if sum(job.state == "running" for job in self._known.values()) >= MOST_RUNNING:
            raise TooManyJobs
        job = Job(next(self._ids), kind, what[:200], self._clock.seconds())
        self._known[job.id] = job
        while len(self._known) > MOST_KNOWN:
            done = next(key for key, old in self._known.items() if old.state != "running")
            del self._known[done]
        job.work = Deferred.fromCoroutine(self._run(job, run))
        job.work.addErrback(lambda failure: self._broken(job, failure))
        return job

    def find(self, number: int) -> Job | None:
        """The job of an id."""
        return self._known.get(number)

    def all(self) -> tuple[Job, ...]:
        """The newest first."""
        return tuple(reversed(self._known.values()))

    def stop(self) -> Deferred[None]:
        """Cancel what runs; fires when it has ended."""
        works = [job.work for job in self._known.values() if job.work is not None]
        for work in works:
            work.cancel()
        return gatherResults(works).addCallback(lambda _: None)

    async def _run(self, job: Job, run: Callable[[Job], Awaitable[None]]) -> None:
        try:
            await run(job)
            job.state = "failed" if job.failed and job.failed == job.total else "done"
        except CancelledError:
            job.state = "cancelled"
        except (OSError, ValueError) as error:
            job.state, job.message = "failed", str(error)
        finally:
            job.ended = self._clock.seconds()

    def _broken(self, job: Job, failure: Failure) -> None:
        self.log.failure("job {id} ({kind}) broke", failure, id=job.id, kind=job.kind)
        job.state, job.message = "failed", "a fault in the mirror; its log has the details"
