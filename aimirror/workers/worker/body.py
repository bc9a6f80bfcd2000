"""The body of one accepted answer on its way to the part file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from aimirror.download.tasks import FetchTask, Reason
from aimirror.workers.worker.files import PartFile
from aimirror.workers.worker.gathering import Gathering, Pace
from aimirror.workers.worker.outcomes import Outcome, disk_outcome, upstream_outcome
from aimirror.workers.worker.throttle import Throttle
from aimirror.workers.worker.writer import SpanWriter

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds without a byte after which the kernel is asked for every single one again.
SILENT_AFTER = 0.2


class PieceBody(Protocol):
    """Writes a body of ``[task.start, announced)``; ``ended`` fires with its Outcome, never fails.

    It ends at ``announced`` with the connection kept for the next piece, or earlier, at a trimmed
    stop, by cancelling ``ended`` or by an error: then the connection is dropped.  Silence is
    watched by the response.  ``pace`` is what other pieces from the host have measured.
    """

    #: A ``Reply`` of ``aimirror.upstream``, which can be paused and aborted.
    transport: Any

    def __init__(
        self,
        clock: IReactorTime,
        part: PartFile,
        task: FetchTask,
        announced: int,
        wrote: Callable[[int, int], None],
        pace: Pace | None = None,
    ) -> None:
        self._clock = clock
        self._writer = SpanWriter(clock, part, task.start, wrote, self._disk_failed)
        self._announced = announced
        self._asked = task.stop
        self._stop = announced
        self._throttle = Throttle(task.rate_limit)
        self._pause: IDelayedCall | None = None
        self._gathering = Gathering(clock.seconds(), pace)
        self._gathered = 1
        self._moved_at = 0.0
        self._watch: IDelayedCall | None = None
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
        self._writer.cut(self._stop)
        if self._writer.position >= self._stop:
            self._drop(Outcome(Reason.DONE))

    def limit(self, rate: int) -> None:
        """Another rate limit, in bytes per second; 0 is none."""
        self._throttle.rate = rate

    def dataReceived(self, data: bytes) -> None:
        """Some bytes, in order."""
        if self._over:
            return
        room = self._stop - self._writer.position
        self._gather(len(data), room)
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
        if self._writer.position >= self._stop:
            short = self._stop < self._asked
            self._end(Outcome(Reason.SHORT, "a shorter range") if short else Outcome(Reason.DONE))
        elif reason.check(ResponseDone, PotentialDataLoss):
            self._end(Outcome(Reason.SHORT))
        else:
            assert reason.value is not None
            self._end(upstream_outcome(reason.value))

    def _gather(self, count: int, room: int) -> None:
        """Ask the kernel for more bytes at a time, as far as nobody waits for them."""
        now = self._moved_at = self._clock.seconds()
        wanted = self._gathering.took(count, min(room, self._announced) - count, now)
        if wanted != self._gathered:
            self._set_gathered(wanted)

    def _set_gathered(self, count: int) -> None:
        self._gathered = count
        self.transport.gather(count)
        if count > 1 and self._watch is None:
            self._watch = self._clock.callLater(SILENT_AFTER, self._look)

    def _look(self) -> None:
        """A connection that has become slow or silent is read byte by byte again."""
        self._watch = None
        if self._gathered > 1:
            if self._clock.seconds() - self._moved_at >= SILENT_AFTER:
                self._set_gathered(self._gathering.silent())
            else:
                self._watch = self._clock.callLater(SILENT_AFTER, self._look)

    def _slow_down(self, wait: float) -> None:
        if wait > 0 and self._pause is None:
            self.transport.pauseProducing()
            self._pause = self._clock.callLater(wait, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self.transport.resumeProducing()

    def _disk_failed(self, error: OSError) -> None:
        self._drop(disk_outcome(error))

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
        for timer in (self._pause, self._watch):
            if timer is not None:
                timer.cancel()
        self._pause = self._watch = None
        try:
            if outcome.reason not in (Reason.DISK, Reason.DISK_FULL):
                self._writer.flush()
        except OSError as error:
            outcome = disk_outcome(error)
        self._writer.close()
        self.ended.callback(outcome)
