from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from unittest import mock

import attrs
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from aimirror import platform
from aimirror.caching.entries import Entry
from aimirror.store.bodies import SMALL
from aimirror.store.errors import CacheInUse, DiskError, DiskFull
from aimirror.store.journal import PartMeta
from aimirror.store.layout import Layout
from aimirror.store.store import LITTLE_ROOM, SETTLE
from aimirror.store.usage import Usage
from tests.store.support import KEY, NOW, StoreCase, descriptors, digest


class LifeTests(StoreCase):
    """Opening and closing."""

    def test_nothing_before_open(self) -> None:
        """To make a store does nothing to the disk; to close one that was not opened neither."""
        root = Path(self.mktemp())
        store = self.make_store(root)
        self.successResultOf(store.close())
        self.assertFalse(root.exists())

    def test_one_service(self) -> None:
        """A folder belongs to one service at a time."""
        self.failureResultOf(self.make_store().open(), CacheInUse)
        self.successResultOf(self.store.close())
        self.open_store()

    def test_little_room(self) -> None:
        """A start on a nearly full disk says so, in one line; on another it says nothing."""
        for free, wanted in ((5_000_000, 1), (LITTLE_ROOM, 0)):
            told: list[LogEvent] = []
            globalLogPublisher.addObserver(told.append)
            with mock.patch.object(Layout, "free", return_value=free):
                self.open_store(Path(self.mktemp()))
            globalLogPublisher.removeObserver(told.append)
            lines = [str(formatEvent(event)) for event in told]
            self.assertEqual(len([line for line in lines if "only 5 MB are free" in line]), wanted)

    def test_survives(self) -> None:
        """What is stored is there after a restart, and after kill -9."""
        entry = self.add(b"data")
        store = self.crash()
        self.assertEqual(store.entries(KEY), (entry,))
        self.assertEqual(self.read(store, entry), b"data")
        self.reopen()
        self.assertEqual(self.store.entries(KEY), (entry,))
        self.assertEqual(self.read(self.store, entry), b"data")

    def test_leaves_nothing_open(self) -> None:
        """Closed, a store has no descriptor and no timer left."""
        before = descriptors()
        store = self.open_store(Path(self.mktemp()))
        part = store.create_part(PartMeta(key=KEY))
        part.write(0, b"data")
        self.successResultOf(store.commit(part, digest(b"data"), 4))
        part.close()
        entry = Entry(key=KEY, blob=digest(b"data"), size=4)
        store.put(entry)
        store.touch(entry)
        self.read(store, entry)
        self.successResultOf(store.close())
        self.assertEqual(descriptors(), before)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_tells_of_changes(self) -> None:
        """Whoever keeps answers is told of each entry that is put, invalidated or dropped."""
        told: list[str] = []
        self.store.changed = told.append
        entry = self.add(b"data")
        self.store.invalidate(KEY)
        self.store.drop(entry)
        self.assertEqual(told, [KEY] * 3)
        self.store.put(attrs.evolve(entry, key="other", blob="", size=0))
        self.store.drop_key("other")
        self.assertEqual(told[3:], ["other"] * 2)

    def test_tells_of_evictions(self) -> None:
        """Whoever keeps answers is told of what makes way, and of what turns out to be altered."""
        told: list[str] = []
        entry = self.add(b"data")
        self.add(b"more", key="more")
        self.store.changed = told.append
        next(p for p in self.root.glob(f"blobs/**/{entry.blob}*")).write_bytes(b"bad")
        self.assertIsNone(self.store.body(entry))
        self.assertEqual(told, [KEY])
        self.store.resize(0, evict=True)
        self.assertTrue(self.successResultOf(self.store.make_room(0)))
        self.assertEqual(told, [KEY, "more"])

    def test_private(self) -> None:
        """All files of a cache are for this user alone."""
        old = os.umask(0)
        try:
            self.add(b"data")
            part = self.fill(b"more", key="more")
            self.successResultOf(part.checkpoint())
        finally:
            os.umask(old)
        for path in self.root.rglob("*"):
            wanted = 0o700 if path.is_dir() else 0o600
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), wanted, path)


