import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.workers.worker.reports import REPORT_EVERY, Reports
from aimirror.workers.worker.writer import SpanWriter


class FakePart:
    """A part file in memory; takes at most ``most`` bytes at a time, fails from ``full`` on."""

    def __init__(self):
        self.data = bytearray()
        self.calls = 0
        self.most = 1 << 30
        self.full = 1 << 30

    def write(self, data, offset):
        self.calls += 1
        whole = bytes(data[: self.most])
        room = self.full - offset
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole = whole[:room]
        self.data[offset : offset + len(whole)] = whole
        return len(whole)


class SpanWriterTests(SynchronousTestCase):
    def setUp(self):
        self.clock, self.part, self.reports = Clock(), FakePart(), []
        self.writer = SpanWriter(self.part, 7, 0, Reports(self.clock, self.reports.extend))

    def test_first_bytes_at_once(self):
        """A reader that waits for the first bytes gets them without delay."""
        self.writer.write(b"abc")
        self.assertEqual(self.part.data, b"abc")
        self.assertEqual(self.reports, [(7, 0, 3)])

    def test_written_as_it_comes(self):
        """Nothing is held back in memory; what follows the first bytes is reported later."""
        self.writer.write(b"a")
        self.writer.write(memoryview(bytearray(b"b")))
        self.writer.write(b"c")
        self.assertEqual((self.part.calls, self.writer.written), (3, 3))
        self.assertEqual(self.part.data, b"abc")
        self.assertEqual(self.reports, [(7, 0, 1)])
        self.clock.advance(REPORT_EVERY)
        self.assertEqual(self.reports, [(7, 0, 1), (7, 1, 3)])

    def test_partial_writes(self):
        """A write that takes only a part is continued from there."""
        self.part.most = 3
        self.writer.write(b"abcdefgh")
        self.writer.write(b"ijk")
        self.assertEqual(self.part.data, b"abcdefghijk")
        self.assertEqual(self.writer.written, 11)

    def test_full_disk(self):
        """What was written before the disk was full is reported."""
        self.part.full = 4
        error = self.assertRaises(OSError, self.writer.write, b"abcdef")
        self.assertEqual(error.errno, errno.ENOSPC)
        self.assertEqual(self.reports, [(7, 0, 4)])
        self.assertEqual(self.writer.written, 4)
