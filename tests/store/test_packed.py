from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from pathlib import Path
from unittest import mock

from attrs import evolve

from aimirror.caching.entries import Entry
from aimirror.interfaces import BodyFailed
from aimirror.store.database import GATHER
from aimirror.store.errors import DiskError, DiskFull
from aimirror.store.index import Index
from aimirror.store.layout import Layout, entry_name
from aimirror.store.packed import SPARE_PAGES, beside
from aimirror.store.records import read_sidecar
from aimirror.store.store import SETTLE, Store
from tests.store.support import KEY, StoreCase, digest


class PackedCase(StoreCase):
    """A store with small files."""

    def at_once(self, data: bytes, key: str = KEY, **values: object) -> Entry:
        self.store.add(digest(data), data)
        entry = Entry(key=key, blob=digest(data), size=len(data), **values)  # type: ignore[arg-type]
        self.assertTrue(self.store.put(entry))
        return entry

    def files(self) -> list[str]:
        folders = ("blobs", "entries")
        return [p.name for f in folders for p in (self.root / f).rglob("*") if p.is_file()]

    def lose(self, name: str) -> None:
        """The files of a database are gone while the cache is closed."""
        self.successResultOf(self.store.close())
        for path in self.root.glob(f"{name}*"):
            path.unlink()

    def sql(self, statement: str, *values: object) -> None:
        """Somebody changes the packed bodies while the cache is closed."""
        self.successResultOf(self.store.close())
        with contextlib.closing(sqlite3.connect(beside(Layout(self.root).index))) as rows:
            rows.execute(statement, values)
            rows.commit()


def _content(number: int, seed: str) -> bytes:
    return random.Random(f"{seed}{number}").randbytes(14_000)


def _damage(path: Path, how: str) -> None:
    """Change the middle of a file."""
    size = path.stat().st_size
    dice, middle = random.Random(1), size // 2 // 4096 * 4096
    with open(path, "r+b") as file:
        if how == "cut":
            file.truncate(middle)
        elif how == "bits":
            for _ in range(60):
                file.seek(dice.randrange(8192, size))
                file.write(dice.randbytes(1))
        else:
            file.seek(middle)
            file.write(bytes(1 << 17) if how == "zeros" else dice.randbytes(1 << 17))


class KeepingTests(PackedCase):
    """What is kept, and where."""

    def test_no_file(self) -> None:
        """Neither the body nor the entry has a file; both are there after a stop."""
        entry = self.at_once(b"body")
        self.assertEqual(self.files(), [])
        self.assertEqual(self.read(self.store, entry), b"body")
        self.reopen()
        self.assertEqual(self.store.entries(KEY), (entry,))
        self.assertEqual((self.read(self.store, entry), self.files()), (b"body", []))
        self.assert_counted()

    def test_statements(self) -> None:
        """A new small file takes six statements, two of which read, and no call of the system."""
        with mock.patch("os.open") as opened, mock.patch("os.stat") as looked:
            self.at_once(b"first", "a")
            seen: list[str] = []
            self.store._index._db.set_trace_callback(seen.append)
            self.at_once(b"second", "b")
        self.assertLessEqual(len(seen), 6, seen)
        self.assertEqual((opened.call_count, looked.call_count), (0, 0))

    def test_reader(self) -> None:
        """Who reads it by a descriptor gets its bytes, also when it goes meanwhile."""
        entry = self.at_once(b"0123456789")
        body = self.store.body(entry)
        assert body is not None
        reader = body.reader(2, None)
        self.store.drop(entry)
        self.assertEqual(os.pread(reader.fd, reader.ready(), reader.position), b"23456789")
        reader.close()
        self.assertEqual((self.store.usage().files, self.packed()), (0, 0))

    def test_file_on_demand(self) -> None:
        """Another process that wants to read it by name gets a file, and it is stored once."""
        entry = self.at_once(b"body")
        body = self.store.body(entry)
        assert body is not None
        for each in (body, body, self.store.body(entry)):
            assert each is not None
            self.assertEqual(each.path.read_bytes(), b"body")
        self.assertEqual((self.packed(), self.files()), (0, [entry.blob]))
        self.assert_counted()
        self.store.drop(entry)
        self.assertEqual((self.files(), self.on_disk()), ([], 0))
        self.assertRaises(BodyFailed, lambda: body.path)

    def test_entry_moves(self) -> None:
        """An entry is written down in one place, wherever its body is by now."""
        packed = self.at_once(b"body")
        name = entry_name(packed)
        file = self.add(b"a file")
        self.assertEqual(read_sidecar(Layout(self.root).sidecar(name)), file)
        self.assertEqual(self.store._index.packed.records("", "g"), [])
        self.at_once(b"body")
        self.assertEqual([n for n, _ in self.store._index.packed.records("", "g")], [name])
        self.lose("index.sqlite3")
        store = self.open_store()
        self.assertEqual(list(store.find()), [packed])
        self.assertEqual(self.read(store, packed), b"body")

    def test_full(self) -> None:
        """Where there is no room, that is said, nothing is counted, and others can be stored."""
        kept = self.at_once(b"kept", "kept")
        self.store._index.flush()
        database = self.store._index._db
        (pages,) = database.execute("PRAGMA packed.page_count").fetchone()
        database.execute(f"PRAGMA packed.max_page_count = {pages}")
        content = os.urandom(60_000)
        self.assertRaises(DiskFull, self.store.add, digest(content), content)
        database.execute("PRAGMA packed.max_page_count = 1000000")
        self.at_once(content, "a")
        self.clock.advance(GATHER)
        self.assertEqual(self.read(self.store, kept), b"kept")
        self.assertEqual(self.store.usage().files, 2)
        self.assert_counted()


