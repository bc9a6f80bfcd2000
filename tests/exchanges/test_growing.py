from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.proof import HOLDBACK
from aimirror.download.spans import Spans
from aimirror.download.tasks import Reason
from aimirror.exchanges.growing import FEW, LINGER, PATIENCE, STEP, GrowingBody, GrowingReader
from aimirror.interfaces import BodyFailed, IBody, IBodyReader
from aimirror.store.inuse import InUse
from tests.store.support import descriptors


class GrowingTests(SynchronousTestCase):
    """A body that is read while it is written."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"0123456789")
        self.written = Spans()
        self.told: list[tuple[object, ...]] = []
        self.before = descriptors()

    def body(self, size: int | None = 10) -> GrowingBody:
        body = GrowingBody(
            str(self.path),
            size,
            lambda position: self.written.run_from(position),
            joined=lambda *event: self.told.append(("joined", *event)),
            advanced=lambda *event: self.told.append(("advanced", *event)),
            left=lambda *event: self.told.append(("left", *event)),
        )
        self.addCleanup(self.close, body)
        return body

    def close(self, body: GrowingBody) -> None:
        body.fail("the test is over", Reason.CANCELLED)
        for reader in list(body._readers.values()):
            reader.close()
        if body.fd >= 0:
            os.close(body.fd)

    def write(self, body: GrowingBody, start: int, stop: int) -> None:
        self.written = self.written.add(start, stop)
        body.wake()

    def test_interfaces(self) -> None:
        """They are what the web reads."""
        body = self.body()
        self.assertTrue(IBody.providedBy(body))
        self.assertTrue(IBodyReader.providedBy(body.reader(0, None)))

    def test_held_from_those_who_would_have_all(self) -> None:
        """What waits for the proof is held from who reads all or the rest, not a part."""
        path, size = self.path, 4 * HOLDBACK
        path.write_bytes(bytes(size))
        body = GrowingBody(
            str(path), size, lambda at: min(size - HOLDBACK, max(at, size)), arrived=lambda at: size
        )
        self.addCleanup(self.close, body)
        for start, stop, there in (
            (0, None, size - HOLDBACK),
            (1, None, size - HOLDBACK),
            (HOLDBACK, None, size - HOLDBACK),
            (HOLDBACK, size, size),
            (size - 10, size, size),
            (2 * HOLDBACK, size, size),
        ):
            self.assertEqual(body.reader(start, stop).ready(), max(0, there - start), start)

    def test_whole(self) -> None:
        """It is whole when its size is known and every byte can be read, synced or not."""
        body = self.body()
        self.write(body, 0, 9)
        self.assertFalse(body.whole)
        self.write(body, 9, 10)
        self.assertTrue(body.whole)
        self.assertFalse(self.body(None).whole)

    def test_woken_by_its_own_bytes(self) -> None:
        """A reader waits for bytes at its place, whatever arrives elsewhere."""
        body = self.body()
        reader = body.reader(4, 8)
        waiting = reader.wait()
        self.write(body, 0, 4)
        self.write(body, 8, 10)
        self.assertNoResult(waiting)
        self.write(body, 4, 6)
        self.successResultOf(waiting)
        self.assertEqual((reader.ready(), reader.stop), (2, 8))
        reader.advance(2)
        self.write(body, 6, 8)
        self.assertEqual(reader.ready(), 2)
        reader.advance(2)
        self.assertTrue(reader.ended())
        self.successResultOf(reader.wait())

    def test_demand_is_told(self) -> None:
        """The writer hears of readers that come, go on and leave, each once."""
        body = self.body()
        reader = body.reader(3, None)
        self.write(body, 3, 5)
        reader.advance(2)
        reader.close()
        reader.close()
        self.assertEqual(self.told, [("joined", 1, 3, None), ("advanced", 1, 5), ("left", 1)])

    def test_unknown_size(self) -> None:
        """Without a size nobody has ended before the writer says so."""
        body = self.body(None)
        reader = body.reader(0, None)
        self.write(body, 0, 10)
        reader.advance(10)
        self.assertFalse(reader.ended())
        waiting = reader.wait()
        body.finish(10, str(self.path), "blob", InUse())
        self.successResultOf(waiting)
        self.assertTrue(reader.ended())

    def test_failure_cuts(self) -> None:
        """A failure reaches those who wait and those who come later, with its reason."""
        body = self.body()
        self.write(body, 0, 5)
        reader = body.reader(7, None)
        waiting = reader.wait()
        body.fail("gone", Reason.SILENT)
        self.assertIs(self.failureResultOf(waiting, BodyFailed).value.reason, Reason.SILENT)
        late = body.reader(0, None)
        self.assertEqual(late.ready(), 0)
        self.failureResultOf(late.wait(), BodyFailed)

    def test_success_is_final(self) -> None:
        """A complete body can't fail any more."""
        body = self.body()
        self.write(body, 0, 10)
        body.finish(10, str(self.path), "blob", InUse())
        body.fail("too late", Reason.DISK)
        self.assertIsNone(body.failed)
        self.assertEqual(body.reader(0, None).ready(), 10)

    def test_cancelled_wait(self) -> None:
        """A cancelled wait is forgotten; the reader can wait again."""
        body = self.body()
        reader = body.reader(0, None)
        waiting = reader.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        again = reader.wait()
        self.write(body, 0, 1)
        self.successResultOf(again)

    def test_descriptor(self) -> None:
        """One descriptor for any number of readers; closed with the last, opened for a late one."""
        body = self.body()
        readers = [body.reader(0, None) for _ in range(5)]
        self.assertEqual(descriptors(), self.before + 1)
        moved = self.path.with_suffix(".moved")
        self.path.rename(moved)
        body.finish(10, str(moved), "blob", InUse())
        for reader in readers:
            self.assertEqual(descriptors(), self.before + 1)
            reader.close()
        self.assertEqual(descriptors(), self.before)
        late = body.reader(0, None)
        self.assertEqual(os.pread(late.fd, 10, 0), b"0123456789")
        late.close()
        self.assertEqual(descriptors(), self.before)

    def test_evicted(self) -> None:
        """A reader that comes when the file is gone is told so."""
        body = self.body()
        body.finish(10, str(self.path), "blob", InUse())
        self.path.unlink()
        self.assertRaises(BodyFailed, body.reader, 0, None)

    def test_unstored(self) -> None:
        """What is complete and stored nowhere can still be read for a while."""
        clock = Clock()
        body = self.body(None)
        self.write(body, 0, 10)
        self.path.unlink()
        body.finish_unstored(10, clock, InUse())
        clock.advance(LINGER / 2)
        reader = body.reader(0, None)
        self.assertEqual(os.pread(reader.fd, 10, 0), b"0123456789")
        clock.advance(LINGER)
        self.assertEqual(descriptors(), self.before + 1)
        reader.close()
        self.assertEqual(descriptors(), self.before)
        self.assertRaises(BodyFailed, body.reader, 0, None)


