from __future__ import annotations

import os
from contextlib import AbstractContextManager
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from aimirror.caching.entries import Entry
from aimirror.exchanges.growing import GrowingBody
from aimirror.interfaces import BodyFailed
from aimirror.store.bodies import StoredReader
from aimirror.store.catalogue import Catalogue
from aimirror.store.errors import DiskError
from aimirror.store.index import Index
from aimirror.store.inuse import SLOW, STEP
from aimirror.store.journal import PartMeta
from aimirror.store.room import GROWTH_SHARE, NAMELESS_SHARE, SLICE
from tests.store.support import StoreCase, digest


class MakeRoomTests(StoreCase):
    """Eviction under the limit."""

    max_bytes = 1000

    def make(self, count: int) -> bool:
        return self.successResultOf(self.store.make_room(count))

    def add_some(self, *sizes: int) -> list[Entry]:
        """Bodies of these sizes, each used a second after the one before."""
        entries = []
        for n, size in enumerate(sizes):
            self.clock.advance(1)
            entries.append(self.add(bytes([n]) * size, key=str(n)))
        return entries

    def keys(self) -> list[str]:
        return sorted(entry.key for entry in self.store.find())

    def test_fits(self) -> None:
        """Nothing goes as long as there is room."""
        self.add_some(300, 300)
        self.assertTrue(self.make(400))
        self.assertEqual(self.keys(), ["0", "1"])

    def test_least_recently_used(self) -> None:
        """What was used longest ago goes, noted uses included, and its bytes leave the disk."""
        entries = self.add_some(300, 300, 300)
        self.clock.advance(1)
        self.store.touch(entries[0])
        self.assertTrue(self.make(200))
        self.assertEqual(self.keys(), ["0", "2"])
        self.assertEqual(self.on_disk(), 600)
        self.assert_counted()
        self.assertEqual(len(list((self.root / "entries").rglob("*.json"))), 2)

    def test_never_pinned(self) -> None:
        """A pinned body stays, however old."""
        self.add(b"p" * 300, key="p", pinned=True)
        self.add_some(300, 300)
        self.assertTrue(self.make(700))
        self.assertEqual(self.keys(), ["p"])
        self.assertFalse(self.make(701))

    def test_read_ones_last(self) -> None:
        """A body being read stays when others make room; afterwards it may go."""
        first, _ = self.add_some(300, 300)
        body = self.store.body(first)
        assert body is not None
        reader = body.reader(0, None)
        self.assertTrue(self.make(700))
        self.assertEqual(self.keys(), ["0"])
        self.assertFalse(self.make(800))
        reader.close()
        self.assertTrue(self.make(800))

    def test_nothing_in_vain(self) -> None:
        """What can never fit evicts nothing."""
        self.add_some(300, 300)
        self.assertFalse(self.make(1001))
        self.assertEqual(self.keys(), ["0", "1"])

    def test_parts_count(self) -> None:
        """Bytes of running downloads cannot be had."""
        self.fill(b"x" * 600)
        self.assertFalse(self.make(500))
        self.assertTrue(self.make(400))

    def test_two_wait_for_the_same_room(self) -> None:
        """Of two who ask at the same time, the room goes to the one who takes it."""
        self.add_some(500, 500)
        self.threads.held = True
        answers: list[bool] = []
        parts = [self.store.create_part(PartMeta(key=key)) for key in "ab"]
        for part in parts:
            self.addCleanup(part.close)
            asked = self.store.make_room(600)
            asked.addCallback(lambda yes, p=part: p.allocate(600) if yes else answers.append(yes))
        while self.threads.waiting:
            self.threads.run()
        self.assertEqual((answers, self.store.usage().total), ([False], 600))
        self.threads.held = False
        self.assert_counted()

    def test_many(self) -> None:
        """More than one slice goes, one after the other."""
        self.add_some(*[10] * (SLICE * 3))
        self.threads.held = True
        made = self.store.make_room(1000)
        slices = 0
        while self.threads.waiting:
            slices += 1
            self.threads.run()
        self.assertTrue(self.successResultOf(made))
        self.assertGreater(slices, 2)
        self.assertEqual((self.keys(), self.on_disk()), ([], 0))
        self.threads.held = False

    def test_searched_for_many(self) -> None:
        """A full cache is not searched for each small file: what goes, goes by the dozen."""
        for n in range(100):
            self.add(b"%10d" % n, key=str(n))
        with (
            mock.patch("aimirror.store.room.AHEAD_SHARE", 1 / 10),
            mock.patch.object(
                Index, "least_used", autospec=True, side_effect=Index.least_used
            ) as search,
            mock.patch.object(
                Catalogue, "drop_blobs", autospec=True, side_effect=Catalogue.drop_blobs
            ) as drop,
        ):
            for n in range(100, 120):
                self.clock.advance(1)
                self.assertTrue(self.make(10))
                self.add(b"%10d" % n, key=str(n))
                self.assertLessEqual(self.on_disk(), self.max_bytes)
        self.assertEqual((search.call_count, drop.call_count), (2, 2))
        self.assert_counted()

    def test_disk(self) -> None:
        """The room on the disk counts as the limit does."""
        self.add_some(300, 300)
        with self.disk(700):
            self.assertTrue(self.make(350))
            self.assertEqual(self.keys(), ["1"])
            self.assertFalse(self.make(900))
            self.assertEqual(self.keys(), ["1"])

    def disk(self, size: int) -> AbstractContextManager[object]:
        """A disk of so many bytes."""
        real = os.statvfs(self.root)

        def statvfs(path: object) -> object:
            fields = list(real)
            fields[1], fields[4] = 1, size - self.on_disk()
            return os.statvfs_result(fields)

        return mock.patch.object(os, "statvfs", statvfs)

    def test_disk_for_what_grows(self) -> None:
        """A part of unknown size finds spare room on the disk, and has it kept ahead of it."""
        self.add_some(100, 100, 100)
        spare = int(self.max_bytes * GROWTH_SHARE)
        with self.disk(300 + spare):
            self.assertTrue(self.successResultOf(self.store.make_spare_room()))
            self.assertEqual(self.keys(), ["0", "1", "2"])
            part = self.store.create_part(PartMeta(key="grows"))
            for start in range(0, 200, 10):
                part.write(start, b"x" * 10)
            self.assertEqual(self.keys(), ["2"])
        part.discard()
        part.close()

    def test_no_spare_room(self) -> None:
        """A disk that others have filled has no room for a part of unknown size."""
        self.add_some(5)
        with self.disk(10):
            self.assertFalse(self.successResultOf(self.store.make_spare_room()))
        self.assertEqual(self.keys(), ["0"])

    def test_vanished(self) -> None:
        """Where the folder is gone, the error is typed."""
        away = self.root.with_suffix(".away")
        self.root.rename(away)
        self.failureResultOf(self.store.make_room(10), DiskError)
        away.rename(self.root)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5)), max_size=12))
    def test_bounded(self, steps: list[tuple[int, int]]) -> None:
        """Whatever is stored and used, the disk never holds more than the limit."""
        for size, name in steps:
            self.clock.advance(1)
            if self.make(size):
                self.add(bytes([name]) * size, key=str(name))
            for entry in self.store.entries("0"):
                self.store.touch(entry)
            self.assertLessEqual(self.on_disk(), 1000)
            self.assert_counted()


