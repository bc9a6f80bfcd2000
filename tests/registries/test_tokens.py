"""Tokens of registries: asked for once, kept per credential, renewed, never misdirected."""

from __future__ import annotations

import json
from collections import deque

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.exchanges.hedging import Hedging
from aimirror.exchanges.library import Library
from aimirror.http.egress import ANYWHERE, Egress, Outgoing, Timeouts, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.registries.auth import Credential, credential
from aimirror.registries.paths import Target, parse
from aimirror.registries.registry import DEFAULTS, Registries
from aimirror.registries.tokens import MOST_BYTES, Refused, Tokens
from aimirror.routing.rules import Rule
from aimirror.upstream.health import Health
from aimirror.upstream.hosts import Hosts
from aimirror.upstream.responses import collect

RULE = Rule(name="hub", upstreams=("https://hub.test",))
REALM = 'Bearer realm="https://auth.test/token",service="hub",scope="repository:a:pull,push"'
ANYBODY = Credential()
ALICE = credential("Basic YWxpY2U6YQ==")


@define
class Response:
    """A response of a fake upstream."""

    status: int
    headers: Headers = Headers()
    body: bytes = b""
    url: str = ""
    zone: Zone = Zone.PUBLIC
    aborted: bool = False

    def deliver(self, receiver: object) -> None:
        receiver.data(self.body)
        error = UpstreamError(Reason.CANCELLED) if self.aborted else None
        receiver.finished(error)

    def abort(self) -> None:
        self.aborted = True


@define
class Upstream:
    """Answers when it is told to."""

    asked: list[Outgoing] = field(factory=list)
    waiting: deque[Deferred] = field(factory=deque)

    def request(self, outgoing: Outgoing, body: object = None, redirects: int = 0) -> Deferred:
        self.asked.append(outgoing)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def answer(self, status: int, body: bytes = b"", **fields: str) -> None:
        headers = Headers((name.replace("_", "-"), value) for name, value in fields.items())
        self.waiting.popleft().callback(Response(status, headers, body, self.asked[-1].url))


@define(slots=False)
class Surroundings:
    """What tokens need of the library's environment."""

    store = None
    upstream: Upstream = field(factory=Upstream)
    clock: Clock = field(factory=Clock)
    timeouts: Timeouts = Timeouts()
    redirects: int = 10

    def __attrs_post_init__(self) -> None:
        self.hedging = Hedging(self.clock, Hosts(self.clock, 8))

    def egress(self, rule: Rule) -> Egress:
        return Egress(reach=ANYWHERE)


class Unlimited:
    """Downloads that hold nothing back."""

    def __init__(self) -> None:
        self.health = Health()

    def limited(self, rule: Rule, response: Response) -> Response:
        return response


def target(name: str = "a/b") -> Target:
    found = parse(f"/v2/{name}/tags/list", "", Registries(DEFAULTS))
    assert isinstance(found, Target)
    return found


def token(value: str, life: int = 300) -> bytes:
    return json.dumps({"token": value, "expires_in": life}).encode()


class TokensTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tools = Surroundings()
        self.upstream = self.tools.upstream
        self.tokens = Tokens(Library(self.tools, Unlimited()))

    def right(self, who: Credential = ANYBODY, name: str = "a/b", stale: str = "") -> Deferred:
        found = self.tokens.authorization(RULE, target(name), who, stale)
        return Deferred.fromCoroutine(found)

    def challenged(self) -> None:
        self.upstream.answer(401, www_authenticate=REALM)

    def test_asked_once(self) -> None:
        """Many who want the same at once cost one look at the registry and one token."""
        rights = [self.right() for _ in range(5)]
        self.challenged()
        self.upstream.answer(200, token("t"))
        self.assertEqual([self.successResultOf(r) for r in rights], ["Bearer t"] * 5)
        urls = [outgoing.url for outgoing in self.upstream.asked]
        wanted = "https://auth.test/token?service=hub&scope=repository:a/b:pull"
        self.assertEqual(urls, ["https://hub.test/v2/", wanted])
        self.assertEqual(self.successResultOf(self.right()), "Bearer t")

    def test_kept_apart(self) -> None:
        """A token is for one repository and one credential."""
        first = self.right()
        self.challenged()
        self.upstream.answer(200, token("t1"))
        other, alice = self.right(name="c/d"), self.right(ALICE)
        self.upstream.answer(200, token("t2"))
        self.upstream.answer(200, token("t3"))
        found = [self.successResultOf(each) for each in (first, other, alice)]
        self.assertEqual(found, ["Bearer t1", "Bearer t2", "Bearer t3"])
        sent = [outgoing.headers.get("authorization") for outgoing in self.upstream.asked]
        self.assertEqual(sent, [None, None, None, ALICE.basic])

    def test_renewed(self) -> None:
        """A token is replaced before it ends, and at once when the registry refuses it."""
        self.right()
        self.challenged()
        self.upstream.answer(200, token("t1"))
        self.tools.clock.advance(269)
        self.assertEqual(self.successResultOf(self.right()), "Bearer t1")
        self.tools.clock.advance(2)
        later = self.right()
        self.upstream.answer(200, token("t2"))
        self.assertEqual(self.successResultOf(later), "Bearer t2")
        refused = self.right(stale="Bearer t2")
        self.upstream.answer(200, token("t3"))
        self.assertEqual(self.successResultOf(refused), "Bearer t3")
        self.assertEqual(self.successResultOf(self.right(stale="Bearer t2")), "Bearer t3")

    def test_no_clear_text(self) -> None:
        """A password that came to a registry over TLS goes to its token service so, too."""
        right = self.right(ALICE)
        self.upstream.answer(401, www_authenticate=REALM.replace("https:", "http:"))
        self.assertEqual(self.failureResultOf(right, Refused).value.status, 401)
        self.assertEqual(len(self.upstream.asked), 1)

    def test_misled(self) -> None:
        """Where a redirect ended, nobody says to whom passwords go; the registry itself does."""
        self.right()
        self.challenged()
        fields = Headers([("WWW-Authenticate", 'Bearer realm="https://evil.test/t",service="hub"')])
        answer = Response(401, fields, url="https://cdn.test/blob")
        self.assertIsNone(self.tokens.learn(RULE, answer))
        self.right(ALICE)
        self.assertTrue(self.upstream.asked[-1].url.startswith("https://auth.test/token?"))
        answer = Response(401, fields, url="https://hub.test/v2/a/b/tags/list")
        self.assertIsNotNone(self.tokens.learn(RULE, answer))

    def test_reach(self) -> None:
        """A public registry can't have the mirror ask a private address for a token."""
        self.right()
        self.challenged()
        self.assertEqual(self.upstream.asked[-1].egress.reach.zones, frozenset({Zone.PUBLIC}))

    def test_open_and_basic(self) -> None:
        """Where no token is wanted, none is asked for; own tokens go as they are."""
        opened = self.right(ALICE)
        self.upstream.answer(200)
        self.assertEqual(self.successResultOf(opened), "")
        self.assertEqual(self.successResultOf(self.right(credential("Bearer x"))), "Bearer x")
        self.tools.clock.advance(3601)
        basic = self.right(ALICE)
        self.upstream.answer(401, www_authenticate='Basic realm="x"')
        self.assertEqual(self.successResultOf(basic), ALICE.basic)
        self.assertEqual(self.successResultOf(self.right()), "")

    def test_refusals(self) -> None:
        """Who is unwelcome gets 401; a service that is busy is not believed to have said no."""
        for status, wanted in ((401, 401), (403, 401), (429, 429), (503, 503)):
            right = self.right(ALICE)
            if len(self.upstream.asked) == 1:
                self.challenged()
            self.upstream.answer(status, retry_after="3")
            refused = self.failureResultOf(right, Refused).value
            self.assertEqual((refused.status, refused.headers.get("retry-after")), (wanted, "3"))
            self.tools.clock.advance(3)
        self.tools.clock.advance(3601)
        down = self.right(ALICE)
        self.upstream.answer(503)
        self.assertEqual(self.failureResultOf(down, Refused).value.status, 503)

    def test_nonsense(self) -> None:
        """What is no token fails, as does an answer without end."""
        for body in (b"<html>", b"x" * (MOST_BYTES + 1)):
            right = self.right(ALICE)
            if len(self.upstream.asked) == 1:
                self.challenged()
            self.upstream.answer(200, body)
            error = self.failureResultOf(right, UpstreamError).value
            self.assertEqual(error.reason, Reason.PROTOCOL)


class CollectTests(SynchronousTestCase):
    def test_collect(self) -> None:
        """A short body comes whole."""
        self.assertEqual(self.successResultOf(collect(Response(200, body=b"ab"), 2)), b"ab")
