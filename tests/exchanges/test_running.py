from __future__ import annotations

import errno
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.exchanges.failures import REFUSED_FOR, UNSTORED_FOR
from aimirror.exchanges.running import Downloads
from aimirror.exchanges.unshared import BELIEVED_FOR
from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.http.urls import authority
from aimirror.interfaces import Arriving, Passing, UpstreamError, Validated, Wanted
from aimirror.routing.choices import Strategy
from tests.exchanges.support import (
    KB,
    MB,
    DownloadCase,
    FakeResponse,
    Reading,
    partial,
    pattern,
    sha256,
    whole,
)

CONTENT = pattern(3 * MB)
PAGE = pattern(20 * KB)
PRIVATE = ("Cache-Control", "no-store")


class PageCase(DownloadCase):
    """Requests for one small page."""

    def wanted(self, *fields: tuple[str, str], **more: Any) -> Wanted:
        rule = self.rule(strategy=Strategy.PROXY)
        return super().wanted(*fields, **{"rule": rule, **more})


class JoiningTests(PageCase):
    """Many who want the same."""

    def test_one_request(self) -> None:
        """Ten clients cost one request, and all read the same body."""
        fetching = [self.downloads.fetch(self.wanted()) for _ in range(10)]
        self.assertEqual(len(self.upstream.requests), 1)
        self.assertTrue(self.downloads.under_way(self.wanted().key, ""))
        response = self.upstream.answer(whole(PAGE))
        readings = [Reading(self.successResultOf(each)) for each in fetching]
        late = Reading(self.successResultOf(self.downloads.fetch(self.wanted())))
        response.flow(PAGE)
        response.end()
        for reading in (*readings, late):
            self.assertEqual(reading.data, PAGE)
        self.assertEqual(len(self.upstream.requests), 1)

    def test_failure_is_shared(self) -> None:
        """So do they get its failure; the next one asks again."""
        fetching = [self.downloads.fetch(self.wanted()) for _ in range(3)]
        self.upstream.refuse(Reason.TLS)
        for each in fetching:
            self.assertIs(self.failureResultOf(each, UpstreamError).value.reason, Reason.TLS)
        self.downloads.fetch(self.wanted())
        self.assertEqual(len(self.upstream.requests), 2)

    def test_other_credentials(self) -> None:
        """Who has other credentials asks for himself."""
        for scope in ("", "a", "b"):
            self.downloads.fetch(self.wanted(scope=scope))
        self.assertEqual(len(self.upstream.requests), 3)

    def test_vary(self) -> None:
        """When the answer varies, those who asked for another variant ask for that one, once."""
        html = [self.downloads.fetch(self.wanted(("Accept", "text/html"))) for _ in range(2)]
        json = [self.downloads.fetch(self.wanted(("Accept", "text/json"))) for _ in range(3)]
        self.upstream.answer(whole(b"html", ("Vary", "Accept")))
        for each in html:
            self.assertIsInstance(self.successResultOf(each), Arriving)
        self.assertEqual(
            [r.headers.get("Accept") for r in self.upstream.requests[1:]], ["text/json"]
        )
        other = self.upstream.answer(whole(b"json", ("Vary", "Accept")))
        readings = [Reading(self.successResultOf(each)) for each in json]
        other.flow(b"json")
        other.end()
        self.assertEqual([reading.data for reading in readings], [b"json"] * 3)

    def test_private_answers_are_nobody_elses(self) -> None:
        """What may not be stored goes to the one who asked; the others each ask again."""
        leader = self.downloads.fetch(self.wanted(("X", "1")))
        others = [self.downloads.fetch(self.wanted()) for _ in range(2)]
        passed = self.upstream.answer(whole(PAGE, PRIVATE))
        self.assertPasses(self.successResultOf(leader), passed)
        self.assertEqual(self.upstream.waiting, 2)
        for number, each in enumerate(others):
            self.assertNoResult(each)
            answer = self.upstream.answer(whole(PAGE, PRIVATE), number + 1)
            self.assertPasses(self.successResultOf(each), answer)
        self.assertEqual(self.upstream.waiting, 0)

    def test_crowd_after_a_failure(self) -> None:
        """After a failure that may pass those who waited ask once, together, and then each."""
        crowd = [self.downloads.fetch(self.wanted(("X", str(n)))) for n in range(5)]
        self.upstream.answer(FakeResponse(429, length=4))
        self.assertEqual(self.upstream.waiting, 1)
        self.upstream.answer(FakeResponse(429, length=4), 1)
        self.assertEqual(self.upstream.waiting, 3)
        for number in range(3):
            self.upstream.answer(FakeResponse(404, PRIVATE, length=4), 2 + number)
        for each in crowd:
            self.assertIsInstance(self.successResultOf(each), Passing)

    def test_crowd_after_one_failure(self) -> None:
        """A failure that has passed costs its leader the file, and nobody a second download."""
        crowd = [self.downloads.fetch(self.wanted(("X", str(n)))) for n in range(5)]
        self.upstream.answer(FakeResponse(429, length=4))
        self.upstream.answer(whole(PAGE), 1)
        leader, *others = (self.successResultOf(each) for each in crowd)
        self.assertIsInstance(leader, Passing)
        for each in others:
            self.assertIsInstance(each, Arriving)
        self.assertEqual(len(self.upstream.requests), 2)

    def test_nobody_waits_for_what_is_not_shared(self) -> None:
        """Once an answer was for one client alone, further ones are asked for side by side."""
        self.downloads.fetch(self.wanted())
        self.upstream.answer(whole(PAGE, PRIVATE))
        crowd = [self.downloads.fetch(self.wanted(("X", str(n)))) for n in range(3)]
        self.assertEqual(self.upstream.waiting, 3)
        for number in range(3):
            self.upstream.answer(whole(PAGE), number + 1)
        for each in crowd:
            self.assertIsInstance(self.successResultOf(each), Arriving)
        together = [self.downloads.fetch(self.wanted(("X", str(n)))) for n in range(3)]
        self.assertLessEqual(self.upstream.waiting, 1)
        self.downloads.stop()
        for each in together:
            each.addErrback(lambda _: None)

    def test_crowd_after_no_store(self) -> None:
        """A client that wants nothing kept is alone with that: a crowd is one request still."""
        wish = ("Cache-Control", "no-store")
        obeying = self.rule(strategy=Strategy.PROXY)
        first = self.downloads.fetch(self.wanted(wish, rule=obeying))
        crowd = [self.downloads.fetch(self.wanted(rule=obeying)) for _ in range(5)]
        self.assertEqual(self.upstream.waiting, 2)
        self.upstream.answer(whole(PAGE), 0)
        self.assertIsInstance(self.successResultOf(first), Passing)
        self.upstream.answer(whole(PAGE), 1)
        for each in crowd:
            self.assertIsInstance(self.successResultOf(each), Arriving)

    def test_no_store_where_clients_are_not_obeyed(self) -> None:
        """On paths that name their bytes, or by rule, it is about the client's own cache."""
        wish = ("Cache-Control", "no-store")
        for url, rule, immutable in (
            ("http://files.test/parallel", self.rule(strategy=Strategy.PARALLEL), False),
            ("http://files.test/fixed", self.rule(strategy=Strategy.PROXY), True),
        ):
            wanted = self.wanted(wish, rule=rule, url=url)
            wanted = evolve(wanted, route=evolve(wanted.route, immutable=immutable))
            before = len(self.upstream.requests)
            crowd = [self.downloads.fetch(wanted) for _ in range(3)]
            self.assertEqual(len(self.upstream.requests), before + 1)
            self.upstream.answer(whole(PAGE), before)
            for each in crowd:
                self.assertIsInstance(self.successResultOf(each), Arriving)

    def test_it_may_be_shared_later(self) -> None:
        """That is forgotten after a while, failures are never taken for it."""
        for status, joined in ((200, False), (503, True)):
            url = f"http://files.test/{status}"
            self.downloads.fetch(self.wanted(url=url))
            self.upstream.answer(FakeResponse(status, PRIVATE, length=4))
            for wait, waiting in ((0, 1 if joined else 2), (BELIEVED_FOR + 1, 1)):
                self.clock.advance(wait)
                before = self.upstream.waiting
                for n in range(2):
                    fetching = self.downloads.fetch(self.wanted(("X", str(n)), url=url))
                    fetching.addErrback(lambda _: None)
                self.assertEqual(self.upstream.waiting - before, waiting, (status, wait))
                for number in range(len(self.upstream.requests)):
                    if not self.upstream._answers[number].called:
                        self.upstream.refuse(Reason.TLS, number)


