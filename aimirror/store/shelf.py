"""Finished bodies on the disk: opened, installed, and removed with the entries that need them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import attrs
from twisted.logger import Logger

from aimirror.interfaces import BodyFailed
from aimirror.store.bodies import Bodies, StoredBody
from aimirror.store.catalogue import Catalogue
from aimirror.store.database import PACKED, Blob
from aimirror.store.errors import DiskError, disk_errors
from aimirror.store.index import Index
from aimirror.store.inuse import InUse
from aimirror.store.journalfile import sync_content
from aimirror.store.layout import FILE_MODE, Layout, make_folder
from aimirror.store.packed_bodies import PackedBody
from aimirror.store.parts import Part
from aimirror.store.trash import Trash


class Shelf:
    """The blobs of an open cache; methods raise DiskError."""

    log = Logger()

    def __init__(
        self,
        layout: Layout,
        index: Index,
        catalogue: Catalogue,
        trash: Trash,
        in_use: InUse,
        now: Callable[[], float],
    ) -> None:
        self._layout = layout
        self._index = index
        self._catalogue = catalogue
        self._trash = trash
        self._bodies = Bodies(in_use, now)
        self.in_use = in_use
        in_use.unread = self._unread
        #: Blobs without an entry that are still being read.
        self._orphans: set[str] = set()
        #: Journals that tell, until an entry does, what the blob that the part became is for.
        self._announced: dict[str, Path] = {}

    def close(self) -> None:
        """Keep nothing open that nobody reads."""
        self._bodies.close()

    def body(self, sha256: str) -> StoredBody | None:
        """The body of a blob; None, and the blob dropped, when its file was altered."""
        kept = self._bodies.find(sha256)
        if kept is not None:
            return kept
        blob = self._index.blob(sha256)
        if blob is None:
            return None
        try:
            with disk_errors("cannot open a stored body"):
                if blob.packed:
                    return self._bodies.hold(PackedBody(blob, self._bodies, self))
                return self._bodies.open(self._layout.blob(sha256), blob)
        except BodyFailed as error:
            self.log.warn("dropping a blob: {error}", error=error)
            self.remove(sha256)
            return None

    def remove(self, *blobs: str) -> None:
        """Forget blobs and their entries, and throw their files away.

        The files go first: after a crash in between, a bad one is not there to be trusted.
        """
        for sha256 in blobs:
            self._bodies.forget(sha256)
            self.in_use.unlinked(sha256)
            self.named(sha256)
            self._trash.throw(self._layout.blob(sha256))
        self._catalogue.drop_blobs(blobs)

    def drop_loose(self, blobs: set[str]) -> None:
        """Remove those of these blobs that no entry needs, once nobody reads them."""
        for sha256 in blobs:
            if not self._index.is_orphan(sha256):
                continue
            if sha256 in self.in_use:
                self._orphans.add(sha256)
            else:
                self.remove(sha256)

    def _unread(self, sha256: str) -> None:
        """The last reader of a blob has left."""
        if sha256 in self._orphans:
            self._orphans.discard(sha256)
            try:
                self.drop_loose({sha256})
            except DiskError as error:
                self.log.error("cannot drop a blob: {error}", error=error)

    def install(self, part: Part, sha256: str, used: float) -> Path:
        """Give a synced part the place of its blob, or discard it when the blob is there."""
        path = self._layout.blob(sha256)
        if self._index.blob(sha256) is not None and self.body(sha256) is not None:
            part.discard()
            return path
        make_folder(path.parent)
        part.path.rename(path)
        try:
            mtime_ns = path.stat().st_mtime_ns
            self._index.add_blob(Blob(sha256, part.size, mtime_ns, used))
        except BaseException:
            path.rename(part.path)
            raise
        part.settle()
        self._announced[sha256] = part.journal_path
        return path

    def add(self, sha256: str, content: bytes, used: float, *, packed: bool) -> StoredBody:
        """Store a small body that is at hand, unless it is there; nothing is synced.

        ``packed`` says whether it needs no file of its own.  To such a file a crash leaves less
        than all of it, or all of it, under a name that no entry has yet.
        """
        body = self.body(sha256)
        if body is not None:
            return body
        if packed:
            blob = Blob(sha256, len(content), PACKED, used)
            self._index.add_packed(blob, content)
            return PackedBody(blob, self._bodies, self, content)
        path = self._layout.named("blobs", sha256)
        with disk_errors("cannot store a small body"):
            blob = Blob(sha256, len(content), _write(path, content), used)
            self._index.add_unsynced(blob)
        return self._bodies.at_hand(path, blob, content)

    def content(self, sha256: str) -> bytes | None:
        """See Pack."""
        return self._index.packed.read(sha256)

    def unpacked(self, sha256: str) -> Path:
        """See Pack."""
        path, blob = self._layout.blob(sha256), self._index.blob(sha256)
        content = self.content(sha256) if blob is not None and blob.packed else None
        if content is not None and blob is not None:
            with disk_errors("cannot give a small body a file"):
                file = attrs.evolve(blob, mtime_ns=_write(str(path), content))
                sync_content(path)
                with self._index.transaction():
                    self._index.add_blob(file)
            self._bodies.forget(sha256)
        elif blob is None or blob.packed:
            raise BodyFailed(f"blob {sha256} is gone")
        return path

    def named(self, sha256: str) -> None:
        """An entry names the blob by now: the journal that announced it has done its work."""
        announced = self._announced.pop(sha256, None)
        if announced is not None:
            self._trash.throw(announced)


def _write(path: str, content: bytes) -> int:
    """Write a new file; its modification time in nanoseconds."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, FILE_MODE)
    except FileNotFoundError:
        make_folder(Path(path).parent)
        fd = os.open(path, flags, FILE_MODE)
    try:
        count = os.write(fd, content)
        if count != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.fstat(fd).st_mtime_ns
    except OSError:
        Path(path).unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
