"""Finished bodies as clients read them: one descriptor per blob, shared by all of its readers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from aimirror.bounded import LRU
from aimirror.download.tasks import Reason
from aimirror.interfaces import (
    BodyFailed,
    IArrivingBody,
    IBodyReader,
    IStoredBody,
    Readable,
)
from aimirror.store.database import Blob
from aimirror.store.inuse import InUse, Pace, hollow

#: Descriptors kept open for blobs that nobody reads at the moment.
MOST_IDLE = 128
#: Bytes: bodies up to this size are given as bytes; those up to the other are also kept in memory
#: with their descriptor, once asked for.
SMALL = 256 << 10
KEPT = 64 << 10


@frozen
class StoredFile:
    """Where a small body lies: next to nothing, so that many can be remembered."""

    name: str
    blob: Blob

    def read(self) -> bytes:
        """All of it; BodyFailed or OSError when it is not there, or not as it was recorded."""
        fd = os.open(self.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            stat = os.fstat(fd)
            content = os.read(fd, self.blob.size + 1)
        finally:
            os.close(fd)
        if stat.st_mtime_ns != self.blob.mtime_ns or len(content) != self.blob.size:
            raise BodyFailed(f"blob {self.blob.sha256} is not as it was recorded")
        return content


@implementer(IStoredBody, IArrivingBody)
class StoredBody:
    """The body of a blob.

    It owns its descriptor: opened for the first reader (or for keeping), closed when the last
    reader has left and it is not kept any more.
    """

    complete = whole = sound = True
    failed: tuple[str, Reason] | None = None

    def __init__(
        self, path: Path | str, blob: Blob, shelf: Bodies, content: bytes | None = None
    ) -> None:
        self._name = os.fspath(path)
        self.blob = blob
        self.size: int = blob.size
        self.fd = -1
        self._inode = 0
        self._shelf = shelf
        self._holders = 0
        self._readers: set[StoredReader] = set()
        self._cut = False
        self._data = content

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._name)

    def reader(self, start: int, stop: int | None) -> StoredReader:
        """A reader of ``[start, stop)``; fails with BodyFailed when the file has gone bad."""
        try:
            self._hold()
        except OSError as error:
            raise BodyFailed(str(error)) from error
        stop = self.size if stop is None else min(stop, self.size)
        reader = StoredReader(self, start, stop, self._shelf.now)
        if not self._readers:
            self._shelf.in_use.opened(self, self.size, self.blob.sha256)
        self._readers.add(reader)
        return reader

    def data(self) -> bytes:
        """All bytes of a body of at most SMALL; BodyFailed when they are not there."""
        if self.size > SMALL:
            raise ValueError(f"{self.size} bytes are too many to hold in memory")
        if self._data is None:
            self._data = self._read()
        return self._data

    @property
    def file(self) -> Readable:
        """Where it lies."""
        return StoredFile(self._name, self.blob)

    def _read(self) -> bytes:
        try:
            self._hold()
            try:
                data = os.pread(self.fd, self.size + 1, 0)
            finally:
                self._let_go()
        except OSError as error:
            raise BodyFailed(str(error)) from error
        if len(data) != self.size:
            raise BodyFailed(f"blob {self.blob.sha256} has changed its size")
        return data

    def unchanged(self) -> bool:
        """Whether the path still leads to the very file, untouched, that is open."""
        try:
            stat = os.lstat(self._name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.st_ino == self._inode and self._is_recorded(stat)

    def keep(self) -> None:
        """Hold the descriptor without a reader; BodyFailed when the file is not the blob."""
        self._hold()

    def let_go(self) -> None:
        """The opposite of ``keep``."""
        self._let_go()

    def guard(self) -> None:
        """Have the file keep its name until ``release``."""
        self._shelf.in_use.guard(self.blob.sha256)

    def release(self) -> None:
        """The opposite of ``guard``."""
        self._shelf.in_use.release(self.blob.sha256)

    def left(self, reader: StoredReader) -> None:
        """A reader is gone."""
        self._readers.discard(reader)
        self._let_go()
        if not self._readers:
            self._shelf.in_use.closed(self)

    def slow(self) -> bool:
        """Whether all of its readers are slow."""
        now = self._shelf.now()
        return all(reader.pace.slow(now) for reader in self._readers)

    def cut(self) -> None:
        """Give the file up under its readers."""
        self._cut = True
        hollow(self.fd)
        self._shelf.in_use.closed(self)

    def _hold(self) -> None:
        if self._cut:
            raise BodyFailed(f"blob {self.blob.sha256} had to make room")
        if self.fd < 0:
            self.fd = self._open()
        self._holders += 1

    def _let_go(self) -> None:
        self._holders -= 1
        if self._holders == 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def _open(self) -> int:
        try:
            fd = os.open(self._name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BodyFailed(f"blob {self.blob.sha256} is gone") from error
        stat = os.fstat(fd)
        if not self._is_recorded(stat):
            os.close(fd)
            raise BodyFailed(f"blob {self.blob.sha256} is not as it was recorded")
        self._inode = stat.st_ino
        return fd

    def _is_recorded(self, stat: os.stat_result) -> bool:
        return (stat.st_size, stat.st_mtime_ns) == (self.blob.size, self.blob.mtime_ns)


@implementer(IBodyReader)
class StoredReader:
    """One client's place in a stored body."""

    __slots__ = ("_body", "_now", "_open", "pace", "position", "stop")

    def __init__(self, body: StoredBody, start: int, stop: int, now: Callable[[], float]) -> None:
        self._body = body
        self._now = now
        self._open = True
        self.pace = Pace(start, now())
        self.position: int = start
        self.stop: int | None = stop

    @property
    def fd(self) -> int:
        """The body's descriptor."""
        return self._body.fd

    def ready(self) -> int:
        """All that is left."""
        return max(0, (self.stop or 0) - self.position)

    def wait(self) -> Deferred[None]:
        """At once; BodyFailed after ``close``."""
        return succeed(None) if self._open else fail(BodyFailed("the reader was closed"))

    def advance(self, count: int) -> None:
        """``count`` bytes were sent."""
        self.position += count
        self.pace.moved(self.position, self._now())

    def ended(self) -> bool:
        """Whether everything was sent."""
        return self.ready() == 0

    def close(self) -> None:
        """Leave; idempotent."""
        if self._open:
            self._open = False
            self._body.left(self)


