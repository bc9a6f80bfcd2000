"""GET and HEAD by the cache, with a played upstream in memory."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from aimirror.download.tasks import Reason
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop, UpstreamError
from aimirror.mirror.cached import GRANTED_FOR
from aimirror.routing.choices import ContentRewrite, Strategy
from aimirror.routing.policies import CachePolicy
from aimirror.upstream.health import AWAY
from tests.mirror.support import UPSTREAM, MirrorCase, Played, refused

FRESH = ("Content-Type: text/plain", 'ETag: "v1"', "Cache-Control: max-age=100")
SHORT = ("Content-Type: text/plain", 'ETag: "v1"', "Cache-Control: max-age=1")
ALICE, BOB = "Authorization: Bearer alice", "Authorization: Bearer bob"


class HitTests(MirrorCase):
    small = 0

    def test_miss_then_hit(self) -> None:
        """The second client gets the same without the upstream, and is told so."""
        self.plays(200, *FRESH)
        status, headers, body = self.get()
        self.assertEqual((status, headers.get("x-cache"), body), (200, "MISS", b"body"))
        self.assertEqual(headers.get("cache-status"), "aimirror; fwd=uri-miss; stored")
        self.clock.advance(7)
        status, headers, body = self.get()
        self.assertEqual((status, headers.get("x-cache"), body), (200, "HIT", b"body"))
        self.assertEqual(headers.get("age"), "7")
        self.assertEqual(headers.get("cache-status"), "aimirror; hit; ttl=93")
        self.assertEqual(self.asked, 1)

    def test_upstreams_own_marks(self) -> None:
        """X-Cache is ours alone, and our member of Cache-Status comes after the upstream's."""
        self.plays(200, *FRESH, "X-Cache: HIT from edge", "Cache-Status: edge; hit")
        for word in ("MISS", "HIT"):
            headers = self.get()[1]
            self.assertEqual(headers.get_all("x-cache"), (word,))
            self.assertTrue((headers.joined("cache-status") or "").startswith("edge; hit, aimi"))

    def test_own_conditions(self) -> None:
        """A client's matching validator gets 304 on a miss, a hit, a join and a revalidation."""
        asked = 'If-None-Match: "v1"'
        self.plays(200, *SHORT)
        self.assertEqual(self.get("/x", asked)[0], 304)
        self.assertNotIn("if-none-match", self.last().headers)
        self.assertEqual(self.get("/x", asked)[0], 304)
        self.assertEqual(self.asked, 1)
        self.clock.advance(5)
        self.plays(304, 'ETag: "v1"', body=b"")
        status, headers, _ = self.get("/x", asked)
        self.assertEqual((status, headers.get("x-cache")), (304, "REVALIDATED"))
        self.upstream.handler = None
        leader, joined = self.ask("/y"), self.ask("/y", asked)
        played = Played(200, *FRESH, body=None)
        self.last().answer.callback(played)
        self.assertEqual(joined.answer()[0], 304)
        played.data(b"body")
        played.end()
        self.assertEqual(leader.answer()[2], b"body")

    def test_outdated_condition(self) -> None:
        """A client with an old copy gets the new bytes."""
        self.plays(200, *FRESH)
        self.assertEqual(self.get("/x", 'If-None-Match: "v0"')[2], b"body")

    def test_ranges(self) -> None:
        """A range of a stored answer is cut here; on a miss the whole is fetched and stored."""
        self.plays(200, *FRESH, body=b"0123456789")
        status, headers, body = self.get("/x", "Range: bytes=2-4")
        self.assertEqual((status, body), (206, b"234"))
        self.assertNotIn("range", self.last().headers)
        self.assertEqual(headers.get("content-range"), "bytes 2-4/10")
        self.assertEqual(self.get("/x", "Range: bytes=-1")[2], b"9")
        self.assertEqual(self.get("/x", "Range: bytes=50-")[0], 416)
        self.assertEqual(self.asked, 1)

    def test_only_if_cached(self) -> None:
        """Only a stored answer is wanted: else 504, and nobody is asked."""
        only = "Cache-Control: only-if-cached"
        self.assertEqual(self.get("/x", only)[0], 504)
        self.assertEqual(self.asked, 0)
        self.plays(200, *FRESH)
        self.get()
        self.assertEqual(self.get("/x", only)[0], 200)

    def test_variants(self) -> None:
        """Each value of a selecting field has an answer of its own."""
        self.upstream.handler = lambda outgoing: Played(
            200, *FRESH, "Vary: Accept", body=(outgoing.headers.get("accept") or "").encode()
        )
        for _ in range(2):
            for kind in ("text/html", "application/json"):
                self.assertEqual(self.get("/x", f"Accept: {kind}")[2], kind.encode())
        self.assertEqual(self.asked, 2)
        self.assertEqual(len(self.entries()), 2)

    def test_damaged(self) -> None:
        """A stored body that was altered on the disk is fetched again, not served."""
        self.plays(200, *FRESH)
        self.get()
        (entry,) = self.entries()
        body = self.store.body(entry)
        assert body is not None
        path = next(p for p in self.store.root.rglob(entry.blob) if p.is_file())
        path.chmod(0o600)
        path.write_bytes(b"other bytes")
        status, headers, got = self.get("/x", "Accept: something")
        self.assertEqual((status, headers.get("x-cache"), got), (200, "MISS", b"body"))

    def test_client_wishes(self) -> None:
        """no-cache is heeded under a proxy rule, not where the rule says so, nor in parallel."""
        wish = "Cache-Control: no-cache"
        for obeyed, options in (
            (True, {}),
            (False, {"cache": CachePolicy(obey_clients=False)}),
            (False, {"immutable": True}),
        ):
            self.use(**options)
            self.plays(200, *FRESH)
            self.get(f"/{obeyed}{len(options)}")
            before = self.asked
            self.get(f"/{obeyed}{len(options)}", wish)
            self.assertEqual(self.asked - before, int(obeyed), options)
            self.store.drop_key(f"{UPSTREAM}/{obeyed}{len(options)}")


