"""Writes the bytes of one piece as they come, and reports them."""

from __future__ import annotations

from aimirror.workers.worker.files import PartFile
from aimirror.workers.worker.reports import Reports


class SpanWriter:
    """Writes ``[start, ...)`` of a part file in order, and reports it behind that.

    The first bytes are reported at once, since a reader may wait for them.
    """

    def __init__(self, part: PartFile, piece: int, start: int, reports: Reports) -> None:
        self._part = part
        self._piece = piece
        self._reports = reports
        self._first = True
        #: The end of what is on file.
        self.written = start

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes.  Raises OSError; what was written before is reported."""
        start = self.written
        left = memoryview(data)
        try:
            while left:
                count = self._part.write(left, self.written)
                self.written += count
                left = left[count:]
        finally:
            if self.written > start:
                at_once, self._first = self._first, False
                self._reports.wrote(self._piece, start, self.written, at_once=at_once)
