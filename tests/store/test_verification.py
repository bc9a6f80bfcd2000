from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from unittest import mock

from twisted.internet.defer import CancelledError

from aimirror.caching.entries import Entry
from aimirror.store import verification
from aimirror.store.layout import Layout
from aimirror.store.verification import PARALLEL, Reading, Verification, digest
from tests.store.support import StoreCase


class VerifyTests(StoreCase):
    """Every blob hashed again."""

    def corrupt(self, entry: Entry) -> Path:
        """Flip a bit so that size and time stay the same."""
        path = Layout(self.root).blob(entry.blob)
        stat = path.stat()
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return path

    def test_finds_rot(self) -> None:
        """A flipped bit that size and time do not show is found; only what is bad is dropped."""
        good = self.add(b"good", key="g")
        bad = self.add(b"bad bytes", key="b")
        path = self.corrupt(bad)
        found = self.successResultOf(self.store.verify())
        self.assertEqual(found, Verification(checked=2, bytes=13, bad=1))
        self.assertEqual((list(self.store.find()), path.exists()), ([good], False))
        self.assert_counted()
        self.assertEqual(self.successResultOf(self.store.verify()).bad, 0)

    def test_gone(self) -> None:
        """A blob without a file is dropped, too."""
        entry = self.add(b"data")
        Layout(self.root).blob(entry.blob).unlink()
        self.assertEqual(self.successResultOf(self.store.verify()).bad, 1)
        self.assertEqual(self.store.usage().total, 0)

    def test_unreadable(self) -> None:
        """A blob that cannot be read is told, and stays."""
        self.add(b"data")
        with mock.patch.object(verification, "open", side_effect=OSError(5, "broken"), create=True):
            found = self.successResultOf(self.store.verify())
        self.assertEqual((found.unreadable, found.bad), (1, 0))
        self.assertEqual(self.store.usage().files, 1)

    def test_few_at_a_time(self) -> None:
        """Only a few are hashed at a time; one evicted meanwhile is no fault."""
        for n in range(PARALLEL + 3):
            self.add(bytes([n]), key=str(n))
        self.threads.held = True
        walk = self.store.verify()
        self.assertEqual(len(self.threads.waiting), PARALLEL)
        self.threads.held = False
        self.assertTrue(self.successResultOf(self.store.make_room(self.max_bytes)))
        self.threads.run()
        self.assertEqual(self.successResultOf(walk), Verification())

    def test_one_walk_at_a_time(self) -> None:
        """A second walk begins when the first has ended."""
        self.add(b"data")
        self.threads.held = True
        walks = [self.store.verify() for _ in range(2)]
        for walk in walks:
            self.assertEqual(len(self.threads.waiting), 1)
            self.threads.run()
            self.assertEqual(self.successResultOf(walk).checked, 1)
        self.threads.held = False

    def test_close_ends_it(self) -> None:
        """Closing the store ends the walk before the folder is released."""
        self.add(b"data")
        self.threads.held = True
        walk = self.store.verify()
        closed = self.store.close()
        self.assertNoResult(closed)
        self.threads.run()
        self.successResultOf(walk)
        self.threads.held = False
        self.threads.run()
        self.successResultOf(closed)

    def test_cancelled(self) -> None:
        """A cancelled walk ends at once, and the next one can begin."""
        self.add(b"data")
        self.threads.held = True
        walk = self.store.verify()
        walk.cancel()
        self.failureResultOf(walk).trap(CancelledError, Exception)
        self.threads.held = False
        self.threads.waiting.clear()
        self.assertEqual(self.successResultOf(self.store.verify()).checked, 1)

    def test_told_to_stop(self) -> None:
        """The thread that reads a large file notices that it shall stop."""
        path = Path(self.mktemp())
        path.write_bytes(b"x" * 100)
        self.assertIsNone(digest(path, lambda: True, Reading()))
        self.assertIsNone(digest(path.with_suffix(".none"), lambda: False, Reading()))

    def test_progress(self) -> None:
        """While it goes on, it tells what was read, of the file under way, too."""
        for n in range(PARALLEL + 1):
            self.add(bytes([n]) * 10, key=str(n))
        self.threads.held = True
        found = Verification()
        walk = self.store.verify(found)
        self.assertEqual((found.checked, found.hashed), (0, 0))
        for reading in found.reading:
            reading.bytes = 4  # as a thread would
        self.assertEqual((found.checked, found.hashed), (0, 4 * PARALLEL))
        self.threads.run()
        self.assertEqual((found.checked, found.hashed), (PARALLEL, 10 * PARALLEL))
        self.threads.run()
        self.assertIs(self.successResultOf(walk), found)
        self.assertEqual((found.checked, found.hashed), (PARALLEL + 1, 10 * PARALLEL + 10))
        self.threads.held = False

    def test_reading_counts(self) -> None:
        """The thread counts the bytes that it has hashed."""
        path, reading = Path(self.mktemp()), Reading()
        path.write_bytes(b"x" * 100)
        self.assertEqual(digest(path, lambda: False, reading), sha256(b"x" * 100).hexdigest())
        self.assertEqual(reading.bytes, 100)
