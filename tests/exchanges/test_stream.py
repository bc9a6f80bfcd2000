from __future__ import annotations

import errno
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.sinks import FileSink
from aimirror.exchanges.stream import MOST_WAITING, WRITTEN_AT_ONCE, StreamWriter
from aimirror.interfaces import IReceiver, UpstreamError
from aimirror.routing.digests import new_hash
from aimirror.store.errors import DiskFull
from tests.exchanges.support import KB, MB, FakeResponse, pattern
from tests.store.support import Threads, descriptors

CONTENT = pattern(4 * MB)


class StreamCase(SynchronousTestCase):
    """A response on its way into a file."""

    rate = 0

    def setUp(self) -> None:
        self.clock = Clock()
        self.threads = Threads()
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"")
        self.response = FakeResponse()
        self.written: list[tuple[int, int]] = []
        self.results: list[FetchResult] = []
        self.before = descriptors()

    def stream(self, start: int = 0, stop: int | None = None, **more: Any) -> StreamWriter:
        options = {
            "wrote": lambda a, b: self.written.append((a, b)),
            "ended": self.results.append,
            "to_thread": self.threads,
            "clock": self.clock,
            "rate_limit": lambda: self.rate,
            **more,
        }
        made = StreamWriter(self.response, FileSink(str(self.path)), start, stop, **options)
        made.begin()
        return made

    def ended(self) -> FetchResult:
        """The one result; everything is let go of."""
        (result,) = self.results
        self.assertEqual(descriptors(), self.before)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return result


class WritingTests(StreamCase):
    """The usual way."""

    def test_whole(self) -> None:
        """Every byte is at its place, told in order, and the end is told once, after the last."""
        self.assertTrue(IReceiver.providedBy(self.stream()))
        self.response.flow(CONTENT)
        self.response.end()
        self.assertEqual(self.ended(), FetchResult(Reason.DONE, len(CONTENT)))
        self.assertEqual(self.path.read_bytes(), CONTENT)
        self.assertEqual(self.written[0][0], 0)
        self.assertTrue(all(a[1] == b[0] for a, b in pairwise(self.written)))

    def test_hashes(self) -> None:
        """Hashes see each byte once, in order, whoever writes."""
        running = new_hash("sha256")
        sink = FileSink(str(self.path), [running])
        half = len(CONTENT) // 2
        sink.write(0, CONTENT[:half])
        sink.write(half, CONTENT[half:])
        sink.close()
        sink.close()
        expected = new_hash("sha256")
        expected.update(CONTENT)
        self.assertEqual(running.hexdigest(), expected.hexdigest())

    def test_first_bytes_at_once(self) -> None:
        """The first bytes are readable without any thread; later ones take one at a time."""
        self.threads.held = True
        self.stream()
        self.response.flow(CONTENT[:WRITTEN_AT_ONCE])
        self.assertEqual(self.written[-1][1], WRITTEN_AT_ONCE)
        self.response.flow(CONTENT[WRITTEN_AT_ONCE : WRITTEN_AT_ONCE + 200 * KB])
        self.assertEqual((self.written[-1][1], len(self.threads.waiting)), (WRITTEN_AT_ONCE, 1))
        self.response.end()
        self.assertEqual(self.results, [])
        self.threads.run()
        self.threads.run()
        self.assertEqual(self.ended().stop, WRITTEN_AT_ONCE + 200 * KB)

    def test_slow_disk_pauses(self) -> None:
        """What waits for the disk is bounded: the upstream is paused, and read on afterwards."""
        self.threads.held = True
        self.stream()
        taken = 0
        while not self.response.paused:
            self.response.flow(CONTENT[taken : taken + 64 * KB])
            taken += 64 * KB
            self.assertLess(taken, WRITTEN_AT_ONCE + MOST_WAITING + 256 * KB)
        while self.threads.waiting:
            self.threads.run()
        self.assertFalse(self.response.paused)
        self.assertEqual(self.written[-1][1], taken)
        self.response.end()
        self.ended()

    def test_rate_limit(self) -> None:
        """A rate limit pauses the socket for as long as the bytes take; no pause is left over."""
        self.rate = 100 * KB
        self.stream()
        self.response.flow(CONTENT[: 50 * KB])
        self.assertTrue(self.response.paused)
        self.clock.advance(0.4)
        self.assertTrue(self.response.paused)
        self.clock.advance(0.11)
        self.assertFalse(self.response.paused)
        self.response.flow(CONTENT[50 * KB : 100 * KB])
        self.response.end()
        self.ended()

    def test_gathered(self) -> None:
        """The socket is told how many bytes are still wanted, anew when they become fewer."""
        writer = self.stream(0, 1000)
        self.response.flow(bytes(100))
        writer.trim(600)
        self.assertEqual(self.response.gathered, [1000, 500])
        writer.trim(100)
        self.assertEqual(len(self.response.gathered), 2)

    def test_two_reasons_to_pause(self) -> None:
        """A stream paused for its rate and for the disk goes on when both are over."""
        self.rate, self.threads.held = 10 * MB, True
        self.stream()
        while not self.response.paused or len(self.written) * 64 * KB < WRITTEN_AT_ONCE:
            self.response.flow(CONTENT[: 64 * KB])
        self.response.flow(CONTENT[:MOST_WAITING])
        self.response.flow(CONTENT[: 512 * KB])
        self.clock.advance(60)
        self.assertTrue(self.response.paused)
        while self.threads.waiting:
            self.threads.run()
        self.assertFalse(self.response.paused)
        self.response.end()
        self.ended()