class StaleTests(MirrorCase):
    small = 0

    def stored(self, *fields: str) -> None:
        self.plays(200, *fields or SHORT)
        self.get()
        self.clock.advance(10)

    def test_revalidation(self) -> None:
        """A stale answer is asked about by its validators, once for all who wait."""
        self.stored(*SHORT, "Last-Modified: Mon, 13 Nov 2023 00:00:00 GMT")
        self.upstream.handler = None
        waiting = [self.ask() for _ in range(20)]
        self.assertEqual(self.asked, 2)
        self.assertEqual(self.last().headers.get("if-none-match"), '"v1"')
        self.assertIn("if-modified-since", self.last().headers)
        self.last().answer.callback(Played(304, 'ETag: "v1"', "Cache-Control: max-age=50"))
        for client in waiting:
            status, headers, body = client.answer()
            self.assertEqual((status, body), (200, b"body"))
            self.assertEqual(headers.get("x-cache"), "REVALIDATED")
            self.assertEqual(headers.get("cache-control"), "max-age=50")
        self.assertIn("collapsed", waiting[1].answer()[1].get("cache-status") or "")
        self.get()
        self.assertEqual(self.asked, 2)

    def test_upstream_is_down(self) -> None:
        """For a week a stale answer stands in for an upstream that is down or fails."""
        self.stored()
        for failure in (lambda o: refused(), lambda o: Played(503), lambda o: Played(429)):
            self.upstream.handler = failure
            status, headers, body = self.get()
            self.assertEqual((status, body), (200, b"body"))
            self.assertEqual(headers.get("x-cache"), "STALE")
            self.assertEqual(headers.get("age"), "10")
            self.assertIn("fwd=stale", headers.get("cache-status") or "")
            self.assertIn("ttl=-9", headers.get("cache-status") or "")
        self.clock.advance(8 * 24 * 3600)
        self.assertEqual(self.get()[0], 429)
        self.falls()
        self.assertEqual(self.get()[0], 502)

    def test_away(self) -> None:
        """While the upstream can't be reached, one request in a while waits for it."""
        self.stored()
        for silence in (False, True):
            reason = Reason.SILENT if silence else Reason.CONNECT
            self.upstream.handler = lambda outgoing, why=reason: UpstreamError(why)
            asked = self.asked
            for _ in range(5):
                status, headers, _body = self.get()
                self.assertEqual((status, headers.get("x-cache")), (200, "STALE"))
            self.assertEqual(self.asked, asked + 1)
            self.clock.advance(AWAY)
            self.plays(200, "Cache-Control: max-age=1", 'ETag: "v2"', body=b"again")
            self.assertEqual(self.get()[2], b"again")
            self.clock.advance(2)

    def test_cacheable_failure(self) -> None:
        """A failure that says how long it lasts does not take the place of what stands in."""
        self.stored()
        self.plays(503, "Cache-Control: max-age=600", body=b"down")
        self.assertEqual(self.get()[2], b"body")
        self.plays(200, *FRESH, body=b"new")
        self.assertEqual(self.get()[2], b"new")

    def test_never_stale(self) -> None:
        """must-revalidate and a rule's 0 forbid it."""
        self.stored("Cache-Control: max-age=1, must-revalidate")
        self.falls()
        self.assertEqual(self.get()[0], 502)
        self.use(cache=CachePolicy(stale_if_error=0.0))
        self.plays(200, *SHORT)
        self.get("/y")
        self.clock.advance(10)
        self.falls()
        self.assertEqual(self.get("/y")[0], 502)

    def test_while_revalidating(self) -> None:
        """Clients get the stale answer at once, and one request renews it in the background."""
        self.stored("Cache-Control: max-age=1, stale-while-revalidate=60", 'ETag: "v1"')
        self.upstream.handler = None
        for _ in range(5):
            status, headers, body = self.get()
            self.assertEqual((status, headers.get("x-cache"), body), (200, "STALE", b"body"))
        self.assertEqual(self.asked, 2)
        self.last().answer.callback(Played(200, *FRESH, body=b"new"))
        status, headers, body = self.get()
        self.assertEqual((headers.get("x-cache"), body), ("HIT", b"new"))
        self.assertEqual(self.asked, 2)

    def test_background_failure(self) -> None:
        """A revalidation that fails in the background disturbs nobody."""
        self.stored("Cache-Control: max-age=1, stale-while-revalidate=60", 'ETag: "v1"')
        self.falls()
        self.assertEqual(self.get()[0], 200)
        self.plays(503)
        self.assertEqual(self.get()[2], b"body")

    def test_negative(self) -> None:
        """A 404 is believed for ten seconds, also when HEAD found it, and then heals."""
        self.plays(404, body=b"none")
        self.assertEqual(self.get()[0], 404)
        self.assertEqual(self.get("/h", method="HEAD")[0], 404)
        self.assertEqual((self.get()[0], self.get("/h")[0], self.asked), (404, 404, 2))
        self.plays(200, *FRESH)
        self.clock.advance(11)
        self.assertEqual((self.get()[0], self.get("/h")[0]), (200, 200))

    def test_coalesced(self) -> None:
        """Fifty requests for a cold page are one upstream request, streamed to all."""
        self.upstream.handler = None
        clients = [self.ask() for _ in range(50)]
        self.assertEqual(self.asked, 1)
        played = Played(200, *FRESH, body=None)
        self.last().answer.callback(played)
        played.data(b"first ")
        self.clock.advance(0)
        for client in clients:
            self.assertIn(b"first ", client.received)
        played.data(b"second")
        played.end()
        self.assertEqual({client.answer()[2] for client in clients}, {b"first second"})
        self.assertEqual(clients[0].answer()[1].get("x-cache"), "MISS")
        self.assertEqual(clients[49].answer()[1].get("x-cache"), "JOIN")
        self.assertEqual(self.asked, 1)

    def test_broken_midway(self) -> None:
        """A body of no certain version that breaks off is cut, and nothing of it is kept."""
        self.upstream.handler = None
        client = self.ask()
        played = Played(200, "Cache-Control: max-age=100", "Content-Length: 100", body=None)
        self.last().answer.callback(played)
        played.data(b"some")
        played.end(UpstreamError(Reason.RESET))
        client.settle()
        self.assertTrue(client.wire.aborted)
        self.assertEqual(self.entries(), ())