class CrowdTests(SynchronousTestCase):
    """Many readers of one body, which are woken in steps."""

    size = 8 * STEP

    def setUp(self) -> None:
        self.clock = Clock()
        path = Path(self.mktemp())
        path.touch()
        self.written = Spans()
        self.looks = 0
        self.body = GrowingBody(str(path), self.size, self.readable, clock=self.clock)
        self.addCleanup(self.close)
        self.went_on: list[GrowingReader] = []

    def close(self) -> None:
        self.body.fail("the test is over", Reason.CANCELLED)
        for reader in list(self.body._readers.values()):
            reader.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def readable(self, position: int) -> int:
        self.looks += 1
        return self.written.run_from(position)

    def waiting(self, count: int, start: int = 0, stop: int | None = None) -> list[GrowingReader]:
        readers = [self.body.reader(start, stop) for _ in range(count)]
        for reader in readers:
            self.wait(reader)
        return readers

    def wait(self, reader: GrowingReader) -> None:
        waiting = reader.wait()
        waiting.addCallbacks(lambda _: self.went_on.append(reader), lambda _: None)

    def write(self, stop: int) -> list[GrowingReader]:
        """Write up to ``stop``; those who went on, who then have read it and wait again."""
        self.written = self.written.add(0, stop)
        self.body.wake()
        self.clock.advance(0)
        return self.read()

    def read(self) -> list[GrowingReader]:
        went_on, self.went_on = self.went_on, []
        for reader in went_on:
            reader.advance(reader.ready())
            if not reader.ended():
                self.wait(reader)
        return went_on

    def test_steps(self) -> None:
        """A crowd goes on soon for its first bytes, then by steps, or after a moment."""
        crowd = self.waiting(FEW + 1)
        self.assertEqual(self.write(10), crowd)
        self.assertEqual(self.write(20), [])
        self.assertEqual(self.write(10 + STEP), crowd)
        self.assertEqual(self.write(20 + STEP), [])
        self.clock.advance(PATIENCE)
        self.assertEqual(self.read(), crowd)
        self.assertEqual({reader.position for reader in crowd}, {20 + STEP})

    def test_one_look_for_all(self) -> None:
        """What is readable is looked up once for all at one place, and not again by each."""
        for count, stop in ((FEW, STEP), (2 * FEW, 3 * STEP)):
            readers = self.waiting(count, start=self.written.run_from(0))
            self.looks = 0
            self.assertEqual(self.write(stop), readers)
            self.assertEqual(self.looks, 1)
            for reader in readers:
                reader.close()

    def test_once_a_turn(self) -> None:
        """However much arrives in one turn of the reactor, a crowd goes on when it is over."""
        crowd = self.waiting(FEW + 1)
        for stop in range(1, 9):
            self.written = self.written.add(0, stop)
            self.body.wake()
            self.assertEqual(self.went_on, [])
        self.clock.advance(0)
        self.assertEqual(self.read(), crowd)
        self.assertEqual({reader.position for reader in crowd}, {8})

    def test_last_bytes(self) -> None:
        """Nobody waits for more when all that is to come is there."""
        crowd = self.waiting(FEW + 1)
        self.write(self.size - 2)
        others = self.waiting(FEW + 1, self.size - 2, self.size - 1)
        self.write(self.size - 1)
        self.assertTrue(all(reader.ended() for reader in others))
        self.assertEqual(self.write(self.size), crowd)
        self.assertTrue(all(reader.ended() for reader in crowd))

    def test_few(self) -> None:
        """A few readers go on for every byte."""
        few = self.waiting(FEW)
        for stop in (1, 2, 3):
            self.assertEqual(self.write(stop), few)

    def test_failure(self) -> None:
        """A failure reaches a crowd at once, and nothing is left to happen later."""
        crowd = self.waiting(FEW + 1)
        self.write(10)
        self.write(20)
        self.body.fail("gone", Reason.RESET)
        for reader in crowd:
            self.failureResultOf(reader.wait(), BodyFailed)

    def test_end(self) -> None:
        """The end reaches a crowd at once."""
        crowd = self.waiting(FEW + 1)
        self.write(10)
        self.write(20)
        self.body.finish(20, self.body._path, "blob", InUse())
        self.assertEqual(self.read(), crowd)
        self.assertTrue(all(reader.ended() for reader in crowd))

    def test_leaving(self) -> None:
        """Who leaves while it waits is not woken."""
        crowd = self.waiting(FEW + 2)
        self.write(10)
        self.write(20)
        crowd[0].close()
        self.clock.advance(PATIENCE)
        self.assertEqual(self.read(), crowd[1:])