class EndTests(StreamCase):
    """All the other ways."""

    def test_short(self) -> None:
        """A body that ends before ``stop`` is short, though its framing was in order."""
        self.stream(100, 300 * KB)
        self.response.flow(CONTENT[:KB])
        self.response.end()
        self.assertEqual(self.ended(), FetchResult(Reason.SHORT, 100 + KB))

    def test_long(self) -> None:
        """Nothing behind ``stop`` is written, and the connection is dropped."""
        self.stream(0, KB)
        self.response.flow(CONTENT[: 64 * KB])
        self.assertEqual(self.ended(), FetchResult(Reason.DONE, KB))
        self.assertEqual(self.path.read_bytes(), CONTENT[:KB])
        self.assertTrue(self.response.aborted)

    def test_broken(self) -> None:
        """An upstream's error is told with what came before it."""
        self.stream()
        self.response.flow(CONTENT[: 10 * KB])
        self.response.end(UpstreamError(Reason.RESET, "by peer"))
        self.assertEqual(self.ended(), FetchResult(Reason.RESET, 10 * KB, detail="by peer"))

    def test_cancelled(self) -> None:
        """Cancelled while a thread writes, it ends when the thread has ended, not before."""
        for held in (False, True):
            self.setUp()
            self.threads.held = held
            stream = self.stream()
            self.response.flow(CONTENT[:MB])
            stream.cancel()
            stream.cancel()
            self.assertEqual(len(self.results), 0 if held else 1)
            self.threads.run()
            self.assertIs(self.ended().reason, Reason.CANCELLED)
            self.assertTrue(self.response.aborted)

    def test_cancelled_before_it_began(self) -> None:
        """A stream can be given up before its first byte was asked for."""
        stream = StreamWriter(
            self.response,
            FileSink(str(self.path)),
            0,
            None,
            wrote=lambda a, b: None,
            ended=self.results.append,
            to_thread=self.threads,
            clock=self.clock,
            rate_limit=lambda: 0,
        )
        stream.cancel()
        stream.begin()
        self.assertIs(self.ended().reason, Reason.CANCELLED)
        self.assertIsNone(self.response.receiver)

    def test_trimmed(self) -> None:
        """A trimmed stream ends at its new stop, at once if it is there already."""
        stream = self.stream(0, MB)
        self.response.flow(CONTENT[: 64 * KB])
        stream.trim(96 * KB)
        self.assertEqual(self.results, [])
        self.response.flow(CONTENT[64 * KB : 128 * KB])
        self.assertEqual(self.ended(), FetchResult(Reason.DONE, 96 * KB))
        self.setUp()
        stream = self.stream(0, MB)
        self.response.flow(CONTENT[: 64 * KB])
        stream.trim(32 * KB)
        self.assertEqual(self.ended(), FetchResult(Reason.DONE, 64 * KB))

    def test_trimmed_while_writing(self) -> None:
        """Trimmed behind what was received, it ends once the thread has written that."""
        self.threads.held = True
        stream = self.stream(0, 2 * MB)
        self.response.flow(CONTENT[:MB])
        stream.trim(MB)
        stream.cancel()
        self.threads.run()
        self.threads.run()
        self.assertIs(self.ended().reason, Reason.DONE)


class DiskTests(StreamCase):
    """The disk fails."""

    def failing(self, number: int) -> Any:
        def write(offset: int, data: bytes) -> None:
            raise OSError(number, "broken")

        return write

    def test_writing(self) -> None:
        """A failed write ends the stream, whoever made it, and drops the connection."""
        for number, reason in ((errno.ENOSPC, Reason.DISK_FULL), (errno.EIO, Reason.DISK)):
            for size in (KB, MB):
                self.setUp()
                self.patch(FileSink, "write", lambda s, o, d, n=number: self.failing(n)(o, d))
                self.stream()
                self.response.flow(CONTENT[:size])
                self.assertIs(self.ended().reason, reason)
                self.assertTrue(self.response.aborted)

    def test_accounting(self) -> None:
        """So does a callback that has no room for the bytes, in the reactor and after a thread."""

        def wrote(start: int, stop: int) -> None:
            if stop > self.allowed:
                raise DiskFull(0, "the cache has reached its size limit")

        for self.allowed in (0, WRITTEN_AT_ONCE):
            self.setUp()
            self.stream(wrote=wrote)
            self.response.flow(CONTENT[:MB])
            self.assertIs(self.ended().reason, Reason.DISK_FULL)
            self.assertTrue(self.response.aborted)

    def test_anything_else(self) -> None:
        """Whatever goes wrong in a thread, the stream ends."""
        self.threads.held = True
        self.stream()
        self.response.flow(CONTENT[:MB])
        self.response.flow(CONTENT[:MB])
        waiter, _ = self.threads.waiting.pop()
        waiter.errback(ValueError("?"))
        self.assertIs(self.ended().reason, Reason.DISK)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
