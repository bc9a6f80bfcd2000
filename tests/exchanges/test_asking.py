from __future__ import annotations

from typing import Any

from attrs import evolve

from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.http.headers import Headers
from aimirror.interfaces import Arriving, UpstreamError
from aimirror.routing.choices import Credentials, Strategy
from tests.exchanges.support import (
    KB,
    MB,
    URL,
    DownloadCase,
    FakeResponse,
    Reading,
    partial,
    pattern,
    sha256,
    whole,
)

CONTENT = pattern(4 * MB)
TWO = ("http://files.test", "http://more.test")


class RepeatingTests(DownloadCase):
    """The first request fails."""

    def test_may_pass(self) -> None:
        """What may pass is tried again after a wait, a few times, then told."""
        for reason in (Reason.CONNECT, Reason.RESET, Reason.RESOLVE):
            self.setUp()
            fetching = self.downloads.fetch(self.wanted())
            for attempt in range(1, 4):
                self.assertEqual(len(self.upstream.requests), attempt)
                self.upstream.refuse(reason)
                if attempt < 3:
                    self.assertNoResult(fetching)
                    self.clock.advance(0.1)
                    self.assertEqual(len(self.upstream.requests), attempt)
                    self.clock.advance(1)
            self.assertIs(self.failureResultOf(fetching, UpstreamError).value.reason, reason)

    def test_passes(self) -> None:
        """A client does not notice one refused connection."""
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.refuse(Reason.CONNECT)
        self.clock.advance(1)
        self.upstream.answer(self.probe(CONTENT))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)

    def test_does_not_pass(self) -> None:
        """What will not pass, or has taken long enough, is told at once."""
        for reason in (Reason.TLS, Reason.SILENT, Reason.FORBIDDEN, Reason.REDIRECTS):
            fetching = self.downloads.fetch(self.wanted())
            self.upstream.refuse(reason)
            self.assertIs(self.failureResultOf(fetching, UpstreamError).value.reason, reason)

    def test_stopped_while_waiting(self) -> None:
        """A stop does not wait for the next try."""
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.refuse(Reason.CONNECT)
        self.successResultOf(self.downloads.stop())
        self.failureResultOf(fetching, UpstreamError)
        self.clock.advance(9)
        self.assertEqual(len(self.upstream.requests), 1)

    def test_answers_are_passed_on(self) -> None:
        """A refusal in HTTP is the upstream's word: it is passed on, Retry-After and all."""
        for status in (404, 429, 500, 503):
            self.setUp()
            fetching = self.downloads.fetch(self.wanted())
            fields = (("Retry-After", "7"), ("Cache-Control", "no-store"))
            answer = self.upstream.answer(FakeResponse(status, *fields))
            self.assertPasses(self.successResultOf(fetching), answer)

    def test_transient(self) -> None:
        """A failure that may be over in a moment is asked for again, within a second."""
        for status in (500, 502, 503, 504):
            self.setUp()
            fetching = self.downloads.fetch(self.wanted())
            for _ in range(2):
                failure = self.upstream.answer(FakeResponse(status, length=4))
                self.assertTrue(failure.aborted)
                self.clock.advance(0.5)
            self.upstream.answer(self.probe(CONTENT))
            self.assertIsInstance(self.successResultOf(fetching), Arriving)

    def test_lasting(self) -> None:
        """One that lasts is passed on, and the next request is not asked again and again."""
        for tries in (3, 1):
            fetching = self.downloads.fetch(self.wanted())
            for _ in range(tries):
                answer = self.upstream.answer(FakeResponse(502, length=4))
                self.clock.advance(0.5)
            self.assertPasses(self.successResultOf(fetching), answer)
            self.assertEqual(self.upstream.waiting, 0)

    def test_left_alone(self) -> None:
        """A host's Retry-After is obeyed by requests for its other files, too."""
        for seconds, status in ((30, 503), (30, 429), (1, 503)):
            self.setUp()
            fetching = self.downloads.fetch(self.wanted())
            refusal = FakeResponse(status, ("Retry-After", str(seconds)), length=4)
            self.upstream.answer(refusal)
            self.assertPasses(self.successResultOf(fetching), refusal)
            other = self.downloads.fetch(self.wanted(url="http://files.test/two.bin"))
            self.assertEqual(len(self.upstream.requests), 1)
            if seconds > 2:
                failed = self.failureResultOf(other, UpstreamError).value
                self.assertEqual((failed.retry_after, failed.status), (seconds, status))
            self.clock.advance(seconds)
            self.downloads.fetch(self.wanted(url="http://files.test/three.bin"))
            self.assertEqual(len(self.upstream.requests), 2 if seconds > 2 else 3)

    def test_refused_beside_one_that_was_answered(self) -> None:
        """A refusal after one of a file that was answered before is for the number of them."""
        for suspected in (False, True):
            self.setUp()
            permit = self.ledger.count("files.test")
            permit.works()
            fetching = self.downloads.fetch(self.wanted())
            refusal = self.upstream.answer(FakeResponse(403, length=0))
            if suspected:
                self.ledger.refused("files.test")
            self.clock.advance(0.4)
            permit.release()
            self.clock.pump([0.4] * 4)
            refusal.end()
            self.assertEqual(len(self.upstream.requests), 2)
            self.assertEqual(self.ledger.limited("files.test"), suspected)
            self.upstream.answer(FakeResponse(200, length=0)).end()
            self.successResultOf(fetching)

    def test_silent_header(self) -> None:
        """A first request that is not answered within seconds is sent again beside it."""
        fetching = self.downloads.fetch(self.wanted())
        self.clock.advance(5)
        self.assertEqual(self.upstream.waiting, 2)
        first, second = self.upstream.requests
        self.assertEqual(first.headers, second.headers)
        content = pattern(4 * KB)
        response = self.upstream.answer(self.probe(content))
        self.assertEqual(self.upstream.cancelled, 1)
        self.play_probe(response, content)
        self.assertEqual(self.read_all(fetching), content)

    def read_all(self, fetching: Any) -> bytes:
        reading = Reading(self.successResultOf(fetching))
        self.successResultOf(reading.done)
        return reading.data

    def test_one_credential_too_often(self) -> None:
        """429 is about who asks: those with another credential go on."""
        fetching = self.downloads.fetch(self.wanted(scope="a"))
        self.upstream.answer(FakeResponse(429, ("Retry-After", "30"), length=4))
        self.successResultOf(fetching).response.abort()
        self.downloads.fetch(self.wanted(scope="b", url="http://files.test/two.bin"))
        self.assertEqual(self.upstream.waiting, 1)
        self.failureResultOf(self.downloads.fetch(self.wanted(scope="a")), UpstreamError)

    def test_refusals_are_not_immutable(self) -> None:
        """That a path never changes says nothing of how the upstream refuses it today."""
        wanted = self.wanted()
        wanted = evolve(wanted, route=evolve(wanted.route, immutable=True))
        for status in (302, 429, 503):
            fetching = self.downloads.fetch(wanted)
            answer = self.upstream.answer(FakeResponse(status, ("ETag", '"e"')))
            self.assertPasses(self.successResultOf(fetching), answer)