class PrivateTests(MirrorCase):
    def stored(self, *fields: str) -> None:
        self.plays(200, *fields or FRESH, body=b"alice's")
        self.assertEqual(self.get("/x", ALICE)[2], b"alice's")

    def test_own_credential(self) -> None:
        """What a credential fetched is served to it for a minute, then asked about."""
        self.stored()
        self.assertEqual(self.get("/x", ALICE)[1].get("x-cache"), "HIT")
        self.clock.advance(GRANTED_FOR + 1)
        self.plays(304, 'ETag: "v1"', "Cache-Control: max-age=100")
        self.assertEqual(self.get("/x", ALICE)[1].get("x-cache"), "REVALIDATED")
        self.assertEqual(self.get("/x", ALICE)[1].get("x-cache"), "HIT")

    def test_immutable_stays_so(self) -> None:
        """The question about a right does not make a file that never changes one that may."""
        self.use(immutable=True)
        self.stored()
        self.clock.advance(GRANTED_FOR + 1)
        self.plays(304, 'ETag: "v1"')
        self.get("/x", ALICE)
        self.assertTrue(self.entries()[0].immutable)

    def test_never_to_others(self) -> None:
        """Others are asked for upstream: 401, 403 and 404 are passed on, and nothing is served."""
        self.stored()
        for status in (401, 403, 404):
            self.plays(status, body=b"no")
            for asked in ((BOB,), ()):
                self.store.drop_key(f"{UPSTREAM}/y")
                got, _, body = self.get("/x", *asked)
                self.assertEqual((got, body), (status, b"no"), asked)
                self.clock.advance(20)

    def test_token_fields(self) -> None:
        """A token in a field of its own is a credential, too: others get nothing by it."""
        for name in ("PRIVATE-TOKEN", "JOB-TOKEN", "X-JFrog-Art-Api", "X-Api-Key"):
            self.use(immutable=True)
            self.plays(200, *FRESH, body=b"alice's")
            self.get(f"/{name}", f"{name}: alice")
            self.plays(401, body=b"no")
            for asked in ((f"{name}: bob",), ()):
                self.assertEqual(self.get(f"/{name}", *asked)[0], 401, (name, asked))

    def test_wish_of_one(self) -> None:
        """What one client's no-cache brings replaces nothing better that still holds for others."""
        for method in ("GET", "HEAD"):
            for worse in (404, 410, 403, 301, 500):
                path = f"/{method}{worse}"
                self.plays(200, *FRESH, body=b"good")
                self.get(path)
                self.plays(worse, "Cache-Control: max-age=900", "Location: https://evil.test/")
                self.ask(path, "Cache-Control: no-cache", method=method)
                status, headers, body = self.get(path)
                told = (status, headers.get("x-cache"), body)
                self.assertEqual(told, (200, "HIT", b"good"), path)
        self.plays(200, *FRESH, body=b"good")
        self.get("/gone")
        self.clock.advance(101)
        self.plays(404, "Cache-Control: max-age=900")
        self.get("/gone")
        self.assertEqual(self.get("/gone")[0], 404)

    def test_granted_to_another(self) -> None:
        """A 304 to another credential's conditional request is its right to the stored bytes."""
        self.stored()
        self.plays(304, 'ETag: "v1"')
        status, _, body = self.get("/x", BOB)
        self.assertEqual(self.last().headers.get("if-none-match"), '"v1"')
        self.assertEqual(self.last().headers.get("authorization"), "Bearer bob")
        self.assertEqual((status, body), (200, b"alice's"))
        before = self.asked
        self.assertEqual(self.get("/x", BOB)[1].get("x-cache"), "HIT")
        self.assertEqual(self.asked, before)

    def test_namesake(self) -> None:
        """What strangers are given, a public server's page perhaps, is not for who has a login."""
        for options in (
            {"cache": CachePolicy(ttl=600, ignore_upstream=True, obey_clients=False)},
            {"immutable": True},
        ):
            self.use(**options)
            path = f"/{len(self.upstream.sent)}"
            self.upstream.handler = lambda outgoing: Played(
                200,
                "Cache-Control: max-age=600",
                'ETag: "v1"',
                body=b"own" if "authorization" in outgoing.headers else b"namesake",
            )
            for _ in range(2):
                self.assertEqual(self.get(path)[2], b"namesake")
                self.assertEqual(self.get(path, ALICE)[2], b"own")

    def test_validation_taken_away(self) -> None:
        """What a login opened is its own, where a rule lifts the validation of each use, too."""
        for number, said in enumerate(
            (
                "no-cache, no-store, must-revalidate",
                "max-age=0, must-revalidate",
                "s-maxage=600",
                "max-age=600, proxy-revalidate, must-revalidate",
            )
        ):
            for options in (
                {"cache": CachePolicy(ttl=600, ignore_upstream=True, ignore_no_store=True)},
                {"cache": CachePolicy(ignore_no_store=True, obey_clients=False)},
                {"immutable": True, "cache": CachePolicy(ignore_no_store=True)},
            ):
                self.use(**options)
                path = f"/{number}-{len(self.upstream.sent)}"
                self.plays(200, f"Cache-Control: {said}", 'ETag: "v1"', body=b"alice's")
                self.assertEqual(self.get(path, ALICE)[2], b"alice's")
                self.plays(401, body=b"no")
                for asked in ((BOB,), ("Authorization: Bearer wrong",), ()):
                    self.assertEqual(self.get(path, *asked)[0], 401, (said, options, asked))

    def test_others_vouch_for_nothing(self) -> None:
        """A second upstream's 304, or one where a redirect led, opens no private entry."""
        second = "https://second.test"
        for method in ("GET", "HEAD"):
            path = f"/{method}"
            self.use(upstreams=(UPSTREAM, second))
            self.plays(200, *FRESH, body=b"alice's")
            self.get(path, ALICE)
            self.clock.advance(GRANTED_FOR + 1)
            self.upstream.handler = lambda outgoing: (
                refused()
                if outgoing.url.startswith(UPSTREAM)
                else Played(304, 'ETag: "v1"')
                if "if-none-match" in outgoing.headers
                else Played(404)
            )
            for fields in ((), (BOB,), (ALICE,)):
                received = self.ask(path, *fields, method=method).received
                self.assertNotIn(b" 200 ", received, fields)
                self.assertNotIn(b"alice's", received, fields)

            def led(outgoing: Any) -> Played:
                played = Played(304, 'ETag: "v1"')
                if "if-none-match" not in outgoing.headers:
                    played = Played(403)
                played.url = "https://elsewhere.test/"
                played.hops = (Hop(302, outgoing.url, Headers()),)
                return played

            self.use()
            self.upstream.handler = led
            for fields in ((), (BOB,)):
                received = self.ask(path, *fields, method=method).received
                self.assertNotIn(b"alice's", received, fields)

    def test_no_proof(self) -> None:
        """A 304 to a date or a weak ETag gives nobody what another's credential fetched."""
        dated = f"Last-Modified: {format_date(1e9)}"
        for path, validator in (("/a", dated), ("/b", 'ETag: W/"1"')):
            page = Played(200, validator, "Cache-Control: max-age=100", body=b"alice")
            self.upstream.handler = lambda outgoing, page=page: page
            self.get(path, "Authorization: alice")
            self.upstream.handler = lambda outgoing: (
                Played(304)
                if outgoing.headers.has_any(frozenset({"if-modified-since", "if-none-match"}))
                else Played(200, body=b"another")
            )
            for fields in (("Authorization: bob",), ()):
                self.assertEqual(self.get(path, *fields)[2], b"another", path)

    def test_never_stale(self) -> None:
        """While the upstream is down nobody gets what only a credential opens."""
        self.stored()
        self.falls()
        self.assertEqual(self.get("/x", BOB)[0], 502)
        self.clock.advance(GRANTED_FOR + 1)
        self.assertEqual(self.get("/x", ALICE)[0], 502)

    def test_anonymous_failure(self) -> None:
        """What was missing for nobody in particular is asked for again with a credential."""
        self.plays(404, "Cache-Control: max-age=1000", body=b"none")
        self.assertEqual(self.get()[0], 404)
        self.plays(200, *FRESH)
        self.assertEqual(self.get("/x", ALICE)[0], 200)

    def test_public_answer(self) -> None:
        """What the origin calls public is for all, whoever fetched it."""
        self.plays(200, "Cache-Control: public, max-age=100")
        self.get("/x", ALICE)
        self.assertEqual(self.get("/x", BOB)[1].get("x-cache"), "HIT")

    def test_set_cookie(self) -> None:
        """An answer with a cookie is not stored, or without it where it is meant for all."""
        self.plays(200, *FRESH, "Set-Cookie: a=b")
        self.assertNotIn("set-cookie", self.get()[1])  # it would go to every other upstream
        self.assertEqual(self.entries(), ())
        self.plays(200, "Cache-Control: public, max-age=100", "Set-Cookie: a=b")
        self.get()
        self.assertNotIn("set-cookie", self.get()[1])

    def test_not_stored_not_joined(self) -> None:
        """An answer that may not be stored goes to one client; others ask for themselves."""
        self.upstream.handler = None
        first, second = self.ask(), self.ask()
        self.assertEqual(self.asked, 1)
        self.last().answer.callback(Played(200, "Cache-Control: no-store", body=b"one"))
        self.assertEqual(self.asked, 2)
        self.last().answer.callback(Played(200, "Cache-Control: no-store", body=b"two"))
        self.assertEqual([c.answer()[2] for c in (first, second)], [b"one", b"two"])