class LossTests(PackedCase):
    """What is lost, and what is not."""

    def test_index_lost(self) -> None:
        """An index that was lost is made of what is packed."""
        entries = {self.at_once(b"one", "a"), self.at_once(b"one", "b"), self.at_once(b"two", "c")}
        negative = Entry(key="d", status=404)
        self.store.put(negative)
        self.lose("index.sqlite3")
        store = self.open_store()
        self.assertEqual(set(store.find()), {*entries, negative})
        for entry in entries:
            self.assertIn(self.read(store, entry), (b"one", b"two"))
        self.assertEqual((store.usage().files, store.usage().total), (2, 6))
        self.assert_counted(store)

    def test_pack_lost(self) -> None:
        """Where the bodies are gone or garbage, their entries go; the cache opens."""
        for garbage in (None, b"not a database" * 400):
            self.at_once(b"body")
            file = self.add(b"a file", "b")
            self.lose("packed.sqlite3")
            if garbage is not None:
                beside(Layout(self.root).index).write_bytes(garbage)
            self.store = self.open_store()
            self.assertEqual(set(self.store.find()), {file})
            self.assert_counted()

    def test_body_lost(self) -> None:
        """A body that is gone while the service runs is not there, and its entry goes."""
        entry = self.at_once(b"body")
        self.store._index.write("DELETE FROM packed.bodies")
        self.assertIsNone(self.store.body(entry))
        self.assertEqual((self.store.entries(KEY), self.store.usage().files), ((), 0))

    def test_wrong_bytes(self) -> None:
        """Bytes that are not what their name says are not taken up, and verifying finds them."""
        self.at_once(b"body", "a")
        good = self.at_once(b"good", "b")
        self.sql("UPDATE bodies SET content = x'00' WHERE sha256 = ?", digest(b"body"))
        self.store = self.open_store()
        verified = self.successResultOf(self.store.verify())
        self.assertEqual((verified.checked, verified.bad), (2, 1))
        self.assertEqual(list(self.store.find()), [good])
        self.at_once(b"body", "a")
        self.sql("UPDATE bodies SET content = x'00' WHERE sha256 = ?", digest(b"body"))
        for path in self.root.glob("index.sqlite3*"):
            path.unlink()
        self.store = self.open_store()
        self.assertEqual(list(self.store.find()), [good])
        self.assert_counted()

    def test_altered(self) -> None:
        """A body that was altered on the disk is not given out, and its entry goes."""
        entry, good = self.at_once(b"body", "a"), self.at_once(b"good", "b")
        self.sql("UPDATE bodies SET content = ? WHERE sha256 = ?", b"b0dy", digest(b"body"))
        self.store = self.open_store()
        self.assertIsNone(self.store.body(entry))
        self.assertEqual(list(self.store.find()), [good])
        self.assertEqual(self.read(self.store, good), b"good")

    def test_damaged(self) -> None:
        """Whatever part of the file is damaged: no wrong byte, the cache opens and is filled."""
        for damage in ("bits", "zeros", "junk", "cut"):
            entries = [self.at_once(_content(n, damage), f"{damage}{n}") for n in range(40)]
            file = self.add(b"a file", damage)
            self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
            _damage(beside(Layout(self.root).index), damage)
            self.store = self.open_store()
            for entry in entries:
                for body in map(self.store.body, self.store.entries(entry.key)):
                    self.assertEqual(body and digest(body.data()), body and entry.blob)
            self.assertEqual(self.read(self.store, file), b"a file")
            # what is damaged unseen by now is seen when it is written, and then files are made
            with contextlib.suppress(DiskError):
                self.at_once(_content(0, "new"), f"{damage}0")
            last = self.at_once(_content(1, "new"), f"{damage}1")
            self.assertEqual(self.read(self.store, last), _content(1, "new"))
            self.reopen()
            self.assertEqual(self.read(self.store, file), b"a file")
            self.at_once(_content(2, "new"), f"{damage}2")
        self.flushLoggedErrors()

    def test_index_garbled(self) -> None:
        """An index whose text is none any more is made again."""
        entry = self.at_once(b"body")
        self.successResultOf(self.store.close())
        with contextlib.closing(sqlite3.connect(Layout(self.root).index)) as rows:
            rows.execute("UPDATE blobs SET sha256 = CAST(x'ff' AS TEXT)")
            rows.commit()
        self.store = self.open_store()
        self.assertEqual(self.read(self.store, entry), b"body")

    def test_kill(self) -> None:
        """A process that dies loses at most the last moment, and never half of a file."""
        first = self.at_once(b"first", "a")
        self.clock.advance(GATHER)
        last = self.at_once(b"last", "b")
        for commits in (False, True):
            if commits:
                self.clock.advance(GATHER)
            store: Store = self.crash()
            self.assertEqual(set(store.find()), {first, last} if commits else {first})
            self.assertEqual(self.read(store, first), b"first")
            self.assert_counted(store, store.root)


