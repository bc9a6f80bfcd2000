from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import succeed

from aimirror.download.proof import HOLDBACK
from aimirror.download.tasks import Reason
from aimirror.exchanges.growing import LINGER
from aimirror.exchanges.sinks import FileSink
from aimirror.exchanges.stream import WRITTEN_AT_ONCE
from aimirror.interfaces import Arriving, UpstreamError, Wanted
from aimirror.routing.choices import Strategy
from aimirror.routing.digests import Digest
from aimirror.store.errors import DiskError
from tests.exchanges.support import (
    KB,
    MB,
    DownloadCase,
    FakeResponse,
    Reading,
    pattern,
    sha256,
    whole,
)
from tests.store.support import descriptors

CONTENT = pattern(600 * KB)


class PlainCase(DownloadCase):
    """Files of a ``proxy`` rule."""

    def wanted(self, *fields: tuple[str, str], **more: Any) -> Wanted:
        rule = self.rule(strategy=Strategy.PROXY)
        return super().wanted(*fields, **{"rule": rule, **more})

    def plain(self, digest: Digest | None = None, **response: Any) -> Arriving:
        self.response = whole(CONTENT, **response)
        return self.begin(self.response, self.wanted(digest=digest))

    def finish(self) -> None:
        self.response.flow(CONTENT)
        self.response.end()