class PartTests(MirrorCase):
    def test_part_of_what_is_not_stored(self) -> None:
        """A Range of a private file is answered by the upstream's own part."""

        def answer(outgoing: Any) -> Played:
            if outgoing.headers.get("range") == "bytes=1-2":
                return Played(206, "Content-Range: bytes 1-2/90000", *FRESH, body=b"od")
            return Played(200, "Cache-Control: private", "Content-Length: 90000", body=None)

        self.upstream.handler = answer
        for asked in (2, 3):  # known by now
            status, headers, body = self.get("/x", "Range: bytes=1-2")
            self.assertEqual((status, body, headers.get("x-cache")), (206, b"od", "PASS"))
            self.assertEqual(headers.get("content-range"), "bytes 1-2/90000")
            self.assertEqual(self.asked, asked)

    def test_where_a_part_is_no_use(self) -> None:
        """Several spans, other conditions and rewritten bodies are answered of the whole."""
        self.plays(200, "Cache-Control: private", "Content-Type: text/html", body=b"x" * 90000)
        for fields in (
            ("Range: bytes=1-2, 4-5",),
            ("Range: bytes=1-2", 'If-None-Match: "no"'),
            ("Range: lines=1-2",),
        ):
            self.assertEqual(self.get("/x", *fields)[0], 200)
            self.assertNotIn("range", self.last().headers)
        self.use(content_rewrite=ContentRewrite(targets=("https://files.test",)))
        self.assertEqual(self.get("/x", "Range: bytes=1-2")[0], 200)


