from __future__ import annotations

import gc
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aimirror.interfaces import BodyFailed, IBody, IBodyReader
from aimirror.store.bodies import SMALL, Bodies, StoredBody
from aimirror.store.database import Blob
from aimirror.store.inuse import InUse
from tests.store.support import descriptors


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


class BodiesTests(SynchronousTestCase):
    """Descriptors and readers."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.unread: list[str] = []
        self.in_use = InUse()
        self.in_use.unread = self.unread.append
        self.bodies = Bodies(self.in_use, lambda: 0.0, most_idle=2)
        self.addCleanup(self.bodies.close)

    def open(self, name: str = "a", data: bytes = b"0123456789") -> StoredBody:
        path = self.folder / name
        if not path.exists():
            path.write_bytes(data)
        stat = path.stat()
        return self.bodies.open(path, Blob(name, stat.st_size, stat.st_mtime_ns, 0.0))

    def test_interfaces(self) -> None:
        """Bodies and readers are what the rest of the service expects."""
        body = self.open()
        verifyObject(IBody, body)
        reader = body.reader(0, None)
        verifyObject(IBodyReader, reader)
        self.assertEqual((body.size, body.complete), (10, True))
        reader.close()

    def test_reading(self) -> None:
        """A reader is ready for all that is left of its span, and ended after it."""
        reader = self.open().reader(2, 5)
        self.addCleanup(reader.close)
        self.assertEqual((reader.position, reader.stop, reader.ready()), (2, 5, 3))
        self.successResultOf(reader.wait())
        self.assertEqual(os.pread(reader.fd, reader.ready(), reader.position), b"234")
        reader.advance(3)
        self.assertEqual((reader.ready(), reader.ended()), (0, True))

    def test_to_the_end(self) -> None:
        """Without a stop, or with one beyond the end, the end is the end."""
        for stop in (None, 99):
            reader = self.open().reader(4, stop)
            self.assertEqual((reader.stop, reader.ready()), (10, 6))
            reader.close()

    def test_one_descriptor(self) -> None:
        """All readers of a blob share one descriptor; the last one closes it."""
        body = self.open()
        readers = [body.reader(0, None) for _ in range(3)]
        self.assertEqual(len({reader.fd for reader in readers}), 1)
        fd = readers[0].fd
        self.bodies.forget("a")
        for reader in readers:
            self.assertTrue(is_open(fd))
            self.assertEqual(self.unread, [])
            reader.close()
            reader.close()
        self.assertFalse(is_open(fd))
        self.assertEqual((self.unread, self.in_use.blobs), (["a"], frozenset()))
        self.failureResultOf(reader.wait(), BodyFailed)

    def test_bounded(self) -> None:
        """Only a few idle descriptors are kept, those used last."""
        fds = {name: self.open(name).fd for name in "ab"}
        self.bodies.find("a")
        fds["c"] = self.open("c").fd
        self.assertEqual([is_open(fds[name]) for name in "abc"], [True, False, True])
        self.bodies.close()
        self.assertFalse(any(map(is_open, fds.values())))

    def test_found_while_unchanged(self) -> None:
        """An open body is found as long as its file is the same one and untouched."""
        path = self.folder / "a"

        def append() -> None:
            path.write_bytes(b"0123456789x")

        def cut() -> None:
            os.truncate(path, 3)

        def edit() -> None:
            path.write_bytes(b"012345678X")
            os.utime(path, ns=(1, 1))

        def swap() -> None:
            stat = path.stat()
            other = self.folder / "other"
            other.write_bytes(b"9876543210")
            os.utime(other, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
            other.rename(path)

        for change in (append, cut, edit, swap, path.unlink):
            path.unlink(missing_ok=True)
            fd = self.open().fd
            self.assertIsNotNone(self.bodies.find("a"))
            change()
            self.assertIsNone(self.bodies.find("a"))
            self.assertFalse(is_open(fd))

    def test_not_as_recorded(self) -> None:
        """A file of another size or time, or none, is not opened, and leaks nothing."""
        path = self.folder / "a"
        path.write_bytes(b"0123456789")
        stat = path.stat()
        gc.collect()  # what other tests left behind
        before = descriptors()
        for blob in (Blob("a", 9, stat.st_mtime_ns, 0.0), Blob("a", 10, 1, 0.0)):
            self.assertRaises(BodyFailed, self.bodies.open, path, blob)
        missing = Blob("b", 1, 1, 0.0)
        self.assertRaises(BodyFailed, self.bodies.open, self.folder / "b", missing)
        self.assertEqual(descriptors(), before)

    def test_opened_again(self) -> None:
        """A body that was closed meanwhile opens again for a reader, if it is still the same."""
        body = self.open()
        self.bodies.forget("a")
        reader = body.reader(0, None)
        self.assertEqual(os.pread(reader.fd, 2, 0), b"01")
        reader.close()
        self.assertFalse(is_open(body.fd))
        body.path.unlink()
        self.assertRaises(BodyFailed, body.reader, 0, None)
        self.assertRaises(BodyFailed, body.data)
        self.assertEqual(self.in_use.blobs, frozenset())

    def test_small(self) -> None:
        """A small body is had as bytes, read once; a large one is not."""
        body = self.open()
        self.assertEqual(body.data(), b"0123456789")
        self.assertIs(body.data(), body.data())
        self.assertRaises(ValueError, self.open("large", b"x" * (SMALL + 1)).data)
        self.assertEqual(self.open("empty", b"").data(), b"")
