import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.workers.worker.writer import (
    GATHER,
    MOST_BUFFERS,
    REPORT_BYTES,
    REPORT_EVERY,
    SpanWriter,
)


class FakePart:
    """A part file in memory; takes at most ``most`` bytes at a time, fails from ``full`` on."""

    def __init__(self):
        self.data = bytearray()
        self.calls = 0
        self.most = 1 << 30
        self.full = 1 << 30

    def write(self, data, offset):
        self.calls += 1
        whole = b"".join(data)[: self.most]
        room = self.full - offset
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole = whole[:room]
        self.data[offset : offset + len(whole)] = whole
        return len(whole)


class SpanWriterTests(SynchronousTestCase):
    def setUp(self):
        self.clock, self.part = Clock(), FakePart()
        self.reports, self.failures = [], []
        self.writer = SpanWriter(
            self.clock,
            self.part,
            0,
            lambda start, stop: self.reports.append((start, stop)),
            self.failures.append,
        )

    def test_first_bytes_at_once(self):
        """A reader that waits for the first bytes gets them without delay."""
        self.writer.write(b"abc")
        self.assertEqual(self.part.data, b"abc")
        self.assertEqual(self.reports, [(0, 3)])

    def test_gathers(self):
        """Small buffers are gathered into large writes."""
        self.writer.write(b"x")
        for _ in range(GATHER // 16384):
            self.writer.write(b"y" * 16384)
        self.assertEqual(self.part.calls, 2)
        self.assertEqual(self.writer.written, 1 + GATHER)

    def test_tiny_buffers(self):
        """The number of buffers held is bounded, too."""
        for _ in range(2 * MOST_BUFFERS):
            self.writer.write(b"x")
        self.assertGreaterEqual(self.writer.written, MOST_BUFFERS)

    def test_reports_by_size(self):
        """The parent hears of each REPORT_BYTES, not of each write."""
        for _ in range(4 * REPORT_BYTES // GATHER):
            self.writer.write(b"z" * GATHER)
        self.assertEqual(len(self.reports), 4)

    def test_reports_by_time(self):
        """What trickles in is written and reported after REPORT_EVERY."""
        self.writer.write(b"a")
        self.writer.write(b"b")
        self.assertEqual(self.reports, [(0, 1)])
        self.clock.advance(REPORT_EVERY)
        self.assertEqual(self.reports, [(0, 1), (1, 2)])
        self.assertEqual(self.part.data, b"ab")

    def test_at_once_after_a_lull(self):
        """After a lull the next bytes are the first again."""
        self.writer.write(b"a")
        self.clock.advance(REPORT_EVERY)
        self.clock.advance(REPORT_EVERY)
        self.writer.write(b"b")
        self.assertEqual(self.reports, [(0, 1), (1, 2)])

    def test_partial_writes(self):
        """A write that takes only a part is continued from there."""
        self.part.most = 3
        self.writer.write(b"abcdefgh")
        self.writer.write(b"ijk")
        self.writer.write(b"lmnop")
        self.writer.flush()
        self.assertEqual(self.part.data, b"abcdefghijklmnop")
        self.assertEqual(self.reports, [(0, 8), (8, 16)])

    def test_cut(self):
        """What is held beyond the cut is never written."""
        self.writer.write(b"ab")
        for data in (b"cd", b"ef", b"gh"):
            self.writer.write(data)
        self.writer.cut(5)
        self.writer.flush()
        self.assertEqual(self.part.data, b"abcde")
        self.writer.cut(1)
        self.assertEqual((self.writer.position, self.writer.written), (5, 5))

    def test_full_disk(self):
        """What was written before the disk was full is reported."""
        self.part.full = 4
        error = self.assertRaises(OSError, self.writer.write, b"abcdef")
        self.assertEqual(error.errno, errno.ENOSPC)
        self.assertEqual(self.reports, [(0, 4)])
        self.assertEqual(self.writer.written, 4)

    def test_full_disk_on_the_timer(self):
        """An error on the timer reaches the owner."""
        self.part.full = 2
        self.writer.write(b"a")
        self.writer.write(b"bcd")
        self.clock.advance(REPORT_EVERY)
        self.assertEqual([error.errno for error in self.failures], [errno.ENOSPC])
        self.assertEqual(self.reports, [(0, 1), (1, 2)])

    def test_close(self):
        """A closed writer leaves no timer and drops what it held."""
        self.writer.write(b"a")
        self.writer.write(b"b")
        self.writer.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.part.data, b"a")
