"""Gathers the bytes of one piece, writes them in large calls and reports what is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aimirror.workers.worker.files import PartFile

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Bytes gathered before they are written: TLS brings 16 KiB at a time, a call per record is dear.
GATHER = 256 << 10
#: Buffers gathered before they are written, well below the kernel's IOV_MAX of 1024.
MOST_BUFFERS = 512
#: Bytes written before the parent is told, and seconds after which it is told in any case:
#: a message costs both processes some 50 microseconds, a reader notices a twentieth of a second.
REPORT_BYTES = 4 << 20
REPORT_EVERY = 0.05
#: The same, reached step by step: who has waited for a piece's first bytes has them, and a slow
#: connection's next ones fill no reader's window.
REPORT_AT_LEAST_EVERY = 0.2
REPORT_STEP = 1.5


class SpanWriter:
    """Writes ``[start, ...)`` of a part file in order; calls ``wrote(start, stop)`` behind it.

    The first bytes are written and reported at once, since a reader may wait for them; later
    ones when there are many or after REPORT_EVERY seconds, in the end REPORT_AT_LEAST_EVERY.
    ``failed`` gets an OSError that occurs on that timer; the methods raise it.
    """

    def __init__(
        self,
        clock: IReactorTime,
        part: PartFile,
        start: int,
        wrote: Callable[[int, int], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._clock = clock
        self._part = part
        self._wrote = wrote
        self._failed = failed
        self._held: list[bytes] = []
        self._timer: IDelayedCall | None = None
        self._every = REPORT_EVERY
        self._reported = start
        #: The end of what is on file, and of what was taken in.
        self.written = start
        self.position = start

    def write(self, data: bytes) -> None:
        """Take in the next bytes.  Raises OSError."""
        first = self.written == self._reported and not self._held and self._timer is None
        self._held.append(data)
        self.position += len(data)
        if first:
            self.flush()
        elif self.position - self.written >= GATHER or len(self._held) >= MOST_BUFFERS:
            self._write_held()
            if self.written - self._reported >= REPORT_BYTES:
                self._report()
        if self._timer is None:
            self._timer = self._clock.callLater(self._every, self._due)

    def flush(self) -> None:
        """Write and report all that was taken in.  Raises OSError; what is written is reported."""
        try:
            self._write_held()
        finally:
            self._report()

    def cut(self, stop: int) -> None:
        """Forget what was taken in from ``stop`` on, as far as it is not written yet."""
        excess = self.position - max(stop, self.written)
        while excess > 0:
            last = self._held.pop()
            kept = last[: max(0, len(last) - excess)]
            excess -= len(last) - len(kept)
            self.position -= len(last) - len(kept)
            if kept:
                self._held.append(kept)

    def close(self) -> None:
        """Stop the timer; what is held is dropped, what is written is reported."""
        self._report()
        self._held.clear()
        self.position = self.written
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._held or self.written > self._reported:
            self._every = min(REPORT_AT_LEAST_EVERY, self._every * REPORT_STEP)
            self._timer = self._clock.callLater(self._every, self._due)
            try:
                self.flush()
            except OSError as error:
                self._failed(error)

    def _write_held(self) -> None:
        while self._held:
            count = self._part.write(self._held, self.written)
            self.written += count
            self._drop(count)

    def _drop(self, count: int) -> None:
        """The first ``count`` held bytes are written: usually all of them."""
        if self.written == self.position:
            self._held.clear()
            return
        done = 0
        while count >= len(self._held[done]):
            count -= len(self._held[done])
            done += 1
        del self._held[:done]
        if count:
            self._held[0] = self._held[0][count:]

    def _report(self) -> None:
        if self.written > self._reported:
            start, self._reported = self._reported, self.written
            self._wrote(start, self.written)
