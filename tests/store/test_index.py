from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from unittest import mock

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.store import database
from aimirror.store.database import GATHER, Blob, prepare
from aimirror.store.errors import DiskError
from aimirror.store.index import PAGE, Index
from aimirror.store.layout import entry_name


def blob(n: int, size: int = 10, used: float = 0.0) -> Blob:
    return Blob(f"{n:064x}", size, 1, used)


class IndexCase(SynchronousTestCase):
    """A test with an index."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.path = folder / "index.sqlite3"
        database.prepare(self.path)
        self.index = Index(self.path)
        self.addCleanup(self.index.close)


class PrepareTests(IndexCase):
    """Sound or new."""

    def test_sound(self) -> None:
        """A sound index is kept, also while its log was not brought in."""
        self.index.put(Entry(key="a"), 0.0)
        self.assertFalse(database.prepare(self.path))
        self.assertEqual(self.count(), 1)

    def count(self) -> int:
        index = Index(self.path)
        index.close()
        return index.entries

    def test_damage(self) -> None:
        """Missing, empty, garbage, torn, of another schema: a new one is made."""
        self.index.put(Entry(key="a"), 0.0)
        self.index.close()
        whole = self.path.read_bytes()
        torn = whole[: len(whole) // 2]
        for wrong in (None, b"", b"garbage" * 1000, torn, whole[:200] + b"\xff" * 4000):
            self.path.unlink() if wrong is None else self.path.write_bytes(wrong)
            self.assertTrue(database.prepare(self.path), wrong and wrong[:20])
            self.assertEqual(self.count(), 0)
        for change in ("PRAGMA user_version = 99", "DROP TABLE blobs"):
            other = sqlite3.connect(self.path)
            other.execute(change)
            other.close()
            self.assertTrue(database.prepare(self.path), change)

    def test_private(self) -> None:
        """Keys may be signed URLs: the files of the index are for this user alone."""
        self.index.put(Entry(key="a"), 0.0)
        for path in self.path.parent.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_log_shrinks(self) -> None:
        """A log that was long once gives its bytes back after it was brought in."""
        with mock.patch.object(database, "LOG_KEPT", 50_000):
            index = Index(self.path)
            self.addCleanup(index.close)
            for n in range(50):
                index.add_blob(blob(n))
            log = self.path.with_name(self.path.name + "-wal")
            self.assertGreater(log.stat().st_size, 200_000)
            database.checkpoint(self.path)
            index.add_blob(blob(50))
            self.assertLessEqual(log.stat().st_size, 50_000)

    def test_checkpoint(self) -> None:
        """The log is brought into the database while the index is in use, and only then."""
        self.index.put(Entry(key="a"), 0.0)
        before = self.path.stat().st_size
        for i in range(2000):
            self.index.put(Entry(key=f"k{i}"), 0.0)
        self.assertEqual(self.path.stat().st_size, before)
        database.checkpoint(self.path)
        self.assertGreater(self.path.stat().st_size, before)


class RowsTests(IndexCase):
    """What is found."""

    def test_entries_of_a_key(self) -> None:
        """Scopes and variants of a key are entries of their own; a second put replaces."""
        found = {Entry(key="a"), Entry(key="a", scope="s"), Entry(key="a", variant="v")}
        for entry in found:
            self.index.put(entry, 0.0)
        self.index.put(Entry(key="b"), 0.0)
        self.index.put(Entry(key="b", status=404), 0.0)
        self.assertEqual(set(self.index.of_key("a")), found)
        self.assertEqual(self.index.of_key("b"), (Entry(key="b", status=404),))
        self.assertEqual(self.index.entries, 4)

    def test_last_use_of_a_shared_blob(self) -> None:
        """A blob was last used when any of its entries was."""
        for n in (1, 2):
            self.index.add_blob(blob(n))
        one, two = (Entry(key=k, blob=blob(1).sha256) for k in "ab")
        self.index.put(one, 1.0)
        self.index.put(two, 3.0)
        self.index.put(Entry(key="c", blob=blob(2).sha256), 2.0)
        self.assertEqual([b.used for b, _ in self.index.least_used((-1.0, ""))], [2.0, 3.0])
        self.index.touch([(2.5, entry_name(one)), (1.0, entry_name(two))])
        self.assertEqual([b.used for b, _ in self.index.least_used((-1.0, ""))], [2.0, 3.0])
        self.assertEqual(self.index.stalest(3)[1:], (one, two))

    def test_pages_by_use(self) -> None:
        """Pages by last use cover each blob once, ties included, and tell pinned ones."""
        with self.index.transaction():
            for n in range(PAGE + 5):
                self.index.add_blob(blob(n, used=float(n // 100)))
        self.index.put(Entry(key="p", blob=blob(3).sha256, pinned=True), 0.0)
        seen, after = [], (-1.0, "")
        while page := self.index.least_used(after):
            seen += page
            after = (page[-1][0].used, page[-1][0].sha256)
        self.assertEqual([b.sha256 for b, _ in seen], [blob(n).sha256 for n in range(PAGE + 5)])
        self.assertEqual([b.sha256 for b, pinned in seen if pinned], [blob(3).sha256])

    def test_held(self) -> None:
        """Pinned and busy blobs count once each."""
        for n in (1, 2, 3):
            self.index.add_blob(blob(n, size=10**n))
        for key, n in (("a", 1), ("b", 1), ("c", 2)):
            self.index.put(Entry(key=key, blob=blob(n).sha256, pinned=True), 0.0)
        self.assertEqual(self.index.held_bytes([blob(1).sha256, blob(3).sha256]), 1110)

    def test_remove_blob(self) -> None:
        """With a blob go all of its entries, and no other."""
        self.index.add_blob(blob(1))
        for key in "ab":
            self.index.put(Entry(key=key, blob=blob(1).sha256), 0.0)
        self.index.put(Entry(key="c"), 0.0)
        gone = self.index.remove_blob(blob(1).sha256)
        self.assertEqual({key for _, key in gone}, {"a", "b"})
        self.assertEqual((self.index.blobs, self.index.bytes, self.index.entries), (0, 0, 1))
        self.assertEqual(self.index.remove_blob(blob(1).sha256), [])

    def test_find(self) -> None:
        """Prefix (to the letter), rule and age narrow the walk; it may be dropped from."""
        for n in range(PAGE + 3):
            self.index.put(Entry(key=f"http://a%/{n}", rule="r", received_at=float(n)), 0.0)
        self.index.put(Entry(key="http://ab/", rule="q"), 0.0)
        self.assertEqual(len(list(self.index.find("http://a%", None, None))), PAGE + 3)
        self.assertEqual(len(list(self.index.find("http://A", None, None))), 0)
        self.assertEqual([e.key for e in self.index.find("", "q", None)], ["http://ab/"])
        self.assertEqual(len(list(self.index.find("", "r", 10.0))), 10)
        for entry in self.index.find("", None, None):
            self.index.remove(entry_name(entry))
        self.assertEqual(self.index.entries, 0)

    def test_transaction(self) -> None:
        """A transaction that fails leaves rows and counts as they were."""
        self.index.put(Entry(key="a"), 0.0)
        with self.assertRaises(ZeroDivisionError), self.index.transaction():
            self.index.put(Entry(key="b"), 0.0)
            self.index.add_blob(blob(1))
            raise ZeroDivisionError
        self.assertEqual((self.index.entries, self.index.blobs, self.index.bytes), (1, 0, 0))
        self.assertEqual(self.index.of_key("b"), ())

    def test_errors(self) -> None:
        """What SQLite refuses is a DiskError."""
        self.index.close()
        self.assertRaises(DiskError, self.index.of_key, "a")
        self.assertRaises(DiskError, self.index.put, Entry(key="a"), 0.0)

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["add", "put", "remove", "remove_blob"]),
                st.integers(0, 3),
                st.integers(0, 3),
            ),
            max_size=20,
        )
    )
    def test_counts(self, steps: list[tuple[str, int, int]]) -> None:
        """After any steps, the counts are those of the database."""
        for act, n, m in steps:
            if act == "add":
                self.index.add_blob(blob(n, size=m))
            elif act == "put":
                self.index.put(attrs.evolve(Entry(key=str(n)), blob=blob(m).sha256), 0.0)
            elif act == "remove":
                self.index.remove(entry_name(Entry(key=str(n))))
            else:
                self.index.remove_blob(blob(n).sha256)
        fresh = Index(self.path)
        self.addCleanup(fresh.close)
        for name in ("blobs", "bytes", "entries"):
            self.assertEqual(getattr(self.index, name), getattr(fresh, name))


class HolderTests(IndexCase):
    """Who vouches for a blob."""

    def test_held(self) -> None:
        """A blob is held by what is for anybody, and by keys of the same origin."""
        private = Entry(key="https://a.test/x", scope="alice", blob=blob(1).sha256)
        self.index.put(private, 0.0)
        self.assertTrue(self.index.is_held(blob(1).sha256, "https://a.test"))
        for other in ("https://a.tes", "https://a.test.evil", "https://b.test", ""):
            self.assertFalse(self.index.is_held(blob(1).sha256, other), other)
        self.index.put(Entry(key="https://c.test/x", blob=blob(1).sha256), 0.0)
        self.assertTrue(self.index.is_held(blob(1).sha256, "https://b.test"))
        self.assertFalse(self.index.is_held(blob(2).sha256, "https://a.test"))


class GatheringTests(SynchronousTestCase):
    """New entries that are committed together."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        prepare(self.path)
        self.clock = Clock()
        self.index = Index(self.path, self.clock.callLater)
        self.addCleanup(self.index.close)

    def committed(self) -> int:
        """Entries that another connection sees."""
        with closing(sqlite3.connect(self.path)) as other:
            (count,) = other.execute("SELECT count(*) FROM entries").fetchone()
            return int(count)

    def gather(self, *keys: str) -> None:
        for key in keys:
            with self.index.gathering():
                self.index.put(Entry(key=key), 1.0)

    def test_together(self) -> None:
        """They can be read at once here, and are committed by one commit within moments."""
        self.gather("a", "b")
        self.assertEqual(([e.key for e in self.index.of_key("b")], self.committed()), (["b"], 0))
        self.clock.advance(GATHER)
        self.assertEqual((self.committed(), self.index.entries), (2, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_before_all_else(self) -> None:
        """Whatever else is written, removals first of all, finds them committed."""
        self.gather("a", "b")
        self.index.remove(entry_name(Entry(key="a")))
        self.assertEqual(self.committed(), 1)
        self.gather("c")
        with self.index.transaction():
            self.index.put(Entry(key="d"), 1.0)
        self.gather("e")
        self.index.close()
        self.assertEqual(self.committed(), 4)

    def test_one_fails(self) -> None:
        """One that fails takes no other with it."""
        self.gather("a")
        with self.assertRaises(ZeroDivisionError), self.index.gathering():
            self.index.put(Entry(key="b"), 1.0)
            raise ZeroDivisionError
        self.gather("c")
        self.assertEqual(self.index.entries, 2)
        self.index.flush()
        self.assertEqual(self.committed(), 2)

    def test_commit_fails(self) -> None:
        """Where they can't be committed, what is counted is what is there."""
        self.gather("a")
        self.index.flush()
        self.gather("b")
        real = self.index._db
        self.index._db = mock.Mock(wraps=real, in_transaction=True)
        self.index._db.execute.side_effect = lambda sql, *values: (
            self.fail_commit() if sql == "COMMIT" else real.execute(sql, *values)
        )
        with self.assertRaises(DiskError):
            self.index.flush()
        self.assertEqual((self.index.entries, self.committed()), (1, 1))

    def fail_commit(self) -> None:
        raise sqlite3.OperationalError("disk I/O error")