class LeavingTests(PageCase):
    """Clients who go away."""

    def leave(self, fetching: Any) -> None:
        fetching.cancel()
        self.failureResultOf(fetching, CancelledError)

    def test_waiting_client(self) -> None:
        """Whoever leaves, the others get their answer; without anyone it is stored all the same."""
        first, second = (self.downloads.fetch(self.wanted()) for _ in range(2))
        self.leave(first)
        response = self.upstream.answer(whole(PAGE))
        self.assertIsInstance(self.successResultOf(second), Arriving)
        response.flow(PAGE)
        response.end()
        self.assertEqual(self.stored(), [PAGE])
        self.setUp()
        self.leave(self.downloads.fetch(self.wanted()))
        response = self.upstream.answer(whole(PAGE))
        response.flow(PAGE)
        response.end()
        self.assertEqual(self.stored(), [PAGE])

    def test_heir(self) -> None:
        """A private answer whose asker has left goes to one who asked the very same."""
        leader = self.downloads.fetch(self.wanted(("Accept", "a")))
        other = self.downloads.fetch(self.wanted(("Accept", "b")))
        heir = self.downloads.fetch(self.wanted(("Accept", "a")))
        self.leave(leader)
        response = self.upstream.answer(whole(PAGE, PRIVATE))
        self.assertPasses(self.successResultOf(heir), response)
        self.assertNoResult(other)
        self.assertEqual(self.upstream.requests[-1].headers.get("Accept"), "b")

    def test_no_heir(self) -> None:
        """Without one its connection is closed."""
        leader = self.downloads.fetch(self.wanted(("Accept", "a")))
        self.downloads.fetch(self.wanted(("Accept", "b")))
        self.leave(leader)
        response = self.upstream.answer(whole(PAGE, PRIVATE))
        self.assertTrue(response.aborted)
        self.assertEqual(self.upstream.waiting, 1)

    def test_failure_with_nobody_there(self) -> None:
        """A failure that nobody waits for ends the exchange quietly."""
        self.leave(self.downloads.fetch(self.wanted()))
        self.upstream.refuse(Reason.TLS)
        self.downloads.fetch(self.wanted())
        self.assertEqual(len(self.upstream.requests), 2)


