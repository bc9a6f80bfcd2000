from __future__ import annotations

import os
from contextlib import AbstractContextManager
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from aimirror.caching.entries import Entry
from aimirror.store.errors import DiskError
from aimirror.store.journal import PartMeta
from aimirror.store.room import GROWTH_SHARE, SLICE
from tests.store.support import StoreCase


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

    def test_never_read(self) -> None:
        """A body being read stays; afterwards it may go."""
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
