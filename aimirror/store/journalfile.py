"""The file of a journal: begun with its first line, appended to by threads."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from aimirror import platform
from aimirror.store import journal
from aimirror.store.errors import DiskFull, disk_errors
from aimirror.store.journal import PartMeta
from aimirror.store.layout import FILE_MODE


class JournalFile:
    """Owns its descriptor, once there is one.  Methods block and raise DiskError."""

    def __init__(self, path: Path, meta: PartMeta) -> None:
        self.path = path
        self._meta = meta
        self._fd = -1
        self._named = False
        #: Held, for microseconds, while a thread appends.
        self._appending = threading.Lock()

    @property
    def begun(self) -> bool:
        """Whether there is anything in it."""
        return self._fd >= 0

    def adopt(self, fd: int, length: int) -> None:
        """Go on with one of which ``length`` bytes are whole lines; takes over ``fd``."""
        os.ftruncate(fd, length)
        self._fd, self._named = fd, True

    def append(self, line: bytes, now: float) -> None:
        """Add a line."""
        with disk_errors("cannot write the journal of a download"), self._appending:
            if self._fd < 0:
                self._fd = self._begin(now)
            _append(self._fd, line)

    def _begin(self, now: float) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self.path, flags, FILE_MODE)
        try:
            _append(fd, journal.opening(self._meta, now))
        except OSError:
            os.close(fd)
            self.path.unlink(missing_ok=True)
            raise
        return fd

    def sync(self) -> None:
        """Have its lines, and the first time its name, survive a power loss."""
        with disk_errors("cannot sync the journal of a download"):
            platform.datasync(self._fd)
            if not self._named:
                sync_folder(self.path.parent)
                self._named = True

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _append(fd: int, line: bytes) -> None:
    """Add a whole line or nothing: after half a line, no later one would count."""
    before = os.fstat(fd).st_size
    if os.write(fd, line) != len(line):
        os.ftruncate(fd, before)
        raise DiskFull(errno.ENOSPC, "cannot append to a journal: no room")


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power loss; blocks, so call it in a thread."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_content(path: Path) -> None:
    """Make what a file holds survive a power loss; blocks, so call it in a thread."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        platform.datasync(fd)
    finally:
        os.close(fd)