class CrowdedHostTests(PageCase):
    """A slow host at which few connections are to be had, and many requests."""

    def setUp(self) -> None:
        super().setUp()
        self.ledger.limit = self.limit = 4
        self.downloads = Downloads(self.make_tools(), most=10, per_host=self.limit)
        #: The requests that have a connection, in their order, and how often one was given up.
        self.sent: list[str] = []
        self.patch(self.upstream, "request", self.request)

    def request(self, outgoing: Outgoing, body: object = None, redirects: int = 0) -> Any:
        return Deferred.fromCoroutine(self.send(outgoing))

    async def send(self, outgoing: Outgoing) -> Any:
        host = authority(outgoing.url)
        permit = await self.ledger.admit(host, 1000.0, outgoing.clients)
        self.sent.append(outgoing.url.rpartition("/")[2])
        try:
            await Deferred()  # it never answers
        finally:
            permit.release()

    def fetch(self, client: str, name: str) -> Any:
        wanted = self.wanted(url=f"http://files.test/{name}", client=client)
        fetching = self.downloads.fetch(wanted)
        fetching.addErrback(lambda failure: failure.trap(CancelledError, UpstreamError) and None)
        return fetching

    def settle(self) -> None:
        for _ in range(3):
            self.clock.advance(0)

    def test_abandoned(self) -> None:
        """Of 250 requests that were left, those that wait come last, and one at work gives way."""
        for fetching in [self.fetch("many", f"{n}") for n in range(250)]:
            fetching.cancel()
        self.settle()
        self.fetch("one", "wanted")
        self.settle()
        self.assertEqual(self.sent, ["0", "1", "2", "3", "wanted"])

    def test_left_later(self) -> None:
        """It is the same for requests that are left while another waits."""
        many = [self.fetch("many", f"{n}") for n in range(250)]
        self.settle()
        self.fetch("one", "wanted")
        self.settle()
        self.assertNotIn("wanted", self.sent)
        for fetching in many:
            fetching.cancel()
        self.settle()
        self.assertEqual(self.sent[:5], ["0", "1", "2", "3", "wanted"])

    def test_awaited(self) -> None:
        """Of 250 that are waited for none is cut, and another client's is the next one."""
        for n in range(250):
            self.fetch("many", f"{n}")
        self.fetch("one", "wanted")
        self.settle()
        self.assertEqual(self.sent, ["0", "1", "2", "3"])
        self.downloads._running["http://files.test/2"]["", ""].heading.cancel()  # it has failed
        self.settle()
        self.assertEqual(self.sent, ["0", "1", "2", "3", "wanted"])

    def test_alone(self) -> None:
        """Where nobody else waits, what was left goes on."""
        for fetching in [self.fetch("many", f"{n}") for n in range(6)]:
            fetching.cancel()
        self.settle()
        self.assertEqual(self.sent, ["0", "1", "2", "3"])


