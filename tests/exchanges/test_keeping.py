from __future__ import annotations

import errno

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.spans import Spans
from aimirror.exchanges.keeping import LEAST_BYTES, NOTE_SECONDS, NOTE_SHARE, SYNC_SECONDS, Keeping


class FakePart:
    """Counts what is asked of it."""

    def __init__(self, broken: bool = False) -> None:
        self.written = Spans()
        self.notes = self.checkpoints = 0
        self.broken = broken

    def _done(self) -> Deferred[None]:
        return fail(OSError(errno.ENOSPC, "full")) if self.broken else succeed(None)

    def note(self) -> Deferred[None]:
        self.notes += 1
        return self._done()

    def checkpoint(self) -> Deferred[None]:
        self.checkpoints += 1
        return self._done()


class KeepingTests(SynchronousTestCase):
    """The journal follows."""

    def keep(self, steps: int, seconds: float, total: int = 1 << 30, **more: bool) -> FakePart:
        """A file that arrives in so many steps over so many seconds."""
        part = FakePart(**more)
        keeping = Keeping(part, total, 0.0)  # type: ignore[arg-type]
        for step in range(1, steps + 1):
            keeping.follow(step * total // steps, step * seconds / steps)
        return part

    def test_quick(self) -> None:
        """A quick download is noted by its share, and never synced on the way."""
        part = self.keep(10_000, 0.1)
        self.assertLess(abs(part.notes - 1 / NOTE_SHARE), 3)
        self.assertEqual(part.checkpoints, 0)

    def test_small(self) -> None:
        """A small file is fetched again sooner than it is noted."""
        self.assertEqual(self.keep(100, 10.0, total=LEAST_BYTES - 1).notes, 0)
        self.assertLessEqual(self.keep(100, 0.5, total=4 * LEAST_BYTES).notes, 4)

    def test_usual(self) -> None:
        """One of a minute is noted and synced by the clock."""
        part = self.keep(10_000, 60.0)
        self.assertLess(abs(part.notes - 60 / NOTE_SECONDS), 12)
        self.assertLess(abs(part.checkpoints - 60 / SYNC_SECONDS), 3)

    def test_slow(self) -> None:
        """One that takes days has a journal of bounded length all the same."""
        part = self.keep(100_000, 1e6)
        self.assertLess(part.notes + part.checkpoints, 2 * (1 << 30) / LEAST_BYTES + 2)

    def test_without_a_journal(self) -> None:
        """A journal that can't be written does not disturb the download."""
        self.assertGreater(self.keep(1000, 1.0, broken=True).notes, 50)