class EntryTests(StoreCase):
    """Metadata."""

    def test_usage(self) -> None:
        """The counts follow what is stored, and are those of the disk."""
        self.assertEqual(self.store.usage(), Usage(0, 0, 0, 0, 0, 0))
        self.add(b"one", key="a")
        self.add(b"one", key="b")
        self.fill(b"part", key="c")
        self.store.quarantine(self.fill(b"wrong", key="d"), "wrong")
        self.assertEqual(self.store.usage(), Usage(12, 3, 1, 2, 4, 5))
        self.assert_counted()

    def test_needs_its_body(self) -> None:
        """An entry whose body is not there is not stored."""
        self.assertFalse(self.store.put(Entry(key="a", blob="ab" * 32, size=1)))
        self.assertEqual(self.store.entries("a"), ())

    def test_replaced_body(self) -> None:
        """The body that an entry had before goes when it gets another one."""
        self.add(b"old")
        entry = self.add(b"new!")
        self.assertEqual(self.store.entries(KEY), (entry,))
        self.assertEqual(self.on_disk(), 4)

    def test_drop_key(self) -> None:
        """With a key go all of its scopes and variants, and no other key."""
        entry = self.add(b"one", key="a")
        self.store.put(attrs.evolve(entry, scope="s"))
        other = self.add(b"two", key="aa")
        self.assertEqual(self.store.drop_key("a"), 2)
        self.assertEqual(list(self.store.find()), [other])
        self.assertEqual(self.store.drop_key("a"), 0)
        self.assert_counted()

    def test_purge(self) -> None:
        """What ``find`` yields can be dropped on the way."""
        for n in range(5):
            self.add(bytes([n]), key=f"k{n}", received_at=NOW + n)
        for entry in self.store.find("k", received_before=NOW + 3):
            self.store.drop(entry)
        self.assertEqual({entry.key for entry in self.store.find()}, {"k3", "k4"})

    def test_invalidate(self) -> None:
        """Invalidated entries stay, marked, until they are put anew."""
        entry = self.add(b"one")
        self.assertEqual(self.store.invalidate(KEY), 1)
        self.assertEqual(self.store.entries(KEY), (attrs.evolve(entry, invalidated=True),))
        self.reopen()
        self.assertTrue(self.store.entries(KEY)[0].invalidated)
        self.assertEqual(self.store.invalidate("other"), 0)

    def test_uses_are_written_later(self) -> None:
        """A use is in the index some seconds later, and survives kill -9 then."""
        self.add(b"one", key="a")
        entry = self.add(b"two", key="b")
        self.clock.advance(SETTLE)
        self.clock.advance(100)
        self.store.touch(entry)
        used = "SELECT max(used) FROM blobs"
        self.assertEqual(self.store._index._one(used), (NOW,))
        self.clock.advance(SETTLE)
        self.assertEqual(self.store._index._one(used), (NOW + SETTLE + 100,))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aged(self) -> None:
        """What another node keeps makes way before what was used in the second half of all time."""
        used = "SELECT used FROM blobs WHERE sha256 = ?"
        self.add(b"oldest", key="a")
        self.clock.advance(100)
        lent, shared = self.add(b"lent", key="b"), self.add(b"shared", key="c")
        self.store.put(attrs.evolve(shared, key="d"))
        for entry in (lent, shared):
            self.store.age(entry)
        self.assertEqual(self.store._index._one(used, lent.blob), (NOW + 50,))
        self.assertEqual(self.store._index._one(used, shared.blob), (NOW + 100,))
        self.store.touch(lent)
        self.clock.advance(SETTLE)
        self.assertEqual(self.store._index._one(used, lent.blob), (NOW + 100,))


class CommitTests(StoreCase):
    """From part to blob."""

    def test_path(self) -> None:
        """The blob is where its name says, and readers of the part read on."""
        part = self.fill(b"data")
        path = self.successResultOf(self.store.commit(part, digest(b"data"), 4))
        self.assertEqual(path, Layout(self.root).blob(digest(b"data")))
        self.assertEqual((path.read_bytes(), os.pread(part.fd, 4, 0)), (b"data", b"data"))

    def test_synced_first(self) -> None:
        """The bytes are on the disk before the name is."""
        part = self.fill(b"data")
        seen: list[bool] = []
        self.patch(platform, "datasync", lambda fd: seen.append(part.path.exists()))
        self.successResultOf(self.store.commit(part, digest(b"data"), 4))
        self.assertEqual((seen, part.path.exists()), ([True], False))

    def test_incomplete(self) -> None:
        """What is not complete cannot be committed."""
        part = self.store.create_part(PartMeta(key=KEY, total=10))
        self.addCleanup(part.close)
        part.allocate(10)
        part.write(0, b"12345")
        self.failureResultOf(self.store.commit(part, "ab" * 32, 10), ValueError)
        self.failureResultOf(self.store.commit(part, "ab" * 32, 5), ValueError)
        self.assertEqual(self.store.usage().files, 0)

    def test_given_up_meanwhile(self) -> None:
        """A part that is discarded or closed while it is synced does not become a blob."""
        for act in ("discard", "close"):
            part = self.fill(b"data")
            self.threads.held = True
            commit = self.store.commit(part, digest(b"data"), 4)
            getattr(part, act)()
            self.threads.run()
            self.failureResultOf(commit, DiskError)
            self.threads.held = False
            part.close()
            self.assertEqual(self.store.usage(), Usage(0, 0, 0, 0, 0, 0))
            self.assertEqual(self.on_disk(), 0)

    def test_sync_fails(self) -> None:
        """Bytes that cannot be synced are not stored."""
        part = self.fill(b"data")
        with mock.patch.object(platform, "datasync", side_effect=OSError(5, "broken")):
            self.failureResultOf(self.store.commit(part, digest(b"data"), 4), DiskError)
        self.assertEqual(self.store.usage().files, 0)

    def test_empty(self) -> None:
        """A body of no bytes is a body."""
        entry = self.add(b"")
        self.reopen()
        self.assertEqual(self.read(self.store, entry), b"")

    def test_unknown_size(self) -> None:
        """A body whose size was not known grows and is stored."""
        part = self.store.create_part(PartMeta(key=KEY))
        self.addCleanup(part.close)
        for n in range(10):
            part.write(n * 10, b"0123456789")
        data = b"0123456789" * 10
        self.successResultOf(self.store.commit(part, digest(data), 100))
        self.assert_counted()


