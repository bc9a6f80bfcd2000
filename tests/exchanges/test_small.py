from __future__ import annotations

import errno
import sys
from types import FrameType
from typing import Any
from unittest import mock

from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import SMALL, Finished, Progress
from aimirror.exchanges.running import Downloads
from aimirror.exchanges.small import MOMENT, PROVEN_MOMENT, proven
from aimirror.interfaces import Arriving, Passing, UpstreamError, Wanted
from aimirror.routing.choices import Strategy
from aimirror.routing.digests import Digest
from aimirror.store.database import GATHER
from aimirror.store.errors import DiskError
from tests.exchanges.support import (
    KB,
    URL,
    DownloadCase,
    FakeResponse,
    Reading,
    partial,
    pattern,
    sha256,
    whole,
)
from tests.exchanges.test_gathered import Receiver
from tests.store.support import descriptors

CONTENT = pattern(14 * KB)
#: Of SQL for a small file: two look-ups, four rows, two savepoints.
MOST_STATEMENTS = 13
#: Functions of the product for one, from the wish for it to its entry.
MOST_CALLS = 366


class SmallCase(DownloadCase):
    """Small bodies, by either strategy."""

    settings: dict[str, Any] = {"small": SMALL}

    def setUp(self) -> None:
        super().setUp()
        self.told: list[tuple[Progress, Finished]] = []
        self.downloads = Downloads(
            self.make_tools(),
            **self.limits,
            ended=lambda progress, finished: self.told.append((progress, finished)),
        )

    def both(self) -> list[tuple[Wanted, FakeResponse]]:
        """A request by each strategy, and the first answer to it."""
        proxied = self.wanted(rule=self.rule(strategy=Strategy.PROXY), url="http://files.test/two")
        ranged = partial(0, len(CONTENT), len(CONTENT))
        return [(self.wanted(), ranged), (proxied, whole(CONTENT, url=proxied.key))]

    def bring(self, response: FakeResponse, content: bytes = CONTENT) -> None:
        response.flow(content)
        response.end()


