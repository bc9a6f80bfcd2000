"""The body of one accepted answer on its way to the part file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from aimirror.download.tasks import FetchTask, Reason
from aimirror.workers.worker.files import PartFile
from aimirror.workers.worker.outcomes import Outcome, disk_outcome, upstream_outcome
from aimirror.workers.worker.reports import Reports
from aimirror.workers.worker.throttle import Throttle
from aimirror.workers.worker.writer import SpanWriter

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime


class PieceBody(Protocol):
    """Writes a body of ``[task.start, announced)``; ``ended`` fires with its Outcome, never fails.

    It ends at ``announced`` with the connection kept for the next piece, or earlier, at a trimmed
    stop, by cancelling ``ended`` or by an error: then the connection is dropped.  Silence is
    watched by the response.
    """

    #: A ``Reply`` of ``aimirror.upstream``, which can be paused and aborted.
    transport: Any

    def __init__(
        self,
        clock: IReactorTime,
        part: PartFile,
        task: FetchTask,
        announced: int,
        reports: Reports,
    ) -> None:
        self._clock = clock
        self._writer = SpanWriter(part, task.id, task.start, reports)
        self._reports = reports
        self._announced = announced
        self._asked = task.stop
        self._stop = announced
        self._throttle = Throttle(task.rate_limit)
        self._pause: IDelayedCall | None = None
        self._over = False
        self.ended: Deferred[Outcome] = Deferred(self._cancelled)

    @property
    def written(self) -> int:
        """The end of what is on file."""
        return self._writer.written

    def trim(self, stop: int) -> None:
        """End at ``stop`` already; what is on file beyond it stays."""
        self._asked = min(self._asked, stop)
        if self._over or stop >= self._stop:
            return
        self._stop = max(stop, self._writer.written)
        if self._writer.written >= self._stop:
            self._drop(Outcome(Reason.DONE))
        elif self.transport is not None:
            self.transport.gather(self._stop - self._writer.written)

    def limit(self, rate: int) -> None:
        """Another rate limit, in bytes per second; 0 is none."""
        self._throttle.rate = rate

    def dataReceived(self, data: bytes | memoryview) -> None:
        """Some bytes, in order; nothing of them is kept."""
        if self._over:
            return
        room = self._stop - self._writer.written
        try:
            if room > 0:
                self._writer.write(data if len(data) <= room else data[:room])
        except OSError as error:
            self._drop(disk_outcome(error))
            return
        if len(data) >= room and self._stop < self._announced:
            self._drop(Outcome(Reason.DONE))
        elif len(data) > room:
            self._drop(Outcome(Reason.PROTOCOL, "more bytes than announced"))
        elif self._throttle.rate > 0 and len(data) < room:
            self._slow_down(self._throttle.pause_after(len(data), self._clock.seconds()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end of the body, whole or not."""
        if self._writer.written >= self._stop:
            short = self._stop < self._asked
            self._end(Outcome(Reason.SHORT, "a shorter range") if short else Outcome(Reason.DONE))
        elif reason.check(ResponseDone, PotentialDataLoss):
            self._end(Outcome(Reason.SHORT))
        else:
            assert reason.value is not None
            self._end(upstream_outcome(reason.value))

    def _slow_down(self, wait: float) -> None:
        if wait > 0 and self._pause is None:
            self.transport.pauseProducing()
            self._pause = self._clock.callLater(wait, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self.transport.resumeProducing()

    def _cancelled(self, _: Deferred[Outcome]) -> None:
        self._drop(Outcome(Reason.CANCELLED))

    def _drop(self, outcome: Outcome) -> None:
        """End, and close the connection: the rest of the body is not wanted."""
        self._end(outcome)
        self.transport.abortConnection()

    def _end(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._reports.flush()
        self.ended.callback(outcome)