class BrokenFolderTests(StoreCase):
    """The folder breaks while the service runs."""

    def test_emptied(self) -> None:
        """Somebody empties the folder: entries are misses, and new ones are stored."""
        entry = self.add(b"data")
        self.read(self.store, entry)
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.assertIsNone(self.store.body(entry))
        again = self.add(b"data")
        self.assertEqual(self.read(self.store, again), b"data")

    def test_read_only(self) -> None:
        """On a disk that went read-only hits go on, and the rest fails with a DiskError."""
        entry = self.add(b"data")
        real = os.open

        def read_only(path: object, flags: int, *args: object, **kwargs: object) -> int:
            if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                raise OSError(30, "read-only file system", str(path))
            return real(path, flags, *args, **kwargs)  # type: ignore[arg-type]

        with mock.patch.object(os, "open", read_only):
            self.store.touch(entry)
            self.clock.advance(SETTLE)
            self.assertEqual(self.read(self.store, entry), b"data")
            self.assertRaises(DiskError, self.store.create_part, PartMeta(key=KEY))
            self.assertRaises(DiskError, self.store.put, entry)
        self.assertTrue(self.flushLoggedErrors(DiskError))
        self.assertTrue(self.store.put(entry))


class AddTests(StoreCase):
    """Small bodies that are stored in one go."""

    max_bytes = 100_000

    def test_equal_content(self) -> None:
        """Equal content is one blob, whichever way it came."""
        entry = self.add(b"same")
        for _ in range(2):
            self.assertEqual(self.store.add(digest(b"same"), b"same").data(), b"same")
        self.assertEqual(self.store.usage().files, 1)
        self.assertEqual(self.read(self.store, entry), b"same")
        self.assert_counted()

    def test_private(self) -> None:
        """Others on the machine can't read it."""
        for content, packed in ((b"body", False), (b"other", True)):
            body = self.store.add(digest(content), content, packed=packed)
            self.assertEqual(stat.S_IMODE(body.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE((self.root / "packed.sqlite3").stat().st_mode), 0o600)

    def test_limit(self) -> None:
        """The limit of the cache holds, and what is used least makes way."""
        for number in range(5):
            data = bytes([number]) * 30_000
            self.clock.advance(1)
            self.store.add(digest(data), data)
            self.store.put(Entry(key=f"k{number}", blob=digest(data), size=len(data)))
        self.assertLessEqual(self.store.usage().total, self.max_bytes)
        self.assertEqual(self.store.entries("k0"), ())
        self.assert_counted()

    def test_packed_before(self) -> None:
        """What is packed, and is to have a file now, keeps nothing else from being synced."""
        for packed in (True, False):
            self.store.add(digest(b"body"), b"body", packed=packed)
        self.clock.advance(SETTLE)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_no_room(self) -> None:
        """Half of it is left nowhere when the disk is full."""
        with mock.patch("os.write", return_value=2), self.assertRaises(DiskFull):
            self.store.add(digest(b"body"), b"body", packed=False)
        self.assertEqual((self.store.usage().files, self.on_disk()), (0, 0))

    def test_too_long(self) -> None:
        """Long ones are not held in memory."""
        with self.assertRaises(ValueError):
            self.store.add("0" * 64, bytes(SMALL + 1))