class EndingTests(DownloadCase):
    """What remains of failures."""

    def test_newcomer_to_a_dying_download(self) -> None:
        """A request that comes while a failed download lands waits for that, then begins anew."""
        response = self.probe(CONTENT)
        reading = Reading(self.begin(response))
        for fetch in self.pool.flying:
            fetch.lingers = True
        self.play_probe(response, CONTENT)
        self.pool.flying[0].end(Reason.DISK)
        assert reading.failed is not None
        late = self.downloads.fetch(self.wanted())
        self.assertEqual(len(self.upstream.requests), 1)
        for fetch in self.pool.flying:
            fetch.end(Reason.CANCELLED)
        self.assertEqual(len(self.upstream.requests), 2)
        self.upstream.answer(self.probe(CONTENT))
        self.assertIsInstance(self.successResultOf(late), Arriving)

    def test_entry_can_not_be_written(self) -> None:
        """When the entry can't be written, the download is over all the same."""
        response = self.probe(PAGE)
        reading = Reading(self.begin(response))

        def broken(entry: Entry) -> bool:
            raise OSError(errno.ENOSPC, "full")

        self.patch(self.store, "put", broken)
        self.play_probe(response, PAGE)
        self.assertEqual((reading.data, self.running()), (PAGE, 0))
        self.successResultOf(self.downloads.stop())

    def test_disk_full_is_remembered(self) -> None:
        """After a full disk the file is passed through; later the cache is tried again."""
        self.begin(self.probe(CONTENT))
        self.pool.flying[0].end(Reason.DISK_FULL)
        for wait, kind in ((0, Passing), (UNSTORED_FOR, Arriving)):
            self.clock.advance(wait)
            fetching = self.downloads.fetch(self.wanted())
            self.upstream.answer(self.probe(CONTENT))
            if kind is Passing:
                self.upstream.answer(whole(CONTENT))
            self.assertIsInstance(self.successResultOf(fetching), kind)

    def test_small_mismatch(self) -> None:
        """A small file with a wrong digest: nobody gets a byte; a second try, then refused."""
        wanted = self.wanted(digest=sha256(b"other"))
        first = self.probe(PAGE)
        reading = Reading(self.begin(first, wanted))
        self.play_probe(first, PAGE)
        assert reading.failed is not None
        self.assertEqual((reading.data, reading.failed.reason), (b"", Reason.CHANGED))
        again = self.downloads.fetch(wanted)  # joins the try that has begun by itself
        self.assertEqual(len(self.upstream.requests), 2)
        second = self.upstream.answer(self.probe(PAGE))
        retried = Reading(self.successResultOf(again))
        self.play_probe(second, PAGE)
        self.assertEqual(retried.data, b"")
        self.assertIs(self.fetch_error(wanted).reason, Reason.CHANGED)
        self.assertEqual((self.quarantined(), self.stored()), (2, []))
        self.clock.advance(REFUSED_FOR)
        self.downloads.fetch(wanted)
        self.assertEqual(len(self.upstream.requests), 3)

    def test_mismatch_once(self) -> None:
        """When the second try is right, all is well, and a later mismatch is a first one again."""
        wanted = self.wanted(digest=sha256(PAGE))
        bad = self.begin(response := self.probe(PAGE[::-1]), wanted)
        self.play_probe(response, PAGE[::-1])
        self.assertIsNotNone(bad.body.failed)
        again = self.downloads.fetch(wanted)
        response = self.upstream.answer(self.probe(PAGE))
        reading = Reading(self.successResultOf(again))
        self.play_probe(response, PAGE)
        self.assertEqual((reading.data, self.stored()), (PAGE, [PAGE]))

    def test_mismatch_draws_from_one(self) -> None:
        """After a mismatch, the file is fetched from one upstream alone."""
        rule = self.rule(upstreams=("http://files.test", "http://more.test"))
        wanted = self.wanted(rule=rule, digest=sha256(b"other"))
        first = self.probe(CONTENT)
        self.begin(first, wanted)
        self.assertEqual(self.upstream.requests[-1].url, "http://more.test/one.bin")
        self.upstream.refuse(Reason.CONNECT)
        self.play_probe(first, CONTENT)
        self.pool.bring_all(CONTENT)
        self.upstream.answer(self.probe(CONTENT))
        self.assertEqual(len(self.upstream.requests), 3)


