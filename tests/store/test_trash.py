from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.store import trash
from aimirror.store.layout import Layout
from aimirror.store.trash import Trash
from tests.store.support import Threads


class TrashTests(SynchronousTestCase):
    """Getting rid of files."""

    def setUp(self) -> None:
        self.layout = Layout(Path(self.mktemp()))
        self.layout.create()
        self.threads = Threads()
        self.threads.held = True
        self.trash = Trash(self.layout, self.threads)

    def file(self, name: str) -> Path:
        path = self.layout.root / name
        path.write_bytes(b"x")
        return path

    def left(self) -> int:
        return len(list(self.layout.trash.iterdir()))

    def test_name_is_free_at_once(self) -> None:
        """The name is free when ``throw`` returns; the bytes go in a thread, in batches."""
        for name in ("a", "b", "c"):
            path = self.file(name)
            self.trash.throw(path)
            self.assertFalse(path.exists())
        emptied = self.trash.emptied()
        self.assertEqual((self.left(), len(self.threads.waiting)), (3, 1))
        self.threads.run()
        self.assertNoResult(emptied)
        self.threads.run()
        self.successResultOf(emptied)
        self.assertEqual(self.left(), 0)
        self.successResultOf(self.trash.emptied())

    def test_missing(self) -> None:
        """To throw what is not there is nothing."""
        self.trash.throw(self.layout.root / "none")
        self.successResultOf(self.trash.emptied())

    def test_without_its_folder(self) -> None:
        """When somebody removed the folder, files are unlinked where they are."""
        self.layout.trash.rmdir()
        path = self.file("a")
        self.trash.throw(path)
        self.assertFalse(path.exists())

    def test_cannot_remove(self) -> None:
        """What cannot be removed is logged and ends nothing."""
        folder = self.layout.root / "d"
        self.trash.throw(folder)
        folder.mkdir()
        self.layout.trash.rmdir()
        self.trash.throw(folder)
        self.assertTrue(folder.exists())

    def test_leftovers(self) -> None:
        """What an earlier process left is removed at start."""
        (self.layout.trash / "0").touch()
        trash.empty(self.layout)
        self.assertEqual(self.left(), 0)
