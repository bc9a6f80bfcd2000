"""The network that the relay stands for."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.testing.relay import Line, Network, Shared


class Sink:
    """A transport that notes what came when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.got: list[tuple[float, bytes]] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.got.append((self.clock.seconds(), data))

    def loseConnection(self) -> None:
        self.closed = True

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.got)


class Source:
    """A producer that notes whether it is paused."""

    paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False


class LineTests(SynchronousTestCase):
    def line(
        self, rate: int = 0, delay: float = 0.0, held_until: float = 0.0
    ) -> tuple[Any, Sink, Clock]:
        clock = Clock()
        sink = Sink(clock)
        line = Line(clock, rate, delay, held_until)
        line.attach(sink)
        return line, sink, clock

    def run_for(self, clock: Clock, seconds: float) -> None:
        clock.pump([0.001] * int(seconds * 1000))

    def test_delay(self) -> None:
        """A chunk leaves after the delay, not before."""
        line, sink, clock = self.line(delay=0.015)
        line.put(b"a")
        self.run_for(clock, 0.014)
        self.assertEqual(sink.data, b"")
        self.run_for(clock, 0.002)
        self.assertEqual(sink.data, b"a")

    def test_new_connection(self) -> None:
        """On a line that is held until later nothing leaves before."""
        line, sink, clock = self.line(delay=0.015, held_until=0.045)
        line.put(b"a")
        self.run_for(clock, 0.044)
        self.assertEqual(sink.data, b"")
        self.run_for(clock, 0.002)
        self.assertEqual(sink.data, b"a")

    def test_shared(self) -> None:
        """Lines of one host have its limit together, and each has its part of it."""
        clock, shared = Clock(), Shared(100_000)
        lines, sinks = [], [Sink(clock), Sink(clock)]
        for sink in sinks:
            lines.append(Line(clock, 0, 0.0, shared=shared))
            lines[-1].attach(sink)
        for _ in range(10):
            for line in lines:
                line.put(bytes(5_000))
        self.run_for(clock, 0.5)
        self.assertAlmostEqual(len(sinks[0].data) + len(sinks[1].data), 50_000, delta=5_000)
        self.assertAlmostEqual(len(sinks[0].data), len(sinks[1].data), delta=5_000)
        self.run_for(clock, 0.6)
        self.assertEqual([len(sink.data) for sink in sinks], [50_000, 50_000])

    @given(sizes=st.lists(st.integers(1, 60_000), min_size=1, max_size=8), pause=st.floats(0, 0.5))
    @settings(max_examples=30, deadline=None)
    def test_rate(self, sizes: list[int], pause: float) -> None:
        """However the bytes come, at no moment have more passed than the rate allows."""
        rate = 100_000
        line, sink, clock = self.line(rate=rate)
        began, sent = 0.0, b""
        for number, size in enumerate(sizes):
            data = bytes([number]) * size
            sent += data
            line.put(data)
            self.run_for(clock, pause)
        self.run_for(clock, sum(sizes) / rate + 0.1)
        self.assertEqual(sink.data, sent)
        passed = 0
        for moment, data in sink.got:
            passed += len(data)
            self.assertLessEqual(passed, (moment - began + 0.001) * rate)

    def test_back_pressure(self) -> None:
        """A source that is far ahead is paused, and resumed when the line has emptied."""
        line, _sink, clock = self.line(rate=1_000_000)
        line.source = Source()
        line.put(b"a" * 300_000)
        self.assertTrue(line.source.paused)
        self.run_for(clock, 0.3)
        self.assertFalse(line.source.paused)

    def test_dies(self) -> None:
        """A line with a budget passes that much and then neither sends nor closes."""
        line, sink, clock = self.line()
        line.budget = 10
        line.put(b"a" * 25)
        self.run_for(clock, 0.01)
        line.end()
        self.assertEqual((sink.data, sink.closed), (b"a" * 10, False))

    def test_end(self) -> None:
        """The target is closed after the last chunk."""
        line, sink, clock = self.line(delay=0.01)
        line.put(b"a")
        line.end()
        self.assertFalse(sink.closed)
        self.run_for(clock, 0.02)
        self.assertEqual((sink.data, sink.closed), (b"a", True))


class NetworkTests(SynchronousTestCase):
    def test_every_kth(self) -> None:
        """Only every k-th connection crawls or dies."""
        network = Network(rate=9, crawl_every=2, crawl_rate=1, die_every=3, die_after=5)
        self.assertEqual([network.rate_of(n) for n in (1, 2, 3, 4)], [9, 1, 9, 1])
        self.assertEqual([network.budget_of(n) for n in (1, 2, 3)], [None, None, 5])