class ReadersTests(StoreCase):
    """Room for more while all that is stored is being read."""

    max_bytes = 900
    size = 100
    #: What is on the disk at most, with the files that only their readers keep there.
    bound = 900 + int(900 * NAMELESS_SHARE)

    def setUp(self) -> None:
        super().setUp()
        self.entries = [self.add_one(n) for n in range(9)]
        self.readers = [self.read_on(entry) for entry in self.entries]

    def add_one(self, n: int) -> Entry:
        self.clock.advance(1)
        return self.add(bytes([n]) * self.size, key=str(n))

    def read_on(self, entry: Entry) -> StoredReader:
        body = self.store.body(entry)
        assert body is not None
        reader = body.reader(0, None)
        self.addCleanup(reader.close)
        return reader

    def make(self, count: int) -> bool:
        return self.successResultOf(self.store.make_room(count))

    def taken(self) -> int:
        """Bytes that the disk has for the readers and all that is stored."""
        stats = {os.fstat(reader.fd) for reader in self.readers if reader.fd >= 0}
        nameless = {stat.st_ino: stat.st_size for stat in stats if stat.st_nlink == 0}
        return self.on_disk() + sum(nameless.values())

    def test_stored_beside_slow_readers(self) -> None:
        """Nine readers that take nothing do not keep a tenth file from being stored."""
        self.assertTrue(self.make(self.size))
        tenth = self.add_one(9)
        self.assertEqual(self.read(self.store, tenth), bytes([9]) * self.size)
        self.assertEqual(self.store.entries("0"), ())
        self.assertLessEqual(self.taken(), self.bound)

    def test_read_on_without_a_name(self) -> None:
        """Who reads the file that went gets all of it; then the disk has its room back."""
        self.assertTrue(self.make(self.size))
        reader = self.readers[0]
        self.assertEqual(os.pread(reader.fd, 999, 0), bytes([0]) * self.size)
        self.assertEqual(self.store.usage().nameless, self.size)
        reader.close()
        self.assertEqual(self.store.usage().nameless, 0)

    def test_bounded(self) -> None:
        """Readers in good time keep what they read, and the disk holds no more than the bound."""
        for n in range(9, 20):
            if self.make(self.size):
                self.readers.append(self.read_on(self.add_one(n)))
            self.assertLessEqual(self.taken(), self.bound)
        self.assertEqual(self.store.usage().files, 9)
        for n, reader in enumerate(self.readers):
            self.assertEqual(os.pread(reader.fd, 999, 0), bytes([n]) * self.size)

    def test_slow_ones_make_room(self) -> None:
        """Readers that are slow for long are cut off, and no more of them than needed."""
        self.clock.advance(SLOW + 1)
        for n in range(9, 13):
            self.assertTrue(self.make(self.size))
            self.readers.append(self.read_on(self.add_one(n)))
            self.assertLessEqual(self.taken(), self.bound)
        left = [os.pread(reader.fd, 999, 0) != b"" for reader in self.readers]
        self.assertEqual(left, [False] * 3 + [True] * 10)

    def test_fast_ones_are_not_slow(self) -> None:
        """A reader that goes on is left alone, however long it reads."""
        for _ in range(4):
            self.clock.advance(SLOW - 1)
            for reader in self.readers:
                reader.advance(STEP)
        self.assertTrue(self.make(self.size))
        self.add_one(9)
        self.assertTrue(self.make(self.size))
        self.assertEqual(
            [os.pread(r.fd, 1, 0) for r in self.readers], [bytes([n]) for n in range(9)]
        )
        self.assertFalse(self.make(self.size * 2))

    def test_disk(self) -> None:
        """Where the disk itself is full, only slow readers make room."""
        full = mock.patch.object(
            type(self.store._layout), "free", lambda layout: 1000 - self.taken()
        )
        with full:
            self.assertFalse(self.make(101))
            self.clock.advance(SLOW + 1)
            self.assertTrue(self.make(101))
            self.assertEqual(self.taken(), 800)

    def test_growing_ones(self) -> None:
        """What was read while it came is counted as what is read later, in any order of ends."""
        for reader in self.readers:
            reader.close()
        part = self.fill(b"x" * self.size, key="grown")
        body = GrowingBody(str(part.path), self.size, lambda at: self.size, clock=self.clock)
        slow = body.reader(0, None)
        self.addCleanup(slow.close)
        blob = digest(b"x" * self.size)
        path = self.successResultOf(self.store.commit(part, blob, self.size))
        body.finish(self.size, str(path), blob, self.store.in_use)
        self.store.put(Entry(key="grown", blob=blob, size=self.size))
        self.assertTrue(self.make(self.max_bytes))
        self.assertEqual(self.store.usage().nameless, self.size)
        self.assertEqual(os.pread(slow.fd, 999, 0), b"x" * self.size)
        self.clock.advance(SLOW + 1)
        self.add_one(1)
        self.readers.append(self.read_on(self.store.entries("1")[0]))
        self.assertTrue(self.make(self.max_bytes))
        self.assertEqual(os.pread(slow.fd, 999, 0), b"")
        self.assertRaises(BodyFailed, body.reader, 0, None)

    def test_guarded(self) -> None:
        """What is read by its name stays where it is."""
        bodies = [self.store.body(entry) for entry in self.entries]
        for body in bodies:
            assert body is not None
            body.guard()
        self.clock.advance(SLOW + 1)
        self.assertFalse(self.make(self.size))
        assert bodies[3] is not None
        bodies[3].release()
        self.assertTrue(self.make(self.size))
        self.assertEqual(self.store.entries("3"), ())


class RefusingTests(StoreCase):
    """Without eviction."""

    max_bytes = 1000
    evict = False

    def test_refused(self) -> None:
        """What does not fit is refused, and what is stored stays."""
        self.add(b"x" * 600)
        self.assertTrue(self.successResultOf(self.store.make_room(400)))
        self.assertFalse(self.successResultOf(self.store.make_room(401)))
        self.assertEqual(self.store.usage().files, 1)

    def test_leftovers_go(self) -> None:
        """Quarantine and parts that nobody works on are no stored content: they make way."""
        self.store.quarantine(self.fill(b"x" * 600), "wrong")
        self.assertTrue(self.successResultOf(self.store.make_room(1000)))
        self.assertEqual(self.on_disk(), 0)