class ValidatingTests(PageCase):
    """Stored entries that are asked about."""

    def setUp(self) -> None:
        super().setUp()
        headers = Headers([("ETag", '"v1"'), ("Cache-Control", "max-age=60")])
        self.entry = self.add(PAGE, self.wanted().key, headers=headers)
        conditional = Headers([("If-None-Match", '"v1"')])
        self.stale = evolve(self.wanted(), previous=self.entry, conditional=conditional)

    def test_still_holds(self) -> None:
        """A 304 renews the entry, for all who asked."""
        fetching = [self.downloads.fetch(self.stale) for _ in range(2)]
        self.assertEqual(self.upstream.requests[0].headers.get("If-None-Match"), '"v1"')
        self.clock.advance(100)
        self.upstream.answer(FakeResponse(304, ("ETag", '"v1"')))
        for each in fetching:
            outcome = self.successResultOf(each)
            self.assertIsInstance(outcome, Validated)
        (entry,) = self.store.entries(self.wanted().key)
        self.assertEqual(entry.received_at, self.clock.seconds())

    def test_can_not_be_renewed(self) -> None:
        """When the renewed entry can't be written, it is used all the same."""

        def broken(entry: Entry) -> bool:
            raise OSError(errno.ENOSPC, "full")

        self.patch(self.store, "put", broken)
        fetching = self.downloads.fetch(self.stale)
        self.upstream.answer(FakeResponse(304, ("ETag", '"v1"')))
        self.assertIsInstance(self.successResultOf(fetching), Validated)

    def test_another_304(self) -> None:
        """A 304 about something else is no answer: the file is asked for without conditions."""
        fetching = self.downloads.fetch(self.stale)
        self.upstream.answer(FakeResponse(304, ("ETag", '"v2"')))
        self.assertNotIn("If-None-Match", self.upstream.requests[-1].headers)
        self.upstream.answer(whole(PAGE))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)

    def test_no_repetition(self) -> None:
        """With a stored entry that may stand in, a failure is told at once."""
        fetching = self.downloads.fetch(self.stale)
        self.upstream.refuse(Reason.CONNECT)
        self.failureResultOf(fetching, UpstreamError)


class StoppingTests(DownloadCase):
    """The service stops."""

    def test_nothing_runs(self) -> None:
        """At once."""
        self.successResultOf(self.downloads.stop())

    def test_all_ends(self) -> None:
        """Readers are cut, waiting requests fail, nothing new begins; parts stay for later."""
        response = self.probe(CONTENT)
        reading = Reading(self.begin(response))
        self.pool.flying[0].write(CONTENT, 500 * KB)
        self.clock.advance(1)
        self.pool.flying[0].write(CONTENT, 10 * KB)
        other = self.wanted(url="http://files.test/two")
        waiting = self.downloads.fetch(other)
        self.successResultOf(self.downloads.stop())
        assert reading.failed is not None
        self.assertIs(reading.failed.reason, Reason.CANCELLED)
        error = self.failureResultOf(waiting, UpstreamError).value
        self.assertIs(error.reason, Reason.CANCELLED)
        self.assertEqual((self.upstream.cancelled, self.pool.flying), (1, []))
        self.assertTrue(response.aborted)
        self.assertIs(self.fetch_error(other).reason, Reason.CANCELLED)
        part = self.store.resumable(self.wanted().key, "")
        assert part is not None
        self.addCleanup(part.close)
        self.assertEqual(part.written.total(), 510 * KB)

    def test_waits_for_workers(self) -> None:
        """It is over when the last piece has landed."""
        self.begin(self.probe(CONTENT))
        for fetch in self.pool.flying:
            fetch.lingers = True
        stopping = self.downloads.stop()
        self.assertNoResult(stopping)
        for fetch in self.pool.flying:
            fetch.end(Reason.CANCELLED)
        self.successResultOf(stopping)

    def test_mismatch_is_not_tried_again(self) -> None:
        """Nothing begins anew."""
        response = self.probe(PAGE)
        self.begin(response, self.wanted(digest=sha256(b"other")))
        self.writes.held = True
        stopping = self.downloads.stop()
        self.play_probe(response, PAGE)
        self.successResultOf(stopping)
        self.assertEqual(len(self.upstream.requests), 1)