class HeadTests(MirrorCase):
    small = 0

    SAME = ("etag", "content-type", "content-length", "content-encoding", "vary", "cache-control")
    SAME_TOO = ("accept-ranges", "last-modified", "age")

    def assertSame(self, target: str, *fields: str) -> None:
        head, got = self.ask(target, *fields, method="HEAD"), self.get(target, *fields)
        end = head.received.index(b"\r\n\r\n")
        self.assertEqual(len(head.received), end + 4)
        lines = head.received[:end].decode().split("\r\n")[1:]
        told = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in lines}
        for name in (*self.SAME, *self.SAME_TOO):
            self.assertEqual(told.get(name), got[1].joined(name), name)

    def test_cold(self) -> None:
        """HEAD of what is not stored asks for a header alone, and says what GET says."""
        self.plays(200, *FRESH, "Content-Length: 4")
        self.assertSame("/x")
        self.assertEqual([s.outgoing.method for s in self.upstream.sent], ["HEAD", "GET"])

    def test_hit(self) -> None:
        """HEAD of what is stored says what GET says, without the upstream."""
        self.plays(200, *FRESH)
        self.get()
        self.assertSame("/x")
        self.assertEqual(self.asked, 1)

    def test_compressed(self) -> None:
        """The same holds for text that is compressed on its way."""
        self.upstream.handler = lambda outgoing: Played(
            200, *FRESH, body=b"text " * 1000 if outgoing.method == "GET" else None
        )
        self.assertSame("/x", "Accept-Encoding: gzip")
        self.assertSame("/x", "Accept-Encoding: gzip")
        self.assertSame("/x")

    def test_stale_is_renewed(self) -> None:
        """A 304, or a 200 with the same validator, renews the stored answer; no body is fetched."""
        for number, answer in enumerate(
            (
                Played(304, 'ETag: "v1"', "Cache-Control: max-age=99", body=b""),
                Played(200, *FRESH, "Content-Length: 4", body=None),
            )
        ):
            self.plays(200, *SHORT)
            self.get(f"/{number}")
            self.clock.advance(10)
            self.upstream.handler = lambda outgoing, answer=answer: answer
            self.assertEqual(self.ask(f"/{number}", method="HEAD").received[9:12], b"200")
            self.assertEqual(self.last().outgoing.method, "HEAD")
            before = self.asked
            self.assertEqual(self.get(f"/{number}")[1].get("x-cache"), "HIT")
            self.assertEqual(self.asked, before)

    def test_outdated(self) -> None:
        """A HEAD that tells of other bytes makes the stored answer be asked about."""
        self.plays(200, *FRESH)
        self.get()
        self.plays(200, 'ETag: "v2"', "Content-Length: 9")
        self.ask("/x", "Cache-Control: no-cache", method="HEAD")
        self.assertEqual(self.get("/x")[1].get("etag"), '"v2"')

    def test_stands_in(self) -> None:
        """HEAD, too, is answered while the upstream is down."""
        self.plays(200, *SHORT)
        self.get()
        self.clock.advance(10)
        self.falls()
        self.assertIn(b"X-Cache: STALE", self.ask("/x", method="HEAD").received)

    def test_joined(self) -> None:
        """HEAD of what is being fetched asks nobody."""
        self.upstream.handler = None
        self.ask()
        self.last().answer.callback(Played(200, *FRESH, "Content-Length: 9", body=None))
        self.assertIn(b"X-Cache: JOIN", self.ask("/x", method="HEAD").received)
        self.assertEqual(self.asked, 1)

    def test_parallel(self) -> None:
        """Where ranges are usual the header is that of a range request, made whole."""
        self.use(strategy=Strategy.PARALLEL)
        self.upstream.handler = lambda outgoing: (
            Played(206, *FRESH, "Content-Range: bytes 0-0/5000", body=b"b")
            if outgoing.method == "GET"
            else Played(405, body=None)
        )
        received = self.ask("/x", method="HEAD").received
        self.assertEqual(self.last().headers.get("range"), "bytes=0-0")
        self.assertIn(b"HTTP/1.1 200", received)
        self.assertIn(b"Content-Length: 5000", received)

    def test_failover(self) -> None:
        """When the first upstream is down the second is asked, as for GET, without the login."""
        self.use(upstreams=(UPSTREAM, "https://more.test"))
        more = Played(200, *FRESH, "Content-Length: 4", body=None)
        self.upstream.handler = lambda o: refused() if o.url.startswith(UPSTREAM) else more
        asked = self.ask("/x", "Authorization: Basic eA==", method="HEAD")
        self.assertIn(b"HTTP/1.1 200", asked.received)
        logins = [("authorization" in sent.headers) for sent in self.upstream.sent]
        self.assertEqual(logins, [True, False])

    def test_failover_refused(self) -> None:
        """What the second upstream refuses without the login is no 401 that doubts the login."""
        self.use(upstreams=(UPSTREAM, "https://more.test"))
        self.upstream.handler = lambda o: Played(503 if o.url.startswith(UPSTREAM) else 401)
        asked = self.ask("/x", "Authorization: Basic eA==", method="HEAD")
        self.assertIn(b"HTTP/1.1 502", asked.received)


