from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.spans import Spans
from aimirror.store import journal, journalfile
from aimirror.store.errors import DiskError, DiskFull
from aimirror.store.journal import PartMeta
from aimirror.store.journalfile import JournalFile


class JournalFileTests(SynchronousTestCase):
    """The file behind a journal."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.file = JournalFile(self.path, PartMeta(key="k"))
        self.addCleanup(self.file.close)

    def test_begins_when_needed(self) -> None:
        """There is no file before the first line, and then it begins with the description."""
        self.assertFalse(self.file.begun or self.path.exists())
        self.file.append(journal.progress(Spans([(0, 5)]), 1.0), 1.0)
        found = journal.parse(self.path.read_bytes())
        assert found is not None
        self.assertEqual((found.meta, found.durable), (PartMeta(key="k"), Spans([(0, 5)])))

    def test_names_once(self) -> None:
        """The folder is synced with the first lines and never again."""
        folders: list[Path] = []
        self.patch(journalfile, "sync_folder", folders.append)
        for _ in range(2):
            self.file.append(b"line\n", 1.0)
            self.file.sync()
        self.assertEqual(folders, [self.path.parent])

    def test_all_or_nothing(self) -> None:
        """A line that does not fit leaves the file as it was; a first one leaves no file."""

        def full(fd: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "full")

        write = os.write
        self.patch(os, "write", full)
        self.assertRaises(DiskFull, self.file.append, b"line\n", 1.0)
        self.assertFalse(self.path.exists())
        self.patch(os, "write", write)
        self.file.append(b"first\n", 1.0)
        before = self.path.read_bytes()
        self.patch(os, "write", lambda fd, data: write(fd, data[:3]))
        self.assertRaises(DiskError, self.file.append, b"second\n", 1.0)
        self.assertEqual(self.path.read_bytes(), before)