class ShapeTests(DownloadCase):
    """First answers that are not what was asked for."""

    def test_empty_file(self) -> None:
        """416 to the first range: asked without one, an empty file is a file."""
        fetching = self.downloads.fetch(self.wanted())
        refused = self.upstream.answer(FakeResponse(416, ("Content-Range", "bytes */0")))
        self.assertTrue(refused.aborted)
        self.assertNotIn("Range", self.upstream.requests[-1].headers)
        answer = self.upstream.answer(whole(b""))
        reading = Reading(self.successResultOf(fetching))
        answer.end()
        self.assertEqual((reading.data, self.stored()), (b"", [b""]))

    def test_without_ranges(self) -> None:
        """200 to a range is one plain stream, and no further request."""
        fetching = self.downloads.fetch(self.wanted())
        answer = self.upstream.answer(whole(CONTENT))
        reading = Reading(self.successResultOf(fetching))
        answer.flow(CONTENT)
        answer.end()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))
        self.assertEqual((len(self.upstream.requests), self.pool.fetches), (1, []))

    def test_nonsense(self) -> None:
        """A 206 of another span, without a total or encoded is not used: asked without a range."""
        for answer in (
            partial(1, MB, len(CONTENT)),
            partial(0, MB + 1, len(CONTENT)),
            FakeResponse(206, ("Content-Range", "bytes 0-9/*"), length=10),
            FakeResponse(206, length=10),
            partial(0, MB, len(CONTENT), ("Content-Encoding", "gzip")),
            partial(0, MB, len(CONTENT), ("Content-Type", "multipart/byteranges; boundary=x")),
            whole(CONTENT[:MB], ("Content-Range", f"bytes 0-{MB - 1}/{len(CONTENT)}")),
            whole(CONTENT[:MB], ("Content-Range", "nonsense")),
        ):
            self.setUp()
            fetching = self.downloads.fetch(self.wanted(rule=self.rule(ecosystem="npm")))
            self.upstream.answer(answer)
            self.assertTrue(answer.aborted)
            self.assertNotIn("Range", self.upstream.requests[-1].headers)
            self.upstream.answer(whole(CONTENT))
            self.assertIsInstance(self.successResultOf(fetching), Arriving)

    def test_page_for_a_file(self) -> None:
        """A portal's page does not stand for an index of a package world."""
        url = "https://u.test/noarch/repodata.json"
        page = ("Content-Type", "text/html; charset=utf-8")
        fetching = self.downloads.fetch(
            self.wanted(url=url, rule=self.rule(strategy=Strategy.PROXY, ecosystem="conda"))
        )
        self.upstream.answer(whole(CONTENT, page))
        self.assertIn("a page", str(self.failureResultOf(fetching, UpstreamError).value))

    def test_not_modified_unasked(self) -> None:
        """A 304 to a request without conditions is the answer to nobody's question."""
        fetching = self.downloads.fetch(self.wanted(rule=self.rule(strategy=Strategy.PROXY)))
        answer = FakeResponse(304, length=0)
        self.upstream.answer(answer)
        self.assertTrue(answer.aborted)
        failed = self.failureResultOf(fetching, UpstreamError).value
        self.assertIs(failed.reason, Reason.PROTOCOL)

    def test_part_for_the_whole(self) -> None:
        """A part that comes where the whole was asked for is neither stored nor passed on."""
        part = ("Content-Range", f"bytes 0-{MB - 1}/{len(CONTENT)}")
        for answer in (whole(CONTENT[:MB], part), partial(0, MB, len(CONTENT))):
            self.setUp()
            fetching = self.downloads.fetch(self.wanted(rule=self.rule(strategy=Strategy.PROXY)))
            self.upstream.answer(answer)
            self.assertTrue(answer.aborted)
            failed = self.failureResultOf(fetching, UpstreamError).value
            self.assertIs(failed.reason, Reason.PROTOCOL)
            self.assertEqual(self.store.entries(URL), ())

    def test_whole_in_range_form(self) -> None:
        """A 200 with a Content-Range of all bytes is the whole, and stored without that field."""
        fetching = self.downloads.fetch(self.wanted())
        answer = whole(CONTENT, ("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"))
        self.upstream.answer(answer)
        outcome = self.successResultOf(fetching)
        assert isinstance(outcome, Arriving)
        self.assertNotIn("content-range", outcome.entry.headers)

    def test_known_size(self) -> None:
        """Another size than the file is known to have is not the file, told at once or later."""
        for answer in (whole(CONTENT), partial(0, MB, len(CONTENT))):
            self.setUp()
            wanted = self.wanted()
            wanted = evolve(wanted, route=evolve(wanted.route, size=len(CONTENT) + 1))
            fetching = self.downloads.fetch(wanted)
            self.upstream.answer(answer)
            failed = self.failureResultOf(fetching, UpstreamError).value
            self.assertEqual((failed.reason, answer.aborted), (Reason.CHANGED, True))
        self.setUp()
        fetching = self.downloads.fetch(wanted)
        answer = self.upstream.answer(whole(CONTENT, length=None))
        reading = Reading(self.successResultOf(fetching))
        answer.flow(CONTENT)
        answer.end()
        assert reading.failed is not None
        self.assertEqual((self.stored(), self.quarantined()), ([], 1))

    def test_same_version_shorter(self) -> None:
        """A stored file's ETag and date on fewer bytes are a part's: what is stored stays."""
        dated = ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        headers = Headers([("ETag", '"v1"'), dated])
        previous = Entry(key=URL, blob="0" * 64, size=len(CONTENT), headers=headers)
        conditional = Headers([("If-None-Match", '"v1"')])
        fetching = self.downloads.fetch(self.wanted(previous=previous, conditional=conditional))
        self.upstream.answer(whole(CONTENT[:MB], dated))
        self.assertIs(self.failureResultOf(fetching, UpstreamError).value.reason, Reason.CHANGED)

    def test_too_large(self) -> None:
        """A file over the rule's max_size is passed on in one stream."""
        rule = self.rule(max_size=MB)
        fetching = self.downloads.fetch(self.wanted(rule=rule))
        self.upstream.answer(self.probe(CONTENT))
        answer = self.upstream.answer(whole(CONTENT))
        self.assertPasses(self.successResultOf(fetching), answer)

    def test_no_room(self) -> None:
        """What does not fit into the cache is passed on; nothing is evicted for it."""
        self.store._max_bytes = 100 * KB
        self.store._assemble()
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.answer(self.probe(CONTENT))
        answer = self.upstream.answer(whole(CONTENT))
        self.assertPasses(self.successResultOf(fetching), answer)

    def test_token(self) -> None:
        """A 401 to an old token is asked again with a new one, which the pieces get, too."""
        renewed: list[str] = []

        async def refresh() -> Headers:
            renewed.append("new")
            return Headers([("Authorization", "new")])

        def wanted(refreshing: Any) -> Any:
            return self.wanted(("Authorization", "old"), scope="s", refresh=refreshing)

        fetching = self.downloads.fetch(wanted(refresh))
        old = self.upstream.answer(FakeResponse(401))
        self.assertEqual(renewed, ["new"])
        self.upstream.answer(self.probe(CONTENT))
        self.assertTrue(old.aborted)
        self.assertIsInstance(self.successResultOf(fetching), Arriving)
        self.assertEqual(self.pool.fetches[0].task.headers.get("Authorization"), "new")

        async def hopeless() -> None:
            return None

        self.setUp()
        fetching = self.downloads.fetch(wanted(hopeless))
        refused = self.upstream.answer(FakeResponse(401))
        self.assertPasses(self.successResultOf(fetching), refused)


