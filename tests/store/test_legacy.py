"""The cache of version 0.3."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.store.legacy import notice, remove, survey

BODY = "ab" * 32


def old_cache(folder: Path) -> None:
    """A folder as 0.3 left it."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "meta.db")) as database:
        database.execute("CREATE TABLE files (digest TEXT PRIMARY KEY, filepath TEXT, size INT)")
        database.commit()
    (folder / BODY).write_bytes(b"x" * 10_000)
    (folder / f"tmp_{'0' * 16}").write_bytes(b"y")


class LegacyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def test_found_and_removed(self) -> None:
        """Bodies, downloads that had not ended and the database go; all else stays."""
        old_cache(self.folder)
        kept = [self.folder / "notes.txt", self.folder / "blobs" / BODY, self.folder / "index"]
        kept[1].parent.mkdir()
        for file in kept:
            file.write_bytes(b"z")
        old = survey(self.folder)
        assert old is not None
        self.assertGreaterEqual(old.size, 10_000)
        self.assertEqual(old.files[-1].name, "meta.db")
        self.assertIn(f"clean-old --cache-dir {self.folder}", notice(self.folder))
        remove(old)
        self.assertEqual(sorted(f for f in self.folder.rglob("*") if f.is_file()), sorted(kept))
        self.assertIsNone(survey(self.folder))

    def test_other_folders(self) -> None:
        """Without the database of 0.3 no file is taken for an old one."""
        self.assertIsNone(survey(self.folder))
        self.assertEqual(notice(self.folder), "")
        self.folder.mkdir()
        (self.folder / BODY).write_bytes(b"mine")
        self.assertIsNone(survey(self.folder))
        (self.folder / "meta.db").write_bytes(b"no database")
        self.assertIsNone(survey(self.folder))
        (self.folder / "meta.db").unlink()
        with closing(sqlite3.connect(self.folder / "meta.db")) as database:
            database.execute("CREATE TABLE files (name TEXT)")
            database.commit()
        self.assertIsNone(survey(self.folder))

    def test_links_stay(self) -> None:
        """A link with the name of a body is not one of 0.3's, nor is what it leads to."""
        old_cache(self.folder)
        other = Path(self.mktemp())
        other.write_bytes(b"mine")
        link = self.folder / ("cd" * 32)
        link.symlink_to(other.absolute())
        old = survey(self.folder)
        assert old is not None
        remove(old)
        self.assertEqual(link.read_bytes(), b"mine")