class MemoTests(MirrorCase):
    def again(self) -> bytes:
        return self.get()[2]

    def test_kept(self) -> None:
        """An exact repeat is answered from memory: the store is not looked at."""
        self.plays(200, *FRESH)
        self.get()
        self.get()
        self.patch(self.store, "entries", lambda key: self.fail("looked"))
        self.assertEqual(self.again(), b"body")

    def test_changes(self) -> None:
        """No answer outlives a renewal, a purge, an invalidation, or its freshness."""
        for change in (
            lambda: self.store.drop_key(f"{UPSTREAM}/x"),
            lambda: self.store.invalidate(f"{UPSTREAM}/x"),
            lambda: self.store.put(evolve(self.entries()[0], invalidated=True)),
            lambda: self.get("/x", method="POST", body=b"z"),
            lambda: self.clock.advance(101),
        ):
            self.plays(200, *FRESH, body=b"old")
            self.get("/x", "Cache-Control: no-cache")
            self.assertEqual((self.again(), self.again()), (b"old", b"old"))
            self.plays(200, 'ETag: "v2"', "Cache-Control: max-age=100", body=b"new")
            change()
            self.assertEqual(self.again(), b"new")

    def test_clients_differ(self) -> None:
        """A credential, a range, a wish or an encoding makes it another request."""
        self.plays(200, *FRESH, body=b"0123456789")
        self.get()
        self.get()
        before = self.asked
        self.assertEqual(self.get("/x", "Range: bytes=0-0")[2], b"0")
        self.get("/x", "Cache-Control: no-cache")
        self.assertEqual(self.asked, before + 1)
        self.get("/x", "Cookie: a=b", "Cache-Control: no-cache")
        self.assertEqual(self.asked, before + 2)

    def test_who_asks(self) -> None:
        """Another user agent gets the same from memory, unless Vary says that it has its own."""
        for vary, kept in ((), 1), (("Vary: User-Agent",), 0):
            self.site.memo.invalidate()
            target = f"/{len(vary)}"
            self.plays(200, *FRESH, *vary)
            for agent in "abab":
                self.assertEqual(self.get(target, f"User-Agent: {agent}")[2], b"body")
            self.assertEqual(len(self.site.memo), kept)

    def test_one_variant_by_agent(self) -> None:
        """Where one of several stored answers is for a user agent, none is kept for all."""
        self.plays(200, *FRESH, "Vary: Accept", body=b"all")
        self.get("/x", "Accept: a")
        self.plays(200, *FRESH, "Vary: User-Agent", body=b"mine")
        self.get("/x", "User-Agent: me")
        before = self.asked
        self.assertEqual(self.get("/x", "Accept: a", "User-Agent: other")[2], b"all")
        self.assertEqual(self.asked, before)
        self.assertEqual(len(self.site.memo), 0)