class Bodies:
    """The bodies that are open: those being read, and a bounded number of those read lately."""

    def __init__(
        self,
        in_use: InUse,
        now: Callable[[], float],
        most_idle: int = MOST_IDLE,
    ) -> None:
        self._kept: LRU[str, StoredBody] = LRU(most_idle, dropped=StoredBody.let_go)
        self.in_use = in_use
        self.now = now

    def find(self, sha256: str) -> StoredBody | None:
        """A body that is open, its file still being what it was."""
        body = self._kept.get(sha256)
        if body is None:
            return None
        if not body.unchanged():
            self.forget(sha256)
            return None
        return body

    def open(self, path: Path, blob: Blob) -> StoredBody:
        """Open a blob; fails with BodyFailed when its file is gone or altered."""
        return self.hold(StoredBody(path, blob, self))

    def hold(self, body: StoredBody) -> StoredBody:
        """Keep a body open, or at hand; fails with BodyFailed when it is not there."""
        body.keep()
        self.forget(body.blob.sha256)
        self._kept.put(body.blob.sha256, body)
        return body

    def at_hand(self, path: str, blob: Blob, content: bytes) -> StoredBody:
        """The body of a blob that was just written; its file is opened for its first reader."""
        return StoredBody(path, blob, self, content)

    def forget(self, sha256: str) -> None:
        """Close a blob's descriptor as soon as nobody reads it."""
        body = self._kept.pop(sha256)
        if body is not None:
            body.let_go()

    def close(self) -> None:
        """Keep nothing open that nobody reads."""
        for sha256 in self._kept:
            self.forget(sha256)
