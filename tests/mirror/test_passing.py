"""Requests and answers that are handed on."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from twisted.internet.defer import Deferred

from aimirror.download.proof import HOLDBACK
from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.routing.choices import ContentRewrite, Strategy
from aimirror.routing.digests import DigestSource, Source
from aimirror.routing.rules import Rule
from tests.mirror.support import REWRITES, UPSTREAM, MirrorCase, Played
from tests.server.support import parse_answers

HEX = re.compile(r"([0-9a-f]{64})$")
FRESH = ("Content-Type: text/plain", "Cache-Control: max-age=100")


class Consumer:
    """Takes a request's body."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: bytes) -> None:
        self.taken += data


class ForwardingTests(MirrorCase):
    def test_methods(self) -> None:
        """Any method goes through with its body, raw path and query, and its own fields."""
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
            self.upstream.handler = None
            target = "/a%2Fb//c?x=%7e&x=&y"
            fields = ("X-Own: 1", "Connection: x-hop", "X-Hop: 1", "TE: trailers")
            client = self.ask(target, *fields, method=method, body=b"abc")
            sent = self.last()
            self.assertEqual(sent.outgoing.method, method)
            self.assertEqual(sent.outgoing.url, UPSTREAM + target)
            self.assertEqual(sent.headers.get("x-own"), "1")
            for name in ("host", "connection", "x-hop", "te", "content-length"):
                self.assertNotIn(name, sent.headers)
            self.assertEqual(sent.redirects, 0)
            consumer = Consumer()
            sent.body.startProducing(consumer)
            self.assertEqual(consumer.taken, b"abc")
            sent.answer.callback(Played(207, "X-Its: 2", body=b"answer"))
            status, headers, body = client.answer()
            self.assertEqual((status, headers.get("x-its"), body), (207, "2", b"answer"))
            self.assertEqual(headers.get("x-cache"), "PASS")

    def test_empty_query(self) -> None:
        """A question mark alone is kept, and is another target than none."""
        self.plays(200, *FRESH)
        self.get("/x?")
        self.assertEqual(self.last().outgoing.url, f"{UPSTREAM}/x?")
        self.get("/x")
        self.assertEqual(self.last().outgoing.url, f"{UPSTREAM}/x")
        self.assertEqual(self.get("/x?")[1].get("x-cache"), "HIT")

    def test_request_is_streamed(self) -> None:
        """A long body is read from the client as fast as the upstream takes it."""
        self.upstream.handler = None
        client = self.client()
        client.send(b"PUT /x HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1000)
        client.send(b"b" * 999_000)
        self.assertGreater(client.unread, 800_000)
        consumer = Consumer()
        done: Deferred[Any] = self.last().body.startProducing(consumer)
        client.deliver()
        self.successResultOf(done)
        self.assertEqual(len(consumer.taken), 1_000_000)

    def test_answer_is_streamed(self) -> None:
        """A slow client holds the upstream back, and gets all in the end."""
        self.upstream.handler = None
        client = self.client(greedy=False)
        client.send(b"POST /x HTTP/1.1\r\nHost: m\r\nContent-Length: 0\r\n\r\n")
        played = Played(200, "Content-Length: 300000", body=None)
        self.last().answer.callback(played)
        played.data(b"a" * 200_000)
        self.assertEqual(played.paused, 1)
        client.wire.take()
        self.assertEqual(played.paused, 0)
        played.data(b"b" * 100_000)
        client.wire.take()
        played.end()
        client.wire.take()
        self.assertEqual(len(client.answer()[2]), 300_000)

    def test_endings(self) -> None:
        """A broken answer is cut; a client that leaves ends the upstream's."""
        for leaves in (False, True):
            self.upstream.handler = None
            client = self.ask(method="POST")
            played = Played(200, "Content-Length: 10", body=None)
            self.last().answer.callback(played)
            played.data(b"some")
            if leaves:
                client.wire.lose()
                self.assertTrue(played.aborted)
            else:
                played.end(UpstreamError(Reason.RESET))
                self.assertTrue(client.wire.aborted)

    def test_torn_body(self) -> None:
        """A body whose framing is wrong, its endless trailers too, is the client's fault: 400."""
        trailer = b"X: " + b"a" * 1000 + b"\r\n"
        for rest in (b"zz\r\n", b"0\r\n" + trailer * 80):
            self.upstream.handler = None
            client = self.client()
            client.send(b"PUT /x HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"3\r\nabc\r\n")
            sent = self.last()
            taken: Deferred[Any] = sent.body.startProducing(Consumer())
            client.send(rest)
            self.failureResultOf(taken)
            sent.answer.errback(UpstreamError(Reason.CANCELLED, "the request body broke off"))
            self.assertEqual(client.answer()[0], 400)

    def test_unreachable(self) -> None:
        """An upstream that can't be asked is a 502, a silent one a 504."""
        self.falls()
        self.assertEqual(self.get(method="POST")[0], 502)
        self.upstream.handler = lambda outgoing: UpstreamError(Reason.SILENT)
        self.assertEqual(self.get(method="POST")[0], 504)


class InvalidationTests(MirrorCase):
    def stored(self, *targets: str) -> None:
        self.plays(200, *FRESH)
        for target in targets:
            self.get(target)

    def fresh(self, target: str) -> bool:
        return self.get(target, "Accept: any")[1].get("x-cache") == "HIT"

    def test_unsafe(self) -> None:
        """A success to an unsafe method makes its URL and those it names be asked for again."""
        self.stored("/x", "/y", "/z", "/w")
        located = (f"Location: {UPSTREAM}/y", "Content-Location: /z")
        self.plays(201, *located, body=b"")
        self.get("/x", method="POST", body=b"a")
        self.plays(200, *FRESH)
        self.assertEqual([self.fresh(t) for t in ("/x", "/y", "/z")], [False] * 3)
        self.assertTrue(self.fresh("/w"))

    def test_not_invalidated(self) -> None:
        """Not by failures, nor by safe methods, nor at another origin."""
        self.stored("/x")
        for method, status, field in (
            ("POST", 500, "X: 1"),
            ("OPTIONS", 200, "X: 1"),
        ):
            self.plays(status, field, body=b"")
            self.get("/x", method=method)
        self.plays(200, "Location: https://other.test/x", body=b"")
        self.get("/other", method="POST")
        self.assertTrue(self.fresh("/x"))


class LocationTests(MirrorCase):
    def located(self, value: str, method: str = "POST") -> str | None:
        self.plays(302 if method == "POST" else 201, f"Location: {value}", body=b"")
        return self.get("/n/p/x", method=method)[1].get("location")

    def test_leads_here(self) -> None:
        """A redirect to a mounted upstream leads to its mount, others stay."""
        rule = Rule(
            name="n",
            upstreams=("https://n.test/base",),
            path_prefix="/n",
            strip_prefix=True,
            content_rewrite=ContentRewrite(),
        )
        self.use(rule, content_rewrite=REWRITES)
        for value, wanted in (
            ("https://n.test/base/y?a=b", "http://mirror.test/n/y?a=b"),
            ("/base/y", "http://mirror.test/n/y"),
            ("https://files.test/y", "http://mirror.test/y"),
            ("https://other.test/y", "https://other.test/y"),
            ("relative", "relative"),  # the same place on both sides
        ):
            self.assertEqual(self.located(value), wanted)

    def test_unmounted(self) -> None:
        """Where paths are the same on both sides, a path stays as it was sent."""
        self.assertEqual(self.located("/y"), "/y")
        self.assertEqual(self.located("y"), "y")


class PassedAnswerTests(MirrorCase):
    def test_rewritten(self) -> None:
        """The links of an answer that is not stored are rewritten, too; its own 304 is given."""
        self.use(content_rewrite=REWRITES)
        page = ("Content-Type: text/html", "Cache-Control: no-store", 'ETag: "v1"')
        self.plays(200, *page, body=b'<a href="https://files.test/a">')
        status, headers, body = self.get()
        self.assertEqual((status, body), (200, b'<a href="http://mirror.test/a">'))
        tag = headers.get("etag") or ""
        self.assertEqual(self.get("/x", f"If-None-Match: {tag}")[0], 304)
        self.assertEqual(self.get("/x", 'If-None-Match: "v1"')[0], 200)

    def test_let_go(self) -> None:
        """An answer that is replaced by a 304 is not read if it is long."""
        self.upstream.handler = None
        client = self.ask("/x", 'If-None-Match: "v1"')
        played = Played(
            200, "Cache-Control: no-store", 'ETag: "v1"', "Content-Length: 9999999", body=None
        )
        self.last().answer.callback(played)
        self.assertEqual((client.answer()[0], played.aborted), (304, True))


class UnstoredProofTests(MirrorCase):
    """What is not stored is checked like what is."""

    def fetch(self, body: bytes, *fields: str, told: tuple[str, ...] = ()) -> bytes:
        digest = hashlib.sha256(b"right" * 40_000).hexdigest()
        source = DigestSource(algorithm="sha256", source=Source.PATH, pattern=HEX)
        self.use(digests=(source,), strategy=self.strategy)
        self.plays(200, *told, body=body)
        return self.ask(f"/{digest}", *fields).received

    strategy = Strategy.PROXY
    #: Whatever keeps an answer from being stored: (request fields, response fields).
    WAYS = (
        ((), ("Cache-Control: no-store",)),
        ((), ("Cache-Control: private",)),
        (("Cache-Control: no-store",), ()),
        ((), ("Vary: *",)),
    )

    def test_wrong(self) -> None:
        """A wrong one never goes out whole: its last block stays here, and the client is cut."""
        for strategy in Strategy:
            self.strategy = strategy
            for asked, told in self.WAYS:
                for wrong in (b"wrong" * 40_000, b"wrong"):
                    received = self.fetch(wrong, *asked, told=told)
                    self.assertNotIn(200, [answer[0] for answer in parse_answers(received)])
                    _, _, body = received.partition(b"\r\n\r\n")
                    sent = len(body) if received.startswith(b"HTTP/1.1 200") else 0
                    self.assertLessEqual(sent, max(0, len(wrong) - HOLDBACK))

    def test_right(self) -> None:
        """A right one does, with its length."""
        for asked, told in self.WAYS:
            received = self.fetch(b"right" * 40_000, *asked, told=told)
            ((status, headers, body),) = parse_answers(received)
            self.assertEqual((status, body), (200, b"right" * 40_000))
            self.assertEqual(headers.get("content-length"), "200000")

    def test_said(self) -> None:
        """A stored one that is small is answered by 502 and the reason, to all who wait."""
        for _ in range(2):
            received = self.fetch(b"wrong")
            ((status, _, body),) = parse_answers(received)
            self.assertEqual(status, 502)
            self.assertRegex(body, b"sha256 is|does not match its digest")
