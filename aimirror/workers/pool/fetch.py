"""A fetch as the parent sees it: waiting for a slot, then running in a worker."""

from __future__ import annotations

import enum
from collections.abc import Callable

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aimirror.download.tasks import FetchResult, FetchTask, Reason
from aimirror.http import urls
from aimirror.interfaces import IFetch
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import Link
from aimirror.workers.wire.tasks import TaskTooLarge, pack_task, unpack_result

log = Logger()


class _State(enum.Enum):
    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


@implementer(IFetch)
class PoolFetch:
    """One piece; ``task.id`` is the pool's own number for it.

    ``position`` is the end of what was reported as written: a worker's word counts only where it
    continues there and stays inside the task.
    """

    def __init__(self, task: FetchTask, wrote: Callable[[int, int], None]) -> None:
        self.task = task
        self.position = task.start
        self.result: Deferred[FetchResult] = Deferred(lambda _: self.cancel())
        #: The host by which its connection is counted.
        self.host = urls.authority(task.url)
        #: Whether its host has room for a new connection for it.
        self.has_room = False
        #: Ends the wait for that.
        self.leave: Callable[[], None] = lambda: None
        #: Is told of the worker's result before its owner is.
        self.ending: Callable[[FetchResult], FetchResult] = lambda result: result
        self._wrote = wrote
        self._state = _State.WAITING
        self._link: Link | None = None

    @property
    def waiting(self) -> bool:
        """Whether it still wants a worker."""
        return self._state is _State.WAITING

    def trim(self, stop: int) -> None:
        """End earlier: bytes from ``stop`` on are somebody else's."""
        if self._link is not None:
            self._link.tell(commands.Trim, id=self.task.id, stop=stop)
        elif stop <= self.task.start:
            self.leave()
            self.end(Reason.DONE)
        elif stop < self.task.stop:
            self.task = evolve(self.task, stop=stop)

    def limit(self, rate: int) -> None:
        """Another rate limit, in bytes per second."""
        if rate == self.task.rate_limit:
            return
        self.task = evolve(self.task, rate_limit=rate)
        if self._link is not None:
            self._link.tell(commands.Limit, id=self.task.id, rate=rate)

    def cancel(self) -> None:
        """Give up; ``result`` fires with CANCELLED (or what it had come to)."""
        if self._link is not None:
            self._link.tell(commands.Cancel, id=self.task.id)
        else:
            self.leave()  # first: the host's book has it no more once its owner knows
            self.end(Reason.CANCELLED)

    def run(self, link: Link) -> Deferred[None]:
        """Send it to a worker.  Fires, never fails, when it is over."""
        try:
            packed = pack_task(self.task)
        except TaskTooLarge as error:
            self.end(Reason.PROTOCOL, str(error))
            return succeed(None)
        self._state = _State.RUNNING
        self._link = link
        return link.ask(commands.Fetch, task=packed).addCallbacks(self._answered, self._lost)

    def wrote(self, start: int, stop: int) -> None:
        """The worker says that ``[start, stop)`` is written."""
        if self._state is not _State.RUNNING:
            return
        if start != self.position or not start < stop <= self.task.stop:
            log.error(
                "Fetch {id} at {position} of {task_stop}: a worker reported [{start}, {stop})",
                id=self.task.id,
                position=self.position,
                task_stop=self.task.stop,
                start=start,
                stop=stop,
            )
            return
        self.position = stop
        self._wrote(start, stop)

    def end(self, reason: Reason, detail: str = "") -> None:
        """It is over for a reason of the pool's own."""
        self._over(FetchResult(reason, self.position, detail=detail))

    def _answered(self, answer: dict[str, bytes]) -> None:
        result = unpack_result(answer["result"])
        if result.stop != self.position:
            detail = f"ended at {result.stop}, reported {self.position}"
            log.error("Fetch {id}: {detail}", id=self.task.id, detail=detail)
            result = FetchResult(Reason.WORKER_LOST, self.position, detail=detail)
        self._over(result)

    def _lost(self, failure: Failure) -> None:
        self.end(Reason.WORKER_LOST, type(failure.value).__name__)

    def _over(self, result: FetchResult) -> None:
        if self._state is not _State.OVER:
            self._state = _State.OVER
            self._link = None
            self.result.callback(self.ending(result))