class UnsyncedTests(MirrorCase):
    """What has arrived counts as stored while the disk still syncs it."""

    small = 0

    def test_fresh(self) -> None:
        """It is given out at once, in the place of an older answer that is as fresh."""
        self.plays(200, *FRESH, body=b"old")
        self.get()
        self.plays(200, *FRESH, body=b"new")
        self.slow_disk = True
        self.get("/x", "Cache-Control: no-cache")
        for _ in range(2):
            status, headers, body = self.get()
            self.assertEqual((status, headers.get("x-cache"), body), (200, "HIT", b"new"))
        self.assertEqual(self.asked, 2)
        self.slow_disk = False
        self.run_threads()
        self.assertEqual(self.get()[2], b"new")

    def test_asked_again(self) -> None:
        """A wish for something fresher waits for the disk, and then asks the upstream."""
        self.slow_disk = True
        self.plays(200, *FRESH, body=b"old")
        self.get()
        self.plays(200, *FRESH, body=b"new")
        asking = self.ask("/x", "Cache-Control: no-cache")
        self.assertEqual((asking.answers(), self.asked), ([], 1))
        self.slow_disk = False
        self.run_threads()
        asking.settle()
        self.assertEqual(asking.answer()[2], b"new")
        self.assertIn("if-none-match", self.last().headers)

    def test_framed_by_chunks(self) -> None:
        """Nobody waits for the disk, even where the size was not known before the end."""
        self.slow_disk = True
        self.upstream.handler = None
        client = self.ask()
        played = Played(200, *FRESH, body=None)
        self.last().answer.callback(played)
        played.data(b"body")
        played.end()
        client.settle()
        self.assertEqual(client.answer()[2], b"body")
        self.assertEqual(self.get()[1].get("x-cache"), "HIT")
        self.slow_disk = False
        self.run_threads()
        self.assertEqual(self.get()[1].get("x-cache"), "HIT")


