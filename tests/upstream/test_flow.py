"""How a body's bytes are gathered while it flows."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.flow import Flow
from aimirror.upstream.gathering import SILENT_AFTER

MB = 1_000_000


class FlowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[int] = []

    def flow(self, length: int = 4 * MB) -> Flow:
        self.asked.clear()
        return Flow(self.clock, self.asked.append, length)

    def bring(self, flow: Flow, chunks: int, size: int = 20_000) -> None:
        """So many chunks at 1 MB/s."""
        for _ in range(chunks):
            self.clock.advance(size / MB)
            flow.moved(size)

    def test_steady(self) -> None:
        """A steady flow is gathered, with few calls; its last bytes are not."""
        flow = self.flow()
        self.bring(flow, 100)
        self.assertGreater(self.asked[-1], 100_000)
        self.assertLess(len(self.asked), 20)
        self.bring(flow, 100)
        self.assertEqual(self.asked[-1], 1)
        flow.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_last_read_brings_much(self) -> None:
        """After the last byte single bytes count again: they are the next answer's header."""
        flow = self.flow()
        self.bring(flow, 150)
        self.assertGreater(self.asked[-1], 1)
        flow.moved(MB)
        self.assertEqual(self.asked[-1], 1)

    def test_silence(self) -> None:
        """What has come before a silence is soon read, however little it is; once is enough."""
        flow = self.flow()
        self.bring(flow, 50)
        self.clock.pump([SILENT_AFTER / 4] * 9)
        self.assertEqual(self.asked[-1], 1)
        calls = len(self.asked)
        self.clock.pump([SILENT_AFTER] * 5)
        self.assertEqual((len(self.asked), self.clock.getDelayedCalls()), (calls, []))

    def test_not_silent(self) -> None:
        """Whoever brings something in time is gathered further."""
        flow = self.flow(100 * MB)
        self.bring(flow, 50)
        for _ in range(20):
            self.clock.advance(SILENT_AFTER * 0.9)
            flow.moved(int(SILENT_AFTER * 0.9 * MB))
        self.assertNotIn(1, self.asked)

    def test_shortened(self) -> None:
        """Once fewer bytes are wanted, no more than half of those are waited for."""
        flow = self.flow()
        self.bring(flow, 50)
        flow.shorten(50_000)
        self.assertEqual(self.asked[-1], 25_000)
        flow.shorten(3 * MB)
        self.assertEqual(self.asked[-1], 25_000)
        flow.moved(40_000)
        self.assertEqual(self.asked[-1], 1)
