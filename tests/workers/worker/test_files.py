import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.workers.worker.files import PartFiles


class PartFilesTests(SynchronousTestCase):
    def setUp(self):
        self.path = self.mktemp()
        self.files = PartFiles()
        with open(self.path, "wb") as file:
            file.truncate(10)

    def test_shared(self):
        """All pieces of a path write through one descriptor, closed with the last of them."""
        with self.files.using(self.path) as first:
            with self.files.using(self.path) as second:
                self.assertIs(first, second)
                fd = first.fd
            self.assertEqual(first.write(b"ab", 3), 2)
        self.assertRaises(OSError, os.fstat, fd)
        self.assertEqual(len(self.files), 0)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), b"\0\0\0ab\0\0\0\0\0")

    def test_closed_on_failure(self):
        """A piece that fails closes like one that ends."""
        with self.assertRaises(ZeroDivisionError), self.files.using(self.path):
            raise ZeroDivisionError
        self.assertEqual(len(self.files), 0)

    def test_never_created(self):
        """A discarded part file does not come back."""
        Path(self.path).unlink()
        with self.assertRaises(FileNotFoundError), self.files.using(self.path):
            self.fail("opened")
        self.assertFalse(Path(self.path).exists())
