"""A log file that is put aside when it grows too large, and opened anew when somebody moved it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

#: Others on the machine need not know who downloads what.
_MODE = 0o640


class LogFile:
    """Owns one append-only file; a text stream for loggers, and bytes for access logs.

    Beyond ``max_size`` bytes (0 is never) it is renamed to ``NAME.1``, ``NAME.1`` to ``NAME.2``
    and so on; ``keep`` of those stay.  ``reopen`` is what logrotate wants after it moved the file.
    Raises OSError when the file can't be opened or written.
    """

    def __init__(self, path: Path, max_size: int = 0, keep: int = 1) -> None:
        self._path = path
        self._max_size = max_size
        self._keep = keep
        self._file: IO[bytes] = self._open()

    def _open(self) -> IO[bytes]:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        return os.fdopen(fd, "ab", buffering=0)

    def write(self, text: str) -> None:
        """Append text (UTF-8)."""
        self.write_bytes(text.encode("utf-8", "backslashreplace"))

    def write_bytes(self, data: bytes) -> None:
        """Append lines, which are never torn apart by putting the file aside."""
        if self._max_size and 0 < self._file.tell() > self._max_size - len(data):
            self._put_aside()
        self._file.write(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Use the file that has the name now; the old one stays when that fails."""
        opened = self._open()
        self._file.close()
        self._file = opened

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _put_aside(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            older = self._named(number)
            if older.exists():
                older.replace(self._named(number + 1))
        self._path.replace(self._named(1))
        self.reopen()

    def _named(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