class ResumingTests(DownloadCase):
    """Going on with what was left."""

    def setUp(self) -> None:
        super().setUp()
        response = self.probe(CONTENT)
        self.begin(response)
        self.play_probe(response, CONTENT)
        self.clock.advance(0)
        self.pool.flying[0].write(CONTENT, 100 * KB)
        self.clock.advance(1)
        self.pool.flying[0].write(CONTENT, 100 * KB)
        self.kept = MB + 200 * KB
        self.successResultOf(self.downloads.stop())
        self.downloads = type(self.downloads)(self.make_tools(), **self.limits)
        self.pool.fetches.clear()

    def asked(self) -> tuple[str | None, str | None]:
        fields = self.upstream.requests[-1].headers
        return fields.get("Range"), fields.get("If-Range")

    def next(self) -> tuple[int, int]:
        """The span that is asked first."""
        asked = (self.asked()[0] or "").removeprefix("bytes=").partition("-")
        return int(asked[0]), int(asked[2]) + 1

    def test_only_what_is_missing(self) -> None:
        """Only missing bytes are fetched, on condition that it is the same version."""
        fetching = self.downloads.fetch(self.wanted())
        start, stop = self.next()
        self.assertEqual((start, self.asked()[1]), (self.kept, '"v1"'))
        response = self.upstream.answer(partial(start, stop, len(CONTENT)))
        reading = Reading(self.successResultOf(fetching))
        self.assertEqual(reading.data, CONTENT[: self.kept])
        response.flow(CONTENT[start:stop])
        response.end()
        self.assertTrue(all(f.task.start >= self.kept for f in self.pool.fetches))
        self.pool.bring_all(CONTENT)
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_another_version(self) -> None:
        """Nothing of an old version gets into the new one."""
        for answer in (whole(PAGE), partial(self.kept, 2 * MB, len(CONTENT), ("ETag", '"v2"'))):
            fetching = self.downloads.fetch(self.wanted())
            self.upstream.answer(answer)
            self.assertTrue(answer.aborted)
            self.assertEqual(self.asked(), ("bytes=0-1048575", None))
            self.upstream.answer(self.probe(CONTENT))
            reading = Reading(self.successResultOf(fetching))
            self.assertEqual(reading.data, b"")
            self.setUp()

    def test_trouble_upstream(self) -> None:
        """An upstream that can't answer now costs nothing of what was kept."""
        fetching = self.downloads.fetch(self.wanted())
        answer = self.upstream.answer(FakeResponse(429))
        self.assertPasses(self.successResultOf(fetching), answer)
        fetching = self.downloads.fetch(self.wanted())
        self.assertEqual(self.next()[0], self.kept)
        self.upstream.refuse(Reason.TLS)
        self.failureResultOf(fetching, UpstreamError)
        self.downloads.fetch(self.wanted())
        self.assertEqual(self.next()[0], self.kept)

    def test_stopped_while_asking(self) -> None:
        """A stop while the upstream is asked keeps the part, too."""
        fetching = self.downloads.fetch(self.wanted())
        self.successResultOf(self.downloads.stop())
        self.failureResultOf(fetching, UpstreamError)
        part = self.store.resumable(self.wanted().key, "")
        assert part is not None
        self.addCleanup(part.close)
        self.assertEqual(part.written.total(), self.kept)
