"""What may not be stored: gathered by many connections, or asked for in part, for one client."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.exchanges.library import Library
from aimirror.http.headers import Headers
from aimirror.interfaces import (
    Described,
    IReceiver,
    IUpstreamResponse,
    Outcome,
    Passing,
    UpstreamError,
)
from aimirror.routing.choices import Strategy
from tests.exchanges.support import (
    MB,
    URL,
    DownloadCase,
    FakeResponse,
    partial,
    pattern,
    whole,
)

CONTENT = pattern(6 * MB)
PRIVATE = ("Cache-Control", "private, no-store")
PART = Headers([("Range", "bytes=5000000-")])


@implementer(IReceiver)
class Receiver:
    """Takes what comes."""

    def __init__(self) -> None:
        self.taken = b""
        self.ended: list[UpstreamError | None] = []

    def data(self, chunk: bytes) -> None:
        self.taken += chunk

    def finished(self, error: UpstreamError | None) -> None:
        self.ended.append(error)


class GatheredCase(DownloadCase):
    def probe(self, content: bytes = CONTENT, *fields: tuple[str, str], size: int = MB) -> Any:
        stop = min(size, len(content))
        told = ("Content-Range", f"bytes 0-{stop - 1}/{len(content)}")
        return FakeResponse(206, told, ("ETag", '"v1"'), PRIVATE, *fields, length=stop)

    def passed(self, outcome: Outcome) -> IUpstreamResponse:
        assert isinstance(outcome, Passing), outcome
        return outcome.response

    def files(self) -> list[str]:
        """What is left in the folder of parts."""
        return [path.name for path in (self.root / "parts").iterdir()]


class GatheredTests(GatheredCase):
    def gather(self, **wanted: Any) -> IUpstreamResponse:
        fetching = self.downloads.fetch(self.wanted(**wanted))
        self.first = self.upstream.answer(self.probe(CONTENT, ("Set-Cookie", "a=b")))
        return self.passed(self.successResultOf(fetching))

    def arrive(self) -> None:
        self.first.flow(CONTENT[:MB])
        self.first.end()
        self.pool.bring_all(CONTENT)

    def test_ranges_of_what_is_not_stored(self) -> None:
        """A private file comes by many connections, is asked for once, and leaves nothing."""
        response = self.gather()
        self.assertEqual((response.status, response.length), (200, len(CONTENT)))
        self.assertEqual(response.headers.get("set-cookie"), "a=b")
        self.assertNotIn("content-range", response.headers)
        receiver = Receiver()
        response.deliver(receiver)
        self.arrive()
        self.assertEqual((receiver.taken, receiver.ended), (CONTENT, [None]))
        self.assertEqual(len(self.upstream.requests), 1)
        self.assertGreater(len(self.pool.fetches), 1)
        self.clock.advance(60)
        self.assertEqual((self.store.entries(URL), self.files(), self.running()), ((), [], 0))

    def test_belongs_to_one(self) -> None:
        """Nobody else reads it while it arrives, whoever asks, and no journal of it is kept."""
        response = self.gather()
        for _ in range(2):
            other = self.downloads.fetch(self.wanted())
            self.assertNoResult(other)
            other.addErrback(lambda failure: failure.trap(CancelledError) and None)
            other.cancel()
        library = Library(self.make_tools(), self.downloads)
        self.assertEqual(library.at(URL).arriving, ())
        self.first.flow(CONTENT[:MB])
        self.clock.advance(3)
        self.assertEqual([name for name in self.files() if name.endswith(".journal")], [])
        response.abort()

    def test_client_leaves(self) -> None:
        """When its client leaves, it ends and leaves nothing; before the first byte, too."""
        for delivered in (True, False):
            self.setUp()
            response = self.gather()
            receiver = Receiver()
            if delivered:
                response.deliver(receiver)
                self.first.flow(CONTENT[:MB])
            response.abort()
            self.assertTrue(self.first.aborted)
            self.assertEqual((self.running(), self.pool.flying, self.files()), (0, [], []))
            if delivered:
                assert receiver.ended[0] is not None
                self.assertIs(receiver.ended[0].reason, Reason.CANCELLED)

    def test_pace(self) -> None:
        """A slow client is given no more than it takes."""
        response, receiver = self.gather(), Receiver()
        response.deliver(receiver)
        response.pause()
        self.arrive()
        before = len(receiver.taken)
        self.assertLess(before, len(CONTENT))
        response.resume()
        self.assertEqual(receiver.taken, CONTENT)

    def test_upstream_fails(self) -> None:
        """A failure midway is told, and nothing is kept apart or tried again."""
        response, receiver = self.gather(), Receiver()
        response.deliver(receiver)
        for flight in self.pool.flying:
            flight.end(Reason.CHANGED)
        assert receiver.ended[0] is not None
        self.assertEqual((self.upstream.waiting, self.files(), self.quarantined()), (0, [], 0))

    def test_small(self) -> None:
        """What the first request has brought whole is not asked for again."""
        content = CONTENT[:1000]
        fetching = self.downloads.fetch(self.wanted())
        first = self.upstream.answer(self.probe(content))
        response, receiver = self.passed(self.successResultOf(fetching)), Receiver()
        response.deliver(receiver)
        first.flow(content)
        first.end()
        self.assertEqual((response.status, response.length), (200, 1000))
        self.assertEqual((receiver.taken, len(self.upstream.requests)), (content, 1))

    def test_no_room(self) -> None:
        """Nothing makes way for what is thrown away: without room it is one plain stream."""
        self.store.resize(MB, evict=True)
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.answer(self.probe())
        self.assertNotIn("range", self.upstream.requests[-1].headers)
        answer = self.upstream.answer(whole(CONTENT, PRIVATE))
        self.assertPasses(self.successResultOf(fetching), answer)


class PartTests(GatheredCase):
    def test_of_what_may_not_be_stored(self) -> None:
        """A client's Range of a private file is asked for as such, by any strategy."""
        for strategy in Strategy:
            self.setUp()
            wanted = self.wanted(rule=self.rule(strategy=strategy), part=PART)
            fetching = self.downloads.fetch(wanted)
            parallel = strategy is Strategy.PARALLEL
            first = self.upstream.answer(self.probe() if parallel else whole(CONTENT, PRIVATE))
            self.assertTrue(first.aborted)
            self.assertEqual(self.upstream.requests[-1].headers.get("range"), "bytes=5000000-")
            answer = self.upstream.answer(partial(5_000_000, len(CONTENT), len(CONTENT), PRIVATE))
            self.assertPasses(self.successResultOf(fetching), answer)

    def test_too_large(self) -> None:
        """So is a Range of a file that the rule does not store for its size."""
        fetching = self.downloads.fetch(self.wanted(rule=self.rule(max_size=MB), part=PART))
        self.upstream.answer(partial(0, MB, len(CONTENT)))
        answer = self.upstream.answer(partial(5_000_000, len(CONTENT), len(CONTENT)))
        self.assertPasses(self.successResultOf(fetching), answer)

    def test_known_beforehand(self) -> None:
        """Of what was not for sharing a moment ago the part is asked for at once."""
        fetching = self.downloads.fetch(self.wanted(part=PART))
        self.upstream.answer(self.probe())
        answer = self.upstream.answer(partial(5_000_000, len(CONTENT), len(CONTENT), PRIVATE))
        self.passed(self.successResultOf(fetching)).abort()
        fetching = self.downloads.fetch(self.wanted(part=PART))
        self.assertEqual(self.upstream.requests[-1].headers.get("range"), "bytes=5000000-")
        answer = self.upstream.answer(FakeResponse(416))
        self.assertPasses(self.successResultOf(fetching), answer)
        self.assertEqual(len(self.upstream.requests), 3)

    def test_another_part(self) -> None:
        """Who waits for another part is not given this one."""
        first = self.downloads.fetch(self.wanted(part=PART))
        second = self.downloads.fetch(self.wanted(part=Headers([("Range", "bytes=0-9")])))
        first.addErrback(lambda failure: failure.trap(CancelledError) and None)
        first.cancel()
        self.upstream.answer(self.probe())
        self.upstream.answer(partial(5_000_000, len(CONTENT), len(CONTENT), PRIVATE))
        self.assertEqual(self.upstream.requests[-1].headers.get("range"), "bytes=0-9")
        answer = self.upstream.answer(partial(0, 10, len(CONTENT), PRIVATE))
        self.assertPasses(self.successResultOf(second), answer)

    def test_stored_after_all(self) -> None:
        """A Range of what may be stored fetches the file as ever."""
        fetching = self.downloads.fetch(self.wanted(part=PART))
        self.upstream.answer(partial(0, MB, len(CONTENT)))
        self.assertNotIsInstance(self.successResultOf(fetching), Passing)


class HeadTests(GatheredCase):
    def test_says_whether_ranges_can_be_had(self) -> None:
        """HEAD of what is not stored says that ranges are served where the upstream serves them."""
        library = Library(self.make_tools(), self.downloads)
        for strategy, answer, ranges in (
            (Strategy.PARALLEL, self.probe(size=1), True),
            (Strategy.PARALLEL, whole(CONTENT, PRIVATE), False),
            (Strategy.PROXY, whole(CONTENT, PRIVATE, ("Accept-Ranges", "bytes")), True),
            (Strategy.PROXY, whole(CONTENT, PRIVATE, ("Accept-Ranges", "none")), False),
            (Strategy.PROXY, whole(CONTENT), True),
        ):
            rule = self.rule(strategy=strategy, ecosystem="npm")
            heading = library.head(self.wanted(rule=rule))
            self.upstream.answer(answer)
            described = self.successResultOf(heading)
            assert isinstance(described, Described)
            self.assertEqual(described.ranges, ranges)