class RoomTests(PackedCase):
    """What goes leaves room."""

    max_bytes = 100 << 20

    def test_given_back(self) -> None:
        """The file shrinks some time after bodies were dropped, but for what may be used soon."""
        entries = [self.at_once(os.urandom(60_000), str(n)) for n in range(200)]
        self.clock.advance(SETTLE)
        path = beside(Layout(self.root).index)
        full = path.stat().st_size
        self.assertGreater(full, 200 * 60_000)
        for entry in entries:
            self.store.drop(entry)
        self.assertEqual(self.store._index.packed.returning, 200 * 60_000)
        self.at_once(b"again")
        self.clock.advance(SETTLE)
        self.assertLess(path.stat().st_size, (SPARE_PAGES + 64) * 4096)
        self.assertEqual(self.store._index.packed.returning, 0)

    def test_for_a_file(self) -> None:
        """What has to make way for a file on a full disk is given back before the file begins."""
        entries = [self.at_once(os.urandom(60_000), str(n)) for n in range(100)]
        self.clock.advance(SETTLE)
        path, floor = beside(Layout(self.root).index), 1_000_000
        before = path.stat().st_size

        def free(layout: Layout) -> int:
            return floor + before - path.stat().st_size

        with mock.patch.object(Layout, "free", free):
            self.assertTrue(self.successResultOf(self.store.make_room(3_000_000)))
            self.assertGreaterEqual(free(Layout(self.root)), 3_000_000)
        left = [entry for entry in entries if self.store.entries(entry.key)]
        self.assertGreater(len(left), 30)
        self.assertEqual(self.read(self.store, left[-1]) is None, False)
        self.assert_counted()

    def test_evicted(self) -> None:
        """They make way in the order of their last use, as files do."""
        self.max_bytes = 300_000
        self.store.resize(300_000, evict=True)
        kept = None
        for n in range(9):
            self.clock.advance(1)
            kept = self.at_once(bytes([n]) * 60_000, str(n))
        assert kept is not None
        self.assertLessEqual(self.store.usage().total, 300_000)
        self.assertEqual((self.store.entries("0"), self.store.entries("8")), ((), (kept,)))
        self.assert_counted()


class IndexTests(PackedCase):
    """Where the index is used without a clock, as at the start."""

    def test_committed(self) -> None:
        """What is added is there at once."""
        entry = self.at_once(b"body")
        self.successResultOf(self.store.close())
        index = Index(Layout(self.root).index)
        other = evolve(entry, key="b")
        index.put_new(other, 0.0, entry_name(other), "{}")
        again = Index(Layout(self.root).index)
        self.assertEqual(len(again.packed.records("", "g")), 2)
        index.close()
        again.close()
