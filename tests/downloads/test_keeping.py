from __future__ import annotations

import errno

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from aimirror.core.spans import Spans
from aimirror.downloads.keeping import NOTE_SECONDS, SYNC_SECONDS, Keeping


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

    def keep(self, steps: int, seconds: float, broken: bool = False) -> FakePart:
        """A file of 1000 bytes that arrives in so many steps over so many seconds."""
        part = FakePart(broken)
        keeping = Keeping(part, 1000, 0.0)  # type: ignore[arg-type]
        for step in range(1, steps + 1):
            keeping.follow(step * 1000 // steps, step * seconds / steps)
        return part

    def test_quick(self) -> None:
        """A quick download is noted by its share, so that little is lost whenever it ends."""
        part = self.keep(1000, 0.1)
        self.assertGreater(part.notes, 50)
        self.assertLess(part.notes, 70)
        self.assertLess(part.checkpoints, 17)

    def test_slow(self) -> None:
        """A slow one is noted by the clock."""
        part = self.keep(1000, 1000.0)
        self.assertEqual(part.notes, 1000)
        self.assertAlmostEqual(part.checkpoints, 1000 / SYNC_SECONDS, delta=2)
        self.assertLess(NOTE_SECONDS, SYNC_SECONDS)

    def test_without_a_journal(self) -> None:
        """A journal that can't be written does not disturb the download."""
        self.assertGreater(self.keep(1000, 1.0, broken=True).notes, 50)