class AtOnceTests(SmallCase):
    """What comes whole within a moment."""

    def test_stored_in_one_go(self) -> None:
        """It is in the cache and in memory when the header is told, without part or worker."""
        for wanted, response in self.both():
            before = descriptors()
            with mock.patch.object(self.store, "create_part", side_effect=AssertionError):
                fetching = self.downloads.fetch(wanted)
                self.upstream.answer(response)
                self.assertNoResult(fetching)
                self.bring(response)
                outcome = self.successResultOf(fetching)
            assert isinstance(outcome, Arriving)
            self.assertEqual((outcome.content, self.stored(wanted)), (CONTENT, [CONTENT]))
            self.assertEqual((self.running(), self.pool.fetches), (0, []))
            self.assertFalse(self.downloads.under_way(wanted.key, ""))
            self.assertFalse(response.aborted)
            self.store._shelf.close()
            self.assertEqual(descriptors(), before)

    def test_counted(self) -> None:
        """The end of each is told once, with its bytes."""
        for wanted, response in self.both():
            fetching = self.downloads.fetch(wanted)
            self.upstream.answer(response)
            self.bring(response)
            self.successResultOf(fetching)
        seen = [(p.key, p.written, f.reason) for p, f in self.told]
        self.assertEqual(
            seen, [(w.key, len(CONTENT), Reason.DONE) for w, _ in self.both()], self.told
        )

    def test_one_request_for_many(self) -> None:
        """Those who want the same have the same answer by one request."""
        fetching = [self.downloads.fetch(self.wanted()) for _ in range(3)]
        response = self.upstream.answer(partial(0, len(CONTENT), len(CONTENT)))
        self.bring(response)
        for each in fetching:
            outcome = self.successResultOf(each)
            assert isinstance(outcome, Arriving)
            self.assertEqual(outcome.content, CONTENT)
        self.assertEqual(len(self.upstream.requests), 1)

    def test_read_like_any_body(self) -> None:
        """A reader of the body gets the same bytes from the file."""
        fetching = self.downloads.fetch(self.wanted())
        self.bring(self.upstream.answer(partial(0, len(CONTENT), len(CONTENT))))
        reading = Reading(self.successResultOf(fetching), 100, 300)
        self.assertEqual(reading.data, CONTENT[100:300])

    def test_what_each_costs(self) -> None:
        """One request, no worker, no thread, few statements, and one commit for many."""
        files = 20
        statements: list[str] = []
        self.store._index._db.set_trace_callback(statements.append)
        self.threads.held = self.writes.held = True
        for number in range(files):
            wanted = self.wanted(url=f"{URL}{number}")
            content = pattern(14 * KB, number)
            fetching = self.downloads.fetch(wanted)
            self.bring(
                self.upstream.answer(partial(0, len(content), len(content), url=wanted.key)),
                content,
            )
            self.successResultOf(fetching)
        self.clock.advance(GATHER)
        self.assertEqual((len(self.upstream.requests), self.pool.fetches), (files, []))
        self.assertEqual((self.threads.waiting, self.writes.waiting), ([], []))
        self.assertEqual(sum(each == "COMMIT" for each in statements), 1)
        self.assertLessEqual(len(statements) / files, MOST_STATEMENTS)
        self.threads.held = False

    def test_calls(self) -> None:
        """One after another crosses few functions, from the request to the entry."""

        def bring(number: int) -> None:
            fetching = self.downloads.fetch(self.wanted(url=f"{URL}{number}"))
            content = pattern(14 * KB, number)
            response = partial(0, len(content), len(content), url=f"{URL}{number}")
            self.bring(self.upstream.answer(response, settle=False), content)
            self.successResultOf(fetching)

        bring(1)
        seen: list[str] = []

        def count(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and "/aimirror/" in frame.f_code.co_filename:
                seen.append(frame.f_code.co_qualname)

        sys.setprofile(count)
        try:
            bring(2)
        finally:
            sys.setprofile(None)
        self.assertLessEqual(len(seen), MOST_CALLS, seen)

    def test_stopped(self) -> None:
        """A stop of the service closes the connection of what has not come yet."""
        fetching = self.downloads.fetch(self.wanted())
        response = self.upstream.answer(partial(0, len(CONTENT), len(CONTENT)))
        self.successResultOf(self.downloads.stop())
        self.failureResultOf(fetching, UpstreamError)
        self.assertTrue(response.aborted)
        self.assertEqual(self.stored(), [])


class OrdinaryTests(SmallCase):
    """What is stored in the ordinary way all the same, from its first byte."""

    def test_slow(self) -> None:
        """After a moment the header is told, and what has come can be read."""
        for wanted, response in self.both():
            fetching = self.downloads.fetch(wanted)
            self.upstream.answer(response)
            response.flow(CONTENT[: 5 * KB])
            self.clock.advance(MOMENT)
            outcome = self.successResultOf(fetching)
            assert isinstance(outcome, Arriving)
            reading = Reading(outcome)
            self.assertEqual((outcome.content, reading.data), (None, CONTENT[: 5 * KB]))
            self.bring(response, CONTENT[5 * KB :])
            self.assertEqual((reading.data, self.stored(wanted)), (CONTENT, [CONTENT]))

    def test_slow_with_digest(self) -> None:
        """What no reader could have before its digest matches may take longer to be gathered."""
        for number, (wanted, response) in enumerate(self.both()):
            wanted = self.wanted(
                rule=wanted.route.rule, url=f"{wanted.key}{number}", digest=sha256(CONTENT)
            )
            fetching = self.downloads.fetch(wanted)
            self.upstream.answer(response)
            response.flow(CONTENT[: 5 * KB])
            self.clock.advance(PROVEN_MOMENT / 2)
            self.bring(response, CONTENT[5 * KB :])
            outcome = self.successResultOf(fetching)
            assert isinstance(outcome, Arriving)
            self.assertEqual((outcome.content, self.stored(wanted)), (CONTENT, [CONTENT]))

    def test_broken_off(self) -> None:
        """What breaks off is gone on with."""
        fetching = self.downloads.fetch(self.wanted())
        response = self.upstream.answer(partial(0, len(CONTENT), len(CONTENT)))
        response.flow(CONTENT[: 5 * KB])
        response.end(UpstreamError(Reason.RESET))
        reading = Reading(self.successResultOf(fetching))
        self.clock.advance(1)
        self.pool.bring_all(CONTENT)
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_wrong_digest(self) -> None:
        """What is not what it should be is set apart, and never a whole answer."""
        for number, (wanted, response) in enumerate(self.both()):
            wanted = self.wanted(
                rule=wanted.route.rule, url=wanted.key, digest=sha256(b"something else")
            )
            fetching = self.downloads.fetch(wanted)
            self.upstream.answer(response)
            self.bring(response)
            reading = Reading(self.successResultOf(fetching))
            self.assertIsNotNone(reading.failed)
            self.assertEqual((self.stored(wanted), self.quarantined()), ([], number + 1))

    def test_limited_rate(self) -> None:
        """Under a limit of the rate it flows as it may."""
        self.downloads.reconfigure(self.make_tools_limited(), most=10, per_host=64)
        outcome = self.begin(partial(0, len(CONTENT), len(CONTENT)))
        self.assertIsNone(outcome.content)

    def make_tools_limited(self) -> Any:
        self.settings = {**self.settings, "rate_limit": 1_000_000}
        return self.make_tools()

    def test_disk_full(self) -> None:
        """Where it can't be stored in one go, the ordinary way makes room or says why not."""
        broken = mock.patch.object(self.store, "add", side_effect=DiskError(errno.EIO, "broken"))
        with broken:
            fetching = self.downloads.fetch(self.wanted())
            self.bring(self.upstream.answer(partial(0, len(CONTENT), len(CONTENT))))
            reading = Reading(self.successResultOf(fetching))
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_no_room_at_all(self) -> None:
        """Where no part can be had either, it is passed on from memory, by either strategy."""
        full = DiskError(errno.ENOSPC, "full")
        for wanted, response in self.both():
            with (
                mock.patch.object(self.store, "add", side_effect=full),
                mock.patch.object(self.store, "create_part", side_effect=full),
            ):
                fetching = self.downloads.fetch(wanted)
                self.upstream.answer(response)
                self.bring(response)
            outcome = self.successResultOf(fetching)
            assert isinstance(outcome, Passing)
            receiver = Receiver()
            outcome.response.deliver(receiver)
            self.assertEqual((outcome.response.status, receiver.taken), (200, CONTENT))
            self.assertEqual(self.running(), 0)

    def test_large(self) -> None:
        """What is longer than that waits for nothing."""
        outcome = self.begin(partial(0, SMALL + 1, SMALL + 1))
        self.assertIsNone(outcome.content)


class ProvenTests(SmallCase):
    """Whether bytes are the right ones."""

    def test_proven(self) -> None:
        """The name is the sha256, whatever digest is expected; a wrong one gives none."""
        name = sha256(CONTENT).hex
        md5 = Digest("md5", "0" * 32)
        self.assertEqual(proven(CONTENT, None), name)
        self.assertEqual(proven(CONTENT, sha256(CONTENT)), name)
        self.assertIsNone(proven(CONTENT, sha256(b"")))
        self.assertIsNone(proven(CONTENT, md5))