class UpstreamsTests(DownloadCase):
    """Several of them."""

    def wanted(self, *fields: tuple[str, str], **more: Any) -> Any:
        return super().wanted(*fields, **{"rule": self.rule(upstreams=TWO), **more})

    def hosts(self) -> list[str]:
        return [request.url.split("/")[2] for request in self.upstream.requests]

    def test_failover(self) -> None:
        """When the first is down the second is asked, and next time it is asked first."""
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.refuse(Reason.CONNECT)
        self.upstream.answer(partial(0, MB, len(CONTENT), url="http://more.test/one.bin"))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)
        self.downloads.fetch(self.wanted(url="http://files.test/two"))
        self.assertEqual(self.hosts()[0:2], ["files.test", "more.test"])
        self.assertEqual(self.hosts()[-1], "more.test")
        self.assertIn("http://files.test", self.downloads.health.shunned(self.clock.seconds()))

    def test_one_that_can_not(self) -> None:
        """A 503 of the first is not passed on as long as another one can answer."""
        fetching = self.downloads.fetch(self.wanted())
        unable = self.upstream.answer(FakeResponse(503))
        self.upstream.answer(whole(CONTENT))
        self.assertTrue(unable.aborted)
        self.assertIsInstance(self.successResultOf(fetching), Arriving)

    def test_after_failover_its_own_address_is_resolved(self) -> None:
        """When the one that answered expires, it is asked again, not the one that is down."""
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.refuse(Reason.CONNECT)
        self.upstream.answer(partial(0, MB, len(CONTENT), url="http://cdn.test/?sig=1"))
        self.successResultOf(fetching)
        self.upstream.refuse(Reason.CONNECT)  # the first, asked whether it has the file, too
        self.pool.flying[0].end(Reason.STATUS, status=403)
        self.assertEqual(self.hosts()[-1], "more.test")

    def draw(self, other: FakeResponse, **wanted: Any) -> set[str]:
        """Begin, let the second upstream answer: the hosts that pieces come from then."""
        first = self.probe(CONTENT, size=256 * KB)
        rule = self.rule(upstreams=TWO, chunk_size=256 * KB)
        fetching = self.downloads.fetch(self.wanted(rule=rule, **wanted))
        self.upstream.answer(first)
        self.successResultOf(fetching)
        self.upstream.answer(other)
        self.assertTrue(other.aborted)
        self.play_probe(first, CONTENT)
        for fetch in self.pool.flying[:2]:
            fetch.bring(CONTENT)
        found = {fetch.task.url.split("/")[2] for fetch in self.pool.fetches}
        self.pool.bring_all(CONTENT)
        self.assertEqual(self.stored(), [CONTENT])
        return found

    def test_draws_from_both(self) -> None:
        """With an equal strong ETag, or a known digest, pieces come from both."""
        more = "http://more.test/one.bin"
        both = {"files.test", "more.test"}
        same = partial(0, 1, len(CONTENT), url=more)
        self.assertEqual(self.draw(same), both)
        self.setUp()
        other = partial(0, 1, len(CONTENT), ("ETag", '"of mine"'), url=more)
        self.assertEqual(self.draw(other, digest=sha256(CONTENT)), both)

    def test_draws_from_one(self) -> None:
        """Another tag, a weak one, another size or a failure: all pieces come from the first."""
        more = "http://more.test/one.bin"
        for other in (
            partial(0, 1, len(CONTENT), ("ETag", '"v2"'), url=more),
            partial(0, 1, len(CONTENT), ("ETag", 'W/"v1"'), url=more),
            partial(0, 1, len(CONTENT) + 1, url=more),
            FakeResponse(404, url=more),
            whole(CONTENT, url=more),
        ):
            self.setUp()
            self.assertEqual(self.draw(other), {"files.test"})

    def login(self, **rule: Any) -> Any:
        """A client's wish with a login."""
        fields = (("Authorization", "secret"), ("Cookie", "a=b"))
        return self.wanted(*fields, rule=self.rule(upstreams=TWO, **rule), scope="s")

    def sent(self) -> list[tuple[str | None, str | None]]:
        """The logins that went out."""
        requests = self.upstream.requests
        return [(r.headers.get("Authorization"), r.headers.get("Cookie")) for r in requests]

    def test_login(self) -> None:
        """A login is for the first upstream alone; pieces from the other one go without it, too."""
        fetching = self.downloads.fetch(self.login())
        self.upstream.answer(FakeResponse(503))
        self.upstream.answer(partial(0, MB, len(CONTENT), url="http://more.test/one.bin"))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)
        self.assertEqual(self.sent()[:2], [("secret", "a=b"), (None, None)])
        self.assertNotIn("Authorization", self.pool.fetches[0].task.headers)

    def test_login_refused(self) -> None:
        """What the other one refuses without it is a failure, not an answer about the login."""
        for status in (401, 403, 404, 410):
            self.setUp()
            fetching = self.downloads.fetch(self.login())
            self.upstream.answer(FakeResponse(503))
            refused = self.upstream.answer(FakeResponse(status))
            self.assertTrue(refused.aborted)
            self.assertIs(self.failureResultOf(fetching, UpstreamError).value.reason, Reason.STATUS)

    def test_login_asked_again(self) -> None:
        """If the first was not reached, it is asked once more, whatever the other one refuses."""
        fetching = self.downloads.fetch(self.login())
        self.upstream.refuse(Reason.CONNECT)
        self.upstream.answer(FakeResponse(401))
        self.assertNoResult(fetching)
        self.clock.advance(1)
        self.upstream.answer(FakeResponse(401))
        self.upstream.answer(partial(0, MB, len(CONTENT)))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)
        self.assertEqual(self.sent()[2:4], [(None, None), ("secret", "a=b")])

    def test_login_for_all(self) -> None:
        """Where the rule says so, all of them get it, and their word counts."""
        fetching = self.downloads.fetch(self.login(credentials=Credentials.ALL))
        self.upstream.answer(FakeResponse(503))
        refused = self.upstream.answer(FakeResponse(401))
        self.assertEqual(self.sent(), [("secret", "a=b")] * 2)
        self.assertPasses(self.successResultOf(fetching), refused)

    def test_plain_rule(self) -> None:
        """Plain streams fail over, too."""
        rule = self.rule(upstreams=TWO, strategy=Strategy.PROXY)
        fetching = self.downloads.fetch(self.wanted(rule=rule))
        self.upstream.refuse(Reason.TLS)
        self.upstream.answer(whole(CONTENT))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)
