from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror import platform
from aimirror.download.spans import Spans
from aimirror.store import journal
from aimirror.store.errors import DiskError, DiskFull
from aimirror.store.journal import PartMeta
from aimirror.store.parts import Part
from tests.store.support import KEY, Threads


class Ledger:
    """An owner of parts that only counts."""

    def __init__(self) -> None:
        self.bytes = 0
        self.limit = 1 << 30
        self.kept: list[Part] = []

    def reserve(self, count: int) -> None:
        if self.bytes + count > self.limit:
            raise DiskFull(errno.ENOSPC, "limit")

    def resized(self, part: Part, change: int) -> None:
        self.bytes += change

    def closed(self, part: Part) -> None:
        self.kept.append(part)


class PartCase(SynchronousTestCase):
    """A test with parts."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.ledger = Ledger()
        self.threads = Threads()
        self.clock = Clock()
        self.numbers = iter(range(1000))

    def make(self, total: int | None = None) -> Part:
        id = str(next(self.numbers))
        fd = os.open(self.folder / f"{id}.part", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        meta = PartMeta(key=KEY, total=total)
        part = Part(id, meta, self.folder, fd, self.ledger, self.clock, self.threads)
        self.addCleanup(part.close)
        return part

    def journalled(self, part: Part) -> Spans:
        """What a restart would find."""
        if not part.journal_path.exists():
            return Spans()
        found = journal.parse(part.journal_path.read_bytes())
        return found.durable if found else Spans()


class WritingTests(PartCase):
    """Bytes going in."""

    def test_any_order(self) -> None:
        """Bytes land at their offsets; readable is what was written, by us or by others."""
        part = self.make()
        part.write(4, b"efgh")
        part.write(0, b"ab")
        part.wrote(2, 4)
        self.assertEqual(part.path.read_bytes(), b"ab\0\0efgh")
        self.assertEqual((part.written, part.size), (Spans([(0, 8)]), 8))
        self.assertEqual(self.ledger.bytes, 8)

    def test_allocate(self) -> None:
        """Allocated bytes are on the disk and counted at once, and readable only when written."""
        part = self.make(1 << 20)
        part.allocate(1 << 20)
        status = part.path.stat()
        self.assertEqual(status.st_size, 1 << 20)
        if platform._allocate is not None:
            self.assertGreaterEqual(status.st_blocks * 512, 1 << 20)
        self.assertEqual((self.ledger.bytes, part.written), (1 << 20, Spans()))
        part.wrote(0, 1 << 20)
        self.assertEqual(self.ledger.bytes, 1 << 20)

    def test_allocate_without_support(self) -> None:
        """Where space cannot be reserved, the file only gets its length."""

        def refuse(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "no")

        self.patch(platform, "_allocate", refuse)
        part = self.make()
        part.allocate(5000)
        self.assertEqual(part.path.stat().st_size, 5000)

    def test_allocate_on_a_full_disk(self) -> None:
        """A full disk shows at allocation, and nothing of the file is kept."""

        def fill(fd: int, offset: int, count: int) -> None:
            os.ftruncate(fd, count // 2)
            raise OSError(errno.ENOSPC, "full")

        self.patch(platform, "_allocate", fill)
        part = self.make()
        self.assertRaises(DiskFull, part.allocate, 5000)
        self.assertEqual((part.path.stat().st_size, self.ledger.bytes), (0, 0))

    def test_write_failures(self) -> None:
        """A full disk is DiskFull, another failure DiskError; short writes go on."""
        part = self.make()
        whole = os.pwrite
        self.patch(os, "pwrite", lambda fd, data, at: whole(fd, data[:1], at))
        part.write(0, b"abc")
        self.assertEqual(part.path.read_bytes(), b"abc")
        for code, kind in ((errno.ENOSPC, DiskFull), (errno.EIO, DiskError)):

            def fail(*_: object, code: int = code) -> int:
                raise OSError(code, "broken")

            self.patch(os, "pwrite", fail)
            self.assertIs(type(self.assertRaises(DiskError, part.write, 3, b"d")), kind)
        self.assertEqual(part.written, Spans([(0, 3)]))

    def test_growth_is_bounded(self) -> None:
        """A body of unknown size that outgrows the cache is refused, whoever writes it."""
        self.ledger.limit = 10
        part = self.make()
        part.write(0, b"x" * 8)
        self.assertRaises(DiskFull, part.write, 8, b"xxx")
        self.assertRaises(DiskFull, part.wrote, 8, 11)
        self.assertEqual((part.written, self.ledger.bytes), (Spans([(0, 8)]), 8))


class CheckpointTests(PartCase):
    """What survives."""

    def test_bytes_before_words(self) -> None:
        """The journal is written only after the bytes were synced, and is synced itself."""
        calls: list[str] = []
        part = self.make()

        def sync(fd: int) -> None:
            name = "part" if os.path.sameopenfile(fd, part.fd) else "journal"
            calls.append(f"{name} {self.journalled(part)}")

        self.patch(platform, "datasync", sync)
        part.write(0, b"abc")
        self.successResultOf(part.checkpoint())
        self.assertEqual(calls, [f"part {Spans()}", f"journal {Spans([(0, 3)])}"])
        self.assertEqual(part.durable, Spans([(0, 3)]))

    def test_nothing_new(self) -> None:
        """Without new bytes nothing is synced; without any there is not even a journal."""
        part = self.make()
        self.successResultOf(part.checkpoint())
        self.assertFalse(part.journal_path.exists())
        part.write(0, b"abc")
        self.successResultOf(part.checkpoint())
        self.threads.held = True
        self.successResultOf(part.checkpoint())

    def test_one_at_a_time(self) -> None:
        """A checkpoint asked for while one runs waits, and covers what came meanwhile."""
        self.threads.held = True
        part = self.make()
        part.write(0, b"abc")
        first = part.checkpoint()
        part.write(3, b"def")
        second, third = part.checkpoint(), part.checkpoint()
        self.assertEqual(len(self.threads.waiting), 1)
        self.threads.run()
        self.successResultOf(first)
        self.assertEqual(part.durable, Spans([(0, 3)]))
        self.assertEqual(len(self.threads.waiting), 1)
        self.threads.run()
        self.successResultOf(second)
        self.successResultOf(third)
        self.assertEqual(part.durable, Spans([(0, 6)]))

    def test_private(self) -> None:
        """The journal can hold signed URLs: it is for this user alone."""
        part = self.make()
        part.write(0, b"a")
        self.successResultOf(part.checkpoint())
        self.assertEqual(stat.S_IMODE(part.journal_path.stat().st_mode), 0o600)

    def test_failure(self) -> None:
        """A failed sync claims nothing, and the next checkpoint tries again."""

        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "broken")

        part = self.make()
        part.write(0, b"abc")
        with_sync = platform.datasync
        self.patch(platform, "datasync", fail)
        self.failureResultOf(part.checkpoint(), DiskError)
        self.assertEqual((part.durable, self.journalled(part)), (Spans(), Spans()))
        self.patch(platform, "datasync", with_sync)
        self.successResultOf(part.checkpoint())
        self.assertEqual(self.journalled(part), Spans([(0, 3)]))

    def test_half_a_line(self) -> None:
        """A journal line that did not fit is taken back, so that later ones count."""
        part = self.make()
        part.write(0, b"abc")
        self.successResultOf(part.checkpoint())
        whole = os.write
        self.patch(os, "write", lambda fd, data: whole(fd, data[:5]))
        part.write(3, b"d")
        self.failureResultOf(part.checkpoint(), DiskFull)
        self.patch(os, "write", whole)
        part.write(4, b"e")
        self.successResultOf(part.checkpoint())
        self.assertEqual(self.journalled(part), Spans([(0, 5)]))

    def test_cancelled(self) -> None:
        """Cancelling gives up the answer; the descriptors stay open while the thread uses them."""
        self.threads.held = True
        part = self.make()
        part.write(0, b"abc")
        waiting = part.checkpoint()
        waiting.cancel()
        self.failureResultOf(waiting)
        fd = part.fd
        part.close()
        os.fstat(fd)
        self.threads.run()
        self.assertRaises(OSError, os.fstat, fd)
        self.assertEqual(self.journalled(part), Spans([(0, 3)]))

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.integers(0, 100), st.integers(1, 20)),
                st.sampled_from(["checkpoint", "run"]),
            ),
            max_size=20,
        ),
        st.data(),
    )
    def test_never_claims_what_was_not_synced(self, steps: list[object], data: st.DataObject):
        """At any moment, with the journal torn anywhere, it claims only synced bytes."""
        part, synced = self.make(), Spans()
        self.threads.held = True
        real = platform.datasync

        def sync(fd: int) -> None:
            nonlocal synced
            if fd == part.fd:
                synced = part.written
            real(fd)

        self.patch(platform, "datasync", sync)
        for step in steps:
            if step == "checkpoint":
                part.checkpoint()
            elif step == "run":
                self.threads.run()
            elif isinstance(step, tuple):
                part.write(step[0], b"x" * step[1])
            if part.journal_path.exists():
                kept = part.journal_path.read_bytes()
                found = journal.parse(kept[: data.draw(st.integers(0, len(kept)))])
                claimed = found.durable if found else Spans()
                self.assertTrue(all(synced.covers(a, b) for a, b in claimed))
            self.assertTrue(all(synced.covers(a, b) for a, b in part.durable))
        while self.threads.waiting:
            self.threads.run()
        part.close()


class EndTests(PartCase):
    """What becomes of a part."""

    def test_discard(self) -> None:
        """Discarded, it takes no room; who reads it reads on until it is closed."""
        part = self.make()
        part.write(0, b"abc")
        self.successResultOf(part.checkpoint())
        part.discard()
        part.discard()
        self.assertEqual((list(self.folder.iterdir()), self.ledger.bytes), ([], 0))
        self.assertEqual(os.pread(part.fd, 9, 0), b"abc")
        part.wrote(3, 9)
        self.assertEqual(self.ledger.bytes, 0)

    def test_discard_while_syncing(self) -> None:
        """A journal that is being begun does not outlive the discarded part."""
        self.threads.held = True
        part = self.make()
        part.write(0, b"abc")
        part.checkpoint()
        part.discard()
        part.close()
        self.threads.run()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_close_keeps(self) -> None:
        """Closed with a journal, it is kept for later; its descriptors are closed once."""
        part = self.make()
        part.write(0, b"abc")
        self.successResultOf(part.checkpoint())
        fd = part.fd
        part.close()
        self.assertEqual((self.ledger.kept, part.fd), ([part], -1))
        self.assertRaises(OSError, os.fstat, fd)
        part.close()
        self.assertEqual(self.ledger.kept, [part])

    def test_close_without_journal(self) -> None:
        """Closed with nothing durable, it is gone."""
        part = self.make()
        part.write(0, b"abc")
        part.close()
        self.assertEqual((list(self.folder.iterdir()), self.ledger.kept), ([], []))
        self.assertEqual(self.ledger.bytes, 0)

    def test_empty(self) -> None:
        """A part of no bytes at all can be sealed."""
        part = self.make(0)
        part.allocate(0)
        self.successResultOf(part.seal("ab" * 32))
        self.assertEqual(part.size, 0)
