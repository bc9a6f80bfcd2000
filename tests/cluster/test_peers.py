"""The other nodes as one of them sees them: asked, left out, found by a name."""

from __future__ import annotations

import json
import socket
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.cluster import questions
from aimirror.cluster.peers import RESOLVE_EVERY, UNSHARED_FOR, Peers, Told, described
from aimirror.cluster.roster import owner
from aimirror.download.tasks import Reason
from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError, Wanted
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.tier.keys import Keys
from tests.exchanges.support import FakeResponse

KEYS = Keys(("k" * 32,))
OWN, OTHER = "10.0.0.1:8081", "10.0.0.2:8081"
URL = "http://h/file"


class Nodes:
    """An upstream that leads to other nodes."""

    def __init__(self) -> None:
        self.requests: list[Outgoing] = []
        self.answer: Any = UpstreamError(Reason.CONNECT, "refused")
        self.held: Deferred[Any] | None = None

    def request(self, outgoing: Outgoing, body: object = None, redirects: int = 0) -> Deferred[Any]:
        self.requests.append(outgoing)
        if self.held is not None:
            return self.held
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)


class PeersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.nodes = Clock(), Nodes()
        self.clock.advance(1000.0)
        self.found: Any = []
        self.peers = self.made((OTHER,))

    def made(self, peers: tuple[str, ...]) -> Peers:
        def to_thread(function: object, *arguments: Any) -> Deferred[Any]:
            self.assertIs(function, socket.getaddrinfo)
            if isinstance(self.found, Exception):
                return fail(self.found)
            return succeed([(2, 1, 6, "", (each, arguments[1])) for each in self.found])

        upstream: Any = self.nodes
        return Peers(peers, OWN, KEYS, (), upstream, self.clock, to_thread)

    def wanted(self, **more: Any) -> Wanted:
        """Something that the other node owns, whatever it is called."""
        rule = Rule(name="r", upstreams=("http://h",), **more.pop("rule", {}))
        paths = (f"/{number}" for number in range(100))
        now = self.clock.seconds()
        path = next(path for path in paths if owner(path, (OTHER, OWN)) == OTHER)
        self.assertIn(self.peers.roster.owner(path, now), (OTHER, OWN))
        route = Route(rule, path, (URL,), URL, False, None)
        return Wanted(route=route, headers=Headers([("Accept", "x")]), **more)

    def ask(self, wanted: Wanted, have: str = "") -> Told | None:
        return self.successResultOf(Deferred.fromCoroutine(self.peers.ask(wanted, have)))

    def entry(self, **fields: Any) -> Entry:
        return Entry(**{"key": URL, "headers": Headers([("ETag", '"a"')]), **fields})

    def reply(self, status: int, entry: Entry | None) -> FakeResponse:
        fields = () if entry is None else ((questions.ENTRY, described(entry)),)
        self.nodes.answer = FakeResponse(status, *fields, length=3)
        return self.nodes.answer

    def said(self, wanted: Wanted) -> Digest | None:
        return self.successResultOf(Deferred.fromCoroutine(self.peers.said(wanted)))

    def test_reconfigured(self) -> None:
        """Other nodes by a list count at once; a name in place of it is looked up from then on."""
        self.peers.reconfigure((), (OTHER, "10.0.0.3:8081"))
        self.assertIn("10.0.0.3:8081", self.peers.roster.members)
        self.found = ["10.0.0.9"]
        self.peers.reconfigure((), ("dns://nodes:8081",))
        self.assertEqual(self.peers.roster.members, {"10.0.0.9:8081"})
        self.peers.reconfigure((), (OTHER,))
        self.clock.advance(2 * RESOLVE_EVERY)
        self.assertEqual(self.peers.roster.members, {OTHER})

    def test_said(self) -> None:
        """The owner says what a file hashes to; nobody else is asked, and nonsense is nothing."""
        digest = Digest("sha256", "ab" * 32)
        self.nodes.answer = FakeResponse(204, (questions.DIGEST, f"sha256={digest.hex}"))
        self.assertEqual(self.said(self.wanted()), digest)
        text = self.nodes.requests[0].headers.get(questions.QUESTION) or ""
        question = questions.unpacked(text, KEYS, self.clock.seconds())
        self.assertTrue(question is not None and question.digest_only)
        for value in ("", "sha256", "sha256=zz"):
            self.nodes.answer = FakeResponse(204, (questions.DIGEST, value))
            self.assertIsNone(self.said(self.wanted()))
        self.nodes.requests.clear()
        self.assertIsNone(self.said(self.wanted(scope="someone")))
        self.assertIsNone(self.said(self.wanted(hop=True)))
        self.assertEqual(self.nodes.requests, [])

    def test_told(self) -> None:
        """The owner is asked by a signed question, and its entry and stream are taken."""
        response = self.reply(200, self.entry())
        told = self.ask(self.wanted())
        self.assertEqual(told, Told(self.entry(), response, "10.0.0.2:8081"))
        (sent,) = self.nodes.requests
        self.assertEqual(sent.url, f"http://{OTHER}/aimirror-peer")
        text = sent.headers.get(questions.QUESTION) or ""
        question = questions.unpacked(text, KEYS, self.clock.seconds())
        self.assertEqual(None if question is None else question.headers.get("accept"), "x")

    def test_have(self) -> None:
        """Bytes that we have are not sent: the entry alone comes."""
        response = self.reply(204, self.entry(blob=64 * "a"))
        told = self.ask(self.wanted(), 64 * "a")
        self.assertEqual(None if told is None else told.response, None)
        self.assertTrue(response.aborted)

    def test_not_asked(self) -> None:
        """Nothing private, nothing for another node, nothing that a rule keeps here."""
        wanted = self.wanted()
        for other in (
            self.wanted(scope="someone"),
            self.wanted(hop=True),
            self.wanted(rule={"tier": False}),
        ):
            self.assertIsNone(self.ask(other))
        self.assertEqual(self.nodes.requests, [])
        self.assertEqual(self.peers.owner(wanted), OTHER)

    def test_away(self) -> None:
        """One that does not answer is left out, and asked again after a while."""
        wanted = self.wanted()
        for _ in range(3):
            self.assertIsNone(self.ask(wanted))
        self.assertEqual(len(self.nodes.requests), 1)
        self.clock.advance(6)
        self.reply(200, self.entry())
        self.assertIsNotNone(self.ask(wanted))

    def test_unshared(self) -> None:
        """What the owner does not share is not asked for again at once; others of its are."""
        wanted = self.wanted()
        self.reply(404, None)
        for _ in range(3):
            self.assertIsNone(self.ask(wanted))
        self.assertEqual(len(self.nodes.requests), 1)
        self.clock.advance(UNSHARED_FOR + 1)
        self.ask(wanted)
        self.assertEqual(len(self.nodes.requests), 2)

    def test_not_believed(self) -> None:
        """An entry of another key, of somebody's own, or none, is no answer."""
        for bad in (self.entry(key="http://h/other"), self.entry(scope="s"), None):
            response = self.reply(200, bad)
            self.assertIsNone(self.ask(self.wanted()))
            self.assertTrue(response.aborted)
            self.clock.advance(UNSHARED_FOR + 1)
        self.nodes.answer = FakeResponse(200, (questions.ENTRY, json.dumps([1])))
        self.assertIsNone(self.ask(self.wanted()))

    def test_asking(self) -> None:
        """While we wait for another's word on a key we have none for others."""
        self.nodes.held = Deferred()
        asking = Deferred.fromCoroutine(self.peers.ask(self.wanted(), ""))
        self.assertTrue(self.peers.asking(URL))
        self.nodes.held.callback(self.reply(200, self.entry()))
        self.successResultOf(asking)
        self.assertFalse(self.peers.asking(URL))

    def test_name(self) -> None:
        """A name stands for its addresses, which are looked up again and again."""
        self.found = ["10.0.0.1", "10.0.0.2", "fd00::3"]
        peers = self.made(("dns://nodes:8081",))
        peers.start()
        self.assertEqual(peers.roster.members, {"10.0.0.1:8081", OTHER, "[fd00::3]:8081"})
        self.found = ["10.0.0.1"]
        self.clock.advance(RESOLVE_EVERY)
        self.assertEqual(peers.roster.members, {"10.0.0.1:8081"})
        self.found = OSError("no such name")
        self.clock.advance(RESOLVE_EVERY)
        self.assertEqual(peers.roster.members, {"10.0.0.1:8081"})
        peers.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