class PuttingAwayTests(MirrorCase):
    """An answer that has come is being put away, which takes the disk a while."""

    small = 0

    def setUp(self) -> None:
        super().setUp()
        self.disk: Deferred[None] = Deferred()
        commit = self.store.commit

        async def slow(*args: Any) -> Any:
            await self.disk
            return await commit(*args)

        self.patch(self.store, "commit", slow)

    def test_stale_from_the_start(self) -> None:
        """Who asks after it was complete is not given an answer that is to be validated."""
        self.plays(200, 'ETag: "v1"', "Cache-Control: max-age=0")
        self.get()
        late = self.ask()
        self.plays(200, 'ETag: "v2"', "Cache-Control: max-age=0", body=b"news")
        self.disk.callback(None)
        late.settle()
        self.assertEqual(late.answer()[2], b"news")
        self.assertEqual(self.last().headers.get("if-none-match"), '"v1"')

    def test_invalidated(self) -> None:
        """Who has changed it, or created it, gets it anew, and so do later ones."""
        for target, method in (("/x", "PUT"), ("/y", "POST")):
            self.disk = Deferred()
            self.plays(200, *FRESH)
            self.assertEqual(self.get(target)[2], b"body")
            self.plays(201, f"Location: {target}", body=b"")
            self.get(target if method == "PUT" else "/other", method=method, body=b"z")
            self.plays(200, *FRESH, body=b"news")
            self.assertEqual(self.get(target)[2], b"news")
            self.disk.callback(None)
            asked = self.asked
            self.assertEqual(self.get(target)[2], b"news")
            self.assertLessEqual(self.asked - asked, 1)

    def test_stops(self) -> None:
        """An answer that is not to be used any more is waited for all the same."""
        self.plays(200, *FRESH)
        self.get()
        self.downloads.invalidate(self.entries_key())
        stopped = self.downloads.stop()
        self.assertNoResult(stopped)
        self.disk.callback(None)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertTrue(self.entries()[0].invalidated)

    def entries_key(self) -> str:
        return UPSTREAM + "/x"
