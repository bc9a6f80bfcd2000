"""What an upstream's first answer means."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.exchanges.answering import Kind, meaning, still_fills
from aimirror.http.headers import Headers
from tests.exchanges.support import MB, DownloadCase, Reading, partial, pattern


class MeaningTests(SynchronousTestCase):
    """What odd answers to a range say."""

    def test_range_refused(self) -> None:
        """Some refuse a range by a status: it is asked without one, what has none was meant so."""
        for status in (400, 405, 406, 412, 416, 501):
            refused = meaning(status, Headers(), (0, 100), False)
            self.assertIs(refused.kind, Kind.ASK_PLAINLY)
            self.assertIs(meaning(status, Headers(), None, False).kind, Kind.WHOLE)

    def test_two_content_ranges(self) -> None:
        """Two that differ say nothing."""
        said = Headers([("Content-Range", "bytes 0-5/9"), ("Content-Range", "bytes 0-99/900")])
        self.assertIs(meaning(206, said, (0, 100), False).kind, Kind.ASK_PLAINLY)


class StillFillsTests(SynchronousTestCase):
    def test_words(self) -> None:
        """A mirror that has the file, other caches, and a mirror further away do not fill it."""
        for said, fills in (
            (["aimirror; fwd=uri-miss; stored"], True),
            (["aimirror; fwd=uri-miss; stored; collapsed"], True),
            (["cdn; hit", "aimirror; fwd=uri-miss; stored"], True),
            (["cdn; hit, aimirror; fwd=uri-miss; stored"], True),
            (["aimirror; hit; ttl=5"], False),
            (["aimirror; fwd=stale; fwd-status=304; ttl=9"], False),
            (["aimirror; fwd=uri-miss; stored, cdn; hit"], False),
            (["cdn; fwd=uri-miss; stored"], False),
            ([""], False),
            ([], False),
        ):
            headers = Headers(("Cache-Status", line) for line in said)
            self.assertEqual(still_fills(headers), fills, said)


class CoreTests(DownloadCase):
    data = pattern(3 * MB, 4)

    def first(self, said: str) -> object:
        fetching = self.downloads.fetch(self.wanted())
        total = len(self.data)
        self.first_answer = self.upstream.answer(partial(0, MB, total, ("Cache-Status", said)))
        return fetching

    def test_filling(self) -> None:
        """A core that is still fetching is read by one stream."""
        fetching = self.first("aimirror; fwd=uri-miss; stored")
        self.assertTrue(self.first_answer.aborted)
        self.assertNotIn("range", self.upstream.requests[-1].headers)
        response = self.upstream.answer(self.whole())
        outcome = self.successResultOf(fetching)  # type: ignore[arg-type]
        response.flow(self.data)
        response.end()
        self.clock.advance(1)
        self.assertEqual(Reading(outcome).data, self.data)
        self.assertEqual(self.pool.fetches, [])

    def whole(self) -> object:
        from tests.exchanges.support import whole

        return whole(self.data)

    def test_whole(self) -> None:
        """One that has it is read by ranges."""
        self.successResultOf(self.first("aimirror; hit; ttl=9"))  # type: ignore[arg-type]
        self.assertGreater(len(self.pool.fetches), 0)
        stopping = self.downloads.stop()
        self.first_answer.end()
        del stopping