class StoringTests(PlainCase):
    """One stream, read while it is stored."""

    def test_read_and_stored(self) -> None:
        """A reader has each byte as soon as it is written; in the end it is in the cache."""
        before = descriptors()
        reading = Reading(self.plain())
        self.response.flow(CONTENT[: 64 * KB])
        self.assertEqual(reading.data, CONTENT[: 64 * KB])
        self.response.flow(CONTENT[64 * KB :])
        self.response.end()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))
        self.assertEqual(self.running(), 0)
        self.store._shelf.close()
        self.assertEqual(descriptors(), before)

    def test_empty(self) -> None:
        """A file without a byte is a file."""
        response = whole(b"")
        reading = Reading(self.begin(response, self.wanted()))
        self.assertTrue(reading.done.called)
        response.end()
        self.assertEqual(self.stored(), [b""])

    def test_unknown_length(self) -> None:
        """Without a length the end comes with the framing's end."""
        reading = Reading(self.plain(length=None))
        self.finish()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_without_framing(self) -> None:
        """What ends with its connection is passed on, and not kept: it may be cut short."""
        outcome = self.plain(length=None, framed=False)
        reading = Reading(outcome)
        self.finish()
        late = Reading(outcome)
        self.assertEqual((reading.data, late.data, self.stored()), (CONTENT, CONTENT, []))
        self.assertIsNone(reading.failed)
        self.clock.advance(LINGER)
        self.assertEqual(self.store.usage().parts, 0)

    def test_wrong_length(self) -> None:
        """A body of another length than announced is never a clean end, and not kept."""
        for said in (len(CONTENT) + 1, len(CONTENT) - 1):
            reading = Reading(self.plain(length=said))
            self.finish()
            if said > len(CONTENT):
                self.clock.advance(1)
                self.upstream.answer(FakeResponse(416))
                assert reading.failed is not None
                self.assertIs(reading.failed.reason, Reason.SHORT)
            self.assertEqual(self.stored(), [])

    def test_broken_off(self) -> None:
        """When an upstream of uncertain version breaks off, readers are cut, nothing is left."""
        reading = Reading(self.plain(length=None))
        self.response.flow(CONTENT[: 100 * KB])
        self.response.end(UpstreamError(Reason.RESET))
        assert reading.failed is not None
        self.assertEqual((reading.data, reading.failed.reason), (CONTENT[: 100 * KB], Reason.RESET))
        self.assertEqual((self.stored(), self.store.usage().total), ([], 0))

    def test_late_disk_failure(self) -> None:
        """When all has come and it can't be stored, those who read it get it to the end."""
        outcome = self.plain()
        reading = Reading(outcome)
        self.patch(self.store._shelf, "install", self.broken)
        self.finish()
        self.assertEqual((reading.data, reading.failed), (CONTENT, None))
        self.assertEqual(Reading(outcome).data, CONTENT)
        self.assertEqual((self.stored(), self.running()), ([], 0))
        self.clock.advance(LINGER)

    def broken(self, *_: object) -> Any:
        raise DiskError(errno.EIO, "broken")

    def test_disk_full_midway(self) -> None:
        """No room midway cuts the readers; the next time it is passed on without being stored."""
        self.store._max_bytes = WRITTEN_AT_ONCE
        self.store._assemble()
        reading = Reading(self.plain(length=None))
        self.response.flow(CONTENT)
        assert reading.failed is not None
        self.assertIs(reading.failed.reason, Reason.DISK_FULL)
        self.assertTrue(self.response.aborted)
        again = self.downloads.fetch(self.wanted())
        passed = self.upstream.answer(whole(CONTENT, length=None))
        self.assertPasses(self.successResultOf(again), passed)

    def test_no_spare_room(self) -> None:
        """What has no length is passed on, not begun and cut, when the disk is full."""
        self.patch(self.store, "make_spare_room", lambda: succeed(False))
        fetching = self.downloads.fetch(self.wanted())
        passed = self.upstream.answer(whole(CONTENT, length=None))
        self.assertPasses(self.successResultOf(fetching), passed)

    def test_no_descriptor(self) -> None:
        """When the part can't be opened, the answer is passed on; nothing leaks."""
        before = descriptors()

        def refuse(sink: FileSink, *_: object) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        self.patch(FileSink, "__init__", refuse)
        fetching = self.downloads.fetch(self.wanted())
        passed = self.upstream.answer(whole(CONTENT))
        self.assertPasses(self.successResultOf(fetching), passed)
        self.assertEqual((descriptors(), self.store.usage().parts), (before, 0))

    def test_unforeseen(self) -> None:
        """Whatever goes wrong at the end, the download ends and its readers know."""
        reading = Reading(self.plain())
        self.patch(self.store, "commit", lambda *_: 1 / 0)
        self.finish()
        assert reading.failed is not None or reading.data == CONTENT
        self.assertEqual((self.running(), self.store.usage().parts), (0, 0))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ProofTests(PlainCase):
    """Expected digests."""

    def test_right(self) -> None:
        """The last block is held back until the digest has matched, then all is there."""
        reading = Reading(self.plain(digest=sha256(CONTENT)))
        self.response.flow(CONTENT)
        self.assertEqual(len(reading.data), len(CONTENT) - HOLDBACK)
        self.response.end()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_wrong(self) -> None:
        """Wrong bytes are cut before their last block, kept apart, and fetched once more."""
        reading = Reading(self.plain(digest=sha256(b"other")))
        self.finish()
        assert reading.failed is not None
        self.assertLessEqual(len(reading.data), len(CONTENT) - HOLDBACK)
        self.assertEqual((self.stored(), self.quarantined()), ([], 1))
        self.assertEqual(self.upstream.waiting, 1)


class AbandonedTests(PlainCase):
    """Readers who leave."""

    settings = {"finish_abandoned": False}

    def test_dropped(self) -> None:
        """With ``keep_abandoned: drop`` the last reader's leaving stops the stream."""
        outcome = self.plain()
        first, second = Reading(outcome), Reading(outcome)
        self.response.flow(CONTENT[:KB])
        first.done.cancel()
        self.assertFalse(self.response.aborted)
        second.done.cancel()
        self.assertTrue(self.response.aborted)
        self.assertEqual((self.running(), self.stored()), (0, []))

    def test_complete(self) -> None:
        """Readers who leave because they have everything stop nothing."""
        reading = Reading(self.plain())
        self.response.flow(CONTENT)
        self.assertTrue(reading.done.called)
        self.response.end()
        self.assertEqual(self.stored(), [CONTENT])


class FinishedTests(PlainCase):
    def test_finished(self) -> None:
        """By default a download goes on when all have left."""
        reading = Reading(self.plain())
        reading.done.cancel()
        self.finish()
        self.assertEqual(self.stored(), [CONTENT])
        self.assertGreater(MB, len(CONTENT))
