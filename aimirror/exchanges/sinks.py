"""Where a stream's bytes go: into the part, or to be compared with what is there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aimirror.download.spans import Spans

if TYPE_CHECKING:
    pass


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


class Unequal(OSError):
    """What came is not what is there."""


class ComparingSink(FileSink):
    """Compares what comes with what is there already, in ``written`` spans; writes the rest."""

    def __init__(self, path: str, written: Spans) -> None:
        super().__init__(path)
        self._path = path
        self._written = written

    def write(self, offset: int, data: bytes) -> None:
        """See FileSink; raises Unequal, too."""
        missing = self._written.gaps(offset, offset + len(data))
        known = Spans([(offset, offset + len(data))])
        for start, stop in missing:
            known = known.remove(start, stop)
        with open(self._path, "rb", buffering=0) as file:
            for start, stop in known:
                there = os.pread(file.fileno(), stop - start, start)
                if there != data[start - offset : stop - offset]:
                    raise Unequal(0, "another version of the file")
        for start, stop in missing:
            super().write(start, data[start - offset : stop - offset])
