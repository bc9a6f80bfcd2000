"""Part files as pieces share them: one descriptor per path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define


@define(eq=False)
class PartFile:
    """An open part file, and the number of pieces that write into it."""

    path: str
    fd: int
    users: int = 0

    def write(self, data: bytes | memoryview, offset: int) -> int:
        """Write at ``offset``; how many bytes were taken, possibly not all.  Raises OSError."""
        return os.pwrite(self.fd, data, offset)


class PartFiles:
    """Owns the descriptors of all part files that are being written."""

    def __init__(self) -> None:
        self._open: dict[str, PartFile] = {}

    @contextmanager
    def using(self, path: str) -> Iterator[PartFile]:
        """The part file at ``path``, open until its last user leaves.

        Raises OSError; a missing file is never created: its download was given up.
        """
        part = self._open.get(path)
        if part is None:
            part = PartFile(path, os.open(path, os.O_WRONLY | os.O_CLOEXEC))
            self._open[path] = part
        part.users += 1
        try:
            yield part
        finally:
            part.users -= 1
            if part.users == 0:
                del self._open[path]
                os.close(part.fd)

    def __len__(self) -> int:
        return len(self._open)
