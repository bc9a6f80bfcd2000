from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.store.errors import CacheInUse
from aimirror.store.layout import Layout, entry_name, is_name, scan


class LayoutTests(SynchronousTestCase):
    """Folders, names and the lock."""

    def setUp(self) -> None:
        self.layout = Layout(Path(self.mktemp()))

    def test_private(self) -> None:
        """Folders that are made can be entered by their owner alone."""
        old = os.umask(0)
        try:
            self.layout.create()
        finally:
            os.umask(old)
        for path in (self.layout.root, *self.layout.root.iterdir()):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700, path)

    def test_lock_excludes(self) -> None:
        """A second taker is told which process has the folder; afterwards it is free."""
        self.layout.create()
        fd = self.layout.lock()
        with self.assertRaises(CacheInUse) as caught:
            self.layout.lock()
        self.assertIn(f"in use by process {os.getpid()}", str(caught.exception))
        os.close(fd)
        os.close(self.layout.lock())

    def test_entry_names(self) -> None:
        """Key, scope and variant make the name, unambiguously; nothing else does."""
        names = {
            entry_name(e)
            for e in (
                Entry(key="a", scope="b"),
                Entry(key="ab"),
                Entry(key="a", variant="b"),
                Entry(key="a", scope="b", variant="b"),
            )
        }
        self.assertEqual(len(names), 4)
        self.assertEqual(entry_name(Entry(key="a")), entry_name(Entry(key="a", size=3)))
        self.assertTrue(all(is_name(name) for name in names))

    def test_is_name(self) -> None:
        """Only 64 lower-case hex digits name a file."""
        self.assertFalse(is_name("../" + "a" * 61))
        self.assertFalse(is_name("A" * 64))
        self.assertFalse(is_name("a" * 63))

    def test_scan(self) -> None:
        """Links and folders are not files; a missing folder has none."""
        self.layout.create()
        (self.layout.trash / "file").touch()
        (self.layout.trash / "link").symlink_to("file")
        self.assertEqual([item.name for item in scan(self.layout.trash)], ["file"])
        self.assertEqual(list(scan(self.layout.root / "none")), [])
