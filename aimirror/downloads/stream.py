"""Writing one upstream response into a part file as it arrives."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from aimirror.core.fetching import FetchResult, Reason
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Bytes at the start of a stream that are written at once: the first readers wait for them, and
#: a write this small stays in the page cache.  Later ones go through a thread.
WRITTEN_AT_ONCE = 256 << 10
#: Bytes that may wait for the disk before the upstream's socket is paused.
MOST_WAITING = 2 << 20

#: Runs a blocking function elsewhere.
ToThread = Callable[..., "Deferred[Any]"]


#: Seconds ahead of its rate limit that a stream may be.
THROTTLE_STEP = 0.05
#: errno values that mean that there is no room.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileSink:
    """Writes into a part file and feeds running hashes, one call at a time, in any thread.

    Owns its descriptor, so that nothing closes it under a thread that writes.
    """

    def __init__(self, path: str, hashes: Iterable[Any] = ()) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._hashes = tuple(hashes)

    def write(self, offset: int, data: bytes) -> None:
        """Write all of ``data`` at ``offset``; raises OSError."""
        left = memoryview(data)
        while left:
            count = os.pwrite(self._fd, left, offset)
            offset += count
            left = left[count:]
        for running in self._hashes:
            running.update(data)

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@implementer(IReceiver)
class StreamWriter:
    """Brings the body of ``response`` to ``sink`` from offset ``start`` on, in order.

    ``wrote(start, stop)`` is called (in the reactor) as bytes get readable and ``ended(result)``
    exactly once, when the sink is closed.  Bytes at or past ``stop`` are never written; reaching
    a ``stop`` before the body's end drops the connection.
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
        self._rate_limit = rate_limit
        self._due = 0.0
        self._throttled = False
        self._queue: list[bytes] = []
        self._busy = False
        self._paused = False
        self._result: Reason | None = None
        self._detail = ""

    def begin(self) -> None:
        """Start the flow."""
        self._response.deliver(self)

    def trim(self, stop: int) -> None:
        """End at ``stop``: what comes after is somebody else's."""
        self._stop = stop if self._stop is None else min(self._stop, stop)
        if self._received >= self._stop:
            self._over(Reason.DONE)
            self._response.abort()

    def cancel(self) -> None:
        """Give up; ``ended`` is called with CANCELLED once nothing is being written."""
        self._queue.clear()
        self._over(Reason.CANCELLED)
        self._response.abort()

    def data(self, chunk: bytes) -> None:
        """Some bytes arrived."""
        if self._result is not None:
            return
        if self._stop is not None and self._received + len(chunk) > self._stop:
            chunk = chunk[: max(0, self._stop - self._received)]
            self._take(chunk)
            self._over(Reason.DONE)
            self._response.abort()
            return
        self._take(chunk)

    def finished(self, error: UpstreamError | None) -> None:
        """The body is over."""
        if error is None:
            short = self._stop is not None and self._received < self._stop
            self._over(Reason.SHORT if short else Reason.DONE)
        else:
            self._over(error.reason, error.detail)

    def _throttle(self, count: int) -> None:
        """Pause for as long as ``count`` bytes take at the rate limit."""
        rate, now = self._rate_limit(), self._clock.seconds()
        if rate <= 0:
            return
        self._due = max(now, self._due) + count / rate
        if self._due - now > THROTTLE_STEP and not self._throttled:
            self._throttled = True
            self._response.pause()
            self._clock.callLater(self._due - now, self._unthrottle)

    def _unthrottle(self) -> None:
        self._throttled = False
        if not self._paused and self._result is None:
            self._response.resume()

    def _take(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._throttle(len(chunk))
        self._received += len(chunk)
        self._queue.append(chunk)
        if self._busy:
            waiting = self._received - self._position
            if waiting > MOST_WAITING and not self._paused:
                self._paused = True
                self._response.pause()
        elif self._received - self._start <= WRITTEN_AT_ONCE:
            self._write_now()
        else:
            self._write_aside()

    def _write_now(self) -> None:
        data, offset = b"".join(self._queue), self._position
        self._queue.clear()
        try:
            self._sink.write(offset, data)
        except OSError as error:
            self._disk_failed(error)
            return
        self._written(len(data))

    def _write_aside(self) -> None:
        data = b"".join(self._queue)
        self._queue.clear()
        self._busy = True
        writing = self._to_thread(self._sink.write, self._position, data)
        writing.addCallbacks(
            lambda _: self._written_aside(len(data)), lambda f: self._aside_failed(f.value)
        )
        writing.addErrback(lambda f: self.log.failure("writing a part failed", f))

    def _written_aside(self, count: int) -> None:
        self._busy = False
        self._written(count)
        if self._queue:
            self._write_aside()
        elif self._paused and self._result is None:
            self._paused = False
            if not self._throttled:
                self._response.resume()
        self._report()

    def _aside_failed(self, error: BaseException) -> None:
        self._busy = False
        if isinstance(error, OSError):
            self._disk_failed(error)
        else:
            self._over(Reason.DISK, str(error))

    def _disk_failed(self, error: OSError) -> None:
        self._queue.clear()
        self._result = None
        full = error.errno in _FULL
        self._over(Reason.DISK_FULL if full else Reason.DISK, error.strerror or str(error))
        self._response.abort()

    def _written(self, count: int) -> None:
        start, self._position = self._position, self._position + count
        if self._ended is not None:
            self._wrote(start, self._position)

    def _over(self, reason: Reason, detail: str = "") -> None:
        if self._result is None:
            self._result, self._detail = reason, detail
        self._report()

    def _report(self) -> None:
        """Tell the end once every byte that arrived is written."""
        if self._result is None or self._busy or self._queue or self._ended is None:
            return
        ended, self._ended = self._ended, None
        self._sink.close()
        ended(FetchResult(self._result, self._position, detail=self._detail))
