"""Writing one upstream response into a part file as it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.sinks import FileSink, Unequal
from aimirror.exchanges.throttle import Throttle
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from aimirror.store.errors import is_full

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Bytes at the start of a stream that are written at once: the first readers wait for them, and
#: a write this small stays in the page cache.  Later ones go through a thread.
WRITTEN_AT_ONCE = 256 << 10
#: Bytes that may wait for the disk before the upstream's socket is paused.
MOST_WAITING = 2 << 20

#: Runs a blocking function elsewhere.
ToThread = Callable[..., "Deferred[Any]"]


@implementer(IReceiver)
class StreamWriter:
    """Brings the body of ``response`` to ``sink`` from offset ``start`` on, in order.

    ``wrote(start, stop)`` is called (in the reactor) as bytes get readable; an OSError that it
    raises ends the stream like one of the disk.  ``ended(result)`` is called exactly once, when
    the sink is closed.  Reaching ``stop`` before the body's end drops the connection.
    """

    log = Logger()

    def __init__(
        self,
        response: IUpstreamResponse,
        sink: FileSink,
        start: int,
        stop: int | None,
        *,
        wrote: Callable[[int, int], None],
        ended: Callable[[FetchResult], None],
        to_thread: ToThread,
        clock: IReactorTime,
        rate_limit: Callable[[], int],
    ) -> None:
        self._response = response
        self._sink = sink
        self._start = self._position = self._received = start
        self._stop = stop
        self._wrote = wrote
        self._ended: Callable[[FetchResult], None] | None = ended
        self._to_thread = to_thread
        self._clock = clock
        self._throttle = Throttle(response, clock, rate_limit)
        self._queue: list[bytes] = []
        self._busy = False
        self._result: Reason | None = None
        self._detail = ""
        #: Where it waits for ``go_on``.
        self._limit: int | None = None
        self._waiting: IDelayedCall | None = None

    def begin(self) -> None:
        """Start the flow, unless it was cancelled already."""
        if self._result is None:
            self._response.deliver(self)
            self._gather()

    def linger(self, limit: int, seconds: float) -> None:
        """Read no further than about ``limit`` bytes before ``go_on`` or ``trim``.

        It goes on by itself after so many seconds, and does not linger a second time.
        """
        if self._waiting is not None:
            return
        self._limit = self._start + limit
        self._waiting = self._clock.callLater(seconds, self.go_on)

    def go_on(self) -> None:
        """Linger no longer."""
        if self._limit is None:
            return
        self._limit = None
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        if self._result is None and not self._full():
            self._throttle.release()

    def _full(self) -> bool:
        lingers = self._limit is not None and self._received >= self._limit
        return lingers or (self._busy and self._received - self._position > MOST_WAITING)

    def trim(self, stop: int) -> None:
        """End at ``stop``; of what comes after, only what was received already is written."""
        self.go_on()
        self._stop = stop if self._stop is None else min(self._stop, stop)
        if self._received >= self._stop:
            self._drop(Reason.DONE)
        else:
            self._gather()

    def _gather(self) -> None:
        """Wake us seldom; the writing of a few bytes costs two threads as much as that of many."""
        stop, length = self._stop, self._response.length
        if stop is None and length is not None:
            stop = self._start + length
        if self._result is None and stop is not None:
            self._response.gather(stop - self._received)

    def cancel(self) -> None:
        """Give up; ``ended`` is called with CANCELLED once nothing is being written."""
        self._queue.clear()
        self._drop(Reason.CANCELLED)

    def data(self, chunk: bytes) -> None:
        """Some bytes arrived."""
        if self._result is not None:
            return
        if self._stop is not None and self._received + len(chunk) > self._stop:
            self._take(chunk[: max(0, self._stop - self._received)])
            self._drop(Reason.DONE)
        else:
            self._take(chunk)

    def finished(self, error: UpstreamError | None) -> None:
        """The body is over."""
        if error is not None:
            self._over(error.reason, error.detail)
        elif self._stop is not None and self._received < self._stop:
            self._over(Reason.SHORT)
        else:
            self._over(Reason.DONE)

    # -- writing ---------------------------------------------------------------------------

    def _take(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._throttle.took(len(chunk))
        self._received += len(chunk)
        self._queue.append(chunk)
        if self._full():
            self._throttle.hold()
        if self._busy:
            return
        if self._received - self._start <= WRITTEN_AT_ONCE:
            self._write_now()
        else:
            self._write_aside()

    def _next(self) -> bytes:
        data = b"".join(self._queue)
        self._queue.clear()
        return data

    def _write_now(self) -> None:
        data = self._next()
        try:
            self._sink.write(self._position, data)
            self._written(len(data))
        except OSError as error:
            self._disk_failed(error)

    def _write_aside(self) -> None:
        data = self._next()
        self._busy = True
        writing = self._to_thread(self._sink.write, self._position, data)
        writing.addCallbacks(lambda _: self._aside(len(data)), lambda f: self._aside(0, f.value))
        writing.addErrback(lambda f: self.log.failure("writing a part failed", f))

    def _aside(self, count: int, problem: BaseException | None = None) -> None:
        """A thread is done with writing."""
        self._busy = False
        try:
            if problem is not None:
                raise problem
            self._written(count)
        except OSError as error:
            self._disk_failed(error)
        except Exception as error:
            self.log.failure("writing a part failed")
            self._disk_failed(OSError(0, str(error)))
        if self._queue:
            self._write_aside()
        elif self._result is None and not self._full():
            self._throttle.release()
        self._report()

    def _written(self, count: int) -> None:
        start, self._position = self._position, self._position + count
        if self._ended is not None and count:
            self._wrote(start, self._position)

    # -- the end ---------------------------------------------------------------------------

    def _disk_failed(self, error: OSError) -> None:
        self._queue.clear()
        self._result = None
        reason = Reason.DISK_FULL if is_full(error) else Reason.DISK
        if isinstance(error, Unequal):
            reason = Reason.CHANGED
        self._drop(reason, error.strerror or str(error))

    def _drop(self, reason: Reason, detail: str = "") -> None:
        """End, and close the connection: the rest of the body is not wanted."""
        self._over(reason, detail)
        self._response.abort()

    def _over(self, reason: Reason, detail: str = "") -> None:
        if self._result is None:
            self._result, self._detail = reason, detail
        self.go_on()
        self._throttle.stop()
        self._report()

    def _report(self) -> None:
        """Tell the end once every byte that arrived is written."""
        if self._result is None or self._busy or self._queue or self._ended is None:
            return
        ended, self._ended = self._ended, None
        self._sink.close()
        ended(FetchResult(self._result, self._position, detail=self._detail))
