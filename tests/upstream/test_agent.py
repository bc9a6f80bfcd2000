"""Single requests: what goes out to the letter, which connection carries it."""

import sys
from types import FrameType
from unittest import mock

import treq.client
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers as WireHeaders

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Egress
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.upstream.agent import MOST_ROUTES
from aimirror.upstream.pool import IDLE_SECONDS, Pool
from tests.upstream.network import TIMEOUTS, Network, Upload, Wire, get

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: Functions from a request on a connection that is kept to the end of its answer.
MOST_CALLS = 178
PROXIED = Egress("http://u:secret@10.9.9.9:3128", ANYWHERE)


class SendTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.agents = self.network.agents

    def reason(self, sending: object) -> Reason:
        return self.failureResultOf(sending, UpstreamError).value.reason

    def serve(self, url: str = "http://one.example/file", **changes: object) -> Wire:
        """One request on a new connection, answered."""
        sending = self.agents.send(get(url, **changes))
        wire = self.network.accept()
        wire.receive(EMPTY)
        self.successResultOf(sending)
        return wire

    def test_target_to_the_letter(self) -> None:
        """Path and query go out as they are; a fragment does not go out."""
        for path in ("/a%2Fb%7E+?a=b&a=c", "/a?", "/;", "/a;b?", "//x/../y", "/[x]?q=[1]|"):
            wire = self.serve(f"http://one.example{path}#f", egress=Egress())
            self.assertEqual(wire.value().split(b"\r\n")[0], f"GET {path} HTTP/1.1".encode())
            self.setUp()

    def test_fields(self) -> None:
        """End-to-end fields go out as given, repeated ones on their lines; Host is ours."""
        fields = [
            ("Host", "evil"),
            ("Accept", "a/b"),
            ("X", "caf\xe9"),
            ("Accept", "c/d"),
            ("Connection", "close, Y"),
            ("Y", "hop"),
            ("TE", "trailers"),
            ("Proxy-Authorization", "Basic x"),
            ("Content-Length", "5"),
            ("Expect", "100-continue"),
        ]
        wire = self.serve("http://one.example:81/", headers=Headers(fields))
        self.assertEqual(
            wire.value(),
            b"GET / HTTP/1.1\r\nHost: one.example:81\r\nAccept: a/b\r\nAccept: c/d\r\n"
            b"X: caf\xe9\r\n\r\n",
        )

    def test_injection(self) -> None:
        """Line breaks and NULs in method, URL, names and values are refused, unconnected."""
        for bad in (
            get("http://one.example/\r\nX: y"),
            get("http://one.example/a b"),
            get(headers=Headers([("A", "b\r\nX: y")])),
            get(headers=Headers([("A", "b\x00")])),
            get(headers=Headers([("A\r\nX", "b")])),
            get(headers=Headers([("A", "\u20ac")])),
            get(method="GET / HTTP/1.1\r\nX: y\r\n\r\nGET"),
        ):
            self.assertIs(self.reason(self.agents.send(bad)), Reason.PROTOCOL)
        self.assertEqual(self.network.dialled, [])

    def test_reuse(self) -> None:
        """A second request to the same origin takes the idle connection, another one does not."""
        wire = self.serve()
        wire.taken()
        self.agents.send(get("http://one.example/other"))
        self.assertIn(b"GET /other ", wire.taken())
        self.agents.send(get("http://two.example/"))
        self.assertEqual(len(self.network.dialled), 2)

    def test_what_each_costs(self) -> None:
        """A request to a host that was asked before crosses few functions."""
        egress = Egress(reach=ANYWHERE)
        wire = self.serve(egress=egress)
        again = get("http://one.example/other", egress=egress)
        seen: list[str] = []

        def count(frame: FrameType, event: str, _: object) -> None:
            if event == "call":
                seen.append(frame.f_code.co_qualname)

        sys.setprofile(count)
        try:
            sending = self.agents.send(again)
            wire.receive(EMPTY)
        finally:
            sys.setprofile(None)
        self.successResultOf(sending)
        self.assertLessEqual(len(seen), MOST_CALLS, seen)

    def test_not_kept(self) -> None:
        """An answer is whole though its connection can't be kept, and is closed."""
        with mock.patch.object(Pool, "_putConnection", side_effect=ValueError):
            wire = self.serve()
        self.network.settle()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertTrue(wire.closed)

    def test_ways_are_remembered(self) -> None:
        """Each egress has its own way to a host, of which a bounded number is held ready."""
        wire = self.serve()
        for number in range(MOST_ROUTES + 2):
            sending = self.agents.send(get(egress=Egress(no_proxy=(f"{number}.example",))))
            wire.receive(EMPTY)
            self.successResultOf(sending)
        self.assertEqual(len(self.agents._routes), MOST_ROUTES)

    def test_no_reuse_out_of_reach(self) -> None:
        """An idle connection to an address beyond the request's reach is closed, not used."""
        self.network.names = {"one.example": ["127.0.0.1"]}
        wire = self.serve()
        self.assertIs(self.reason(self.agents.send(get(egress=Egress()))), Reason.FORBIDDEN)
        self.assertTrue(wire.aborted)

    def test_idle_ones_close(self) -> None:
        """An idle connection is closed after IDLE_SECONDS, or by ``close``."""
        wire = self.serve()
        self.network.reactor.advance(IDLE_SECONDS)
        self.network.settle()
        self.assertTrue(wire.closed)
        wire = self.serve()
        closing = self.agents.close()
        self.network.settle()
        self.successResultOf(closing)
        self.assertTrue(wire.closed)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_bounded_idle(self) -> None:
        """No more than ``persistent`` idle connections to a host are kept; 0 keeps none."""
        for kept in (2, 0):
            self.network = Network(persistent=kept)
            for _ in range(3):
                self.network.agents.send(get())
            wires = [self.network.accept(place) for place in range(3)]
            for wire in wires:
                self.assertEqual(b"Connection: close\r\n" in wire.value(), not kept)
                wire.receive(EMPTY)
            self.network.settle()
            self.assertEqual([wire.closed for wire in wires].count(False), kept)

    def test_retried_once(self) -> None:
        """A GET that a kept-alive connection loses is sent again, on a new one, once."""
        for how in (ConnectionDone(), ConnectionLost()):
            self.setUp()
            old = self.serve()
            sending = self.agents.send(get("http://one.example/again"))
            old.end(how)
            new = self.network.accept()
            self.assertIn(b"GET /again ", new.value())
            new.end(how)
            self.assertIs(self.reason(sending), Reason.RESET)
            self.assertEqual(len(self.network.dialled), 2)

    def test_not_retried(self) -> None:
        """On a new connection, after a byte, after silence or cancelling nothing is repeated."""
        sending = self.agents.send(get())
        self.network.accept().end()
        self.assertIs(self.reason(sending), Reason.RESET)
        for act, reason in (
            (lambda wire, _: (wire.receive(b"HTTP"), wire.end()), Reason.RESET),
            (lambda *_: self.network.reactor.advance(TIMEOUTS.header), Reason.SILENT),
            (lambda _, sending: sending.cancel(), Reason.CANCELLED),
        ):
            self.setUp()
            wire = self.serve()
            sending = self.agents.send(get())
            act(wire, sending)
            self.network.settle()
            self.assertIs(self.reason(sending), reason)
            self.assertEqual((len(self.network.dialled), wire.closed), (1, True))

    def test_unrepeatable(self) -> None:
        """A request that can't be repeated never takes a connection that may be dead."""
        self.serve()
        self.agents.send(get(method="DELETE"))
        self.agents.send(get(method="GET"), Upload(3))
        self.assertEqual(len(self.network.dialled), 3)

    def test_header_time_out(self) -> None:
        """Without a whole header in time it is SILENT and the socket closed."""
        sending = self.agents.send(get())
        wire = self.network.accept()
        wire.receive(b"HTTP/1.1 200 OK\r\n")
        self.network.reactor.advance(TIMEOUTS.header - 1)
        self.assertNoResult(sending)
        self.network.reactor.advance(1)
        self.network.settle()
        self.assertIs(self.reason(sending), Reason.SILENT)
        self.assertTrue(wire.closed)

    def test_cancel_while_connecting(self) -> None:
        """Cancelling stops the attempt."""
        sending = self.agents.send(get())
        sending.cancel()
        self.assertIs(self.reason(sending), Reason.CANCELLED)
        self.assertTrue(self.network.reactor.connectors[0].stoppedConnecting)

    def test_absolute_form(self) -> None:
        """An http target goes to the proxy as a whole URL with the proxy's credentials."""
        sending = self.agents.send(get("http://one.example/a?", egress=PROXIED))
        wire = self.network.accept()
        self.assertTrue(wire.value().startswith(b"GET http://one.example/a? HTTP/1.1\r\n"))
        self.assertIn(b"\r\nHost: one.example\r\n", wire.value())
        self.assertIn(b"\r\nProxy-Authorization: Basic dTpzZWNyZXQ=\r\n", wire.value())
        wanted = b"Proxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
        wire.receive(b"HTTP/1.1 407 Auth\r\n" + wanted)
        error = self.failureResultOf(sending, UpstreamError).value
        self.assertIs(error.reason, Reason.CONNECT)
        self.assertIn("407: it wants NTLM: let px (or cntlm, for NTLM) log in", error.detail)
        self.assertNotIn("secret", str(error))


class UploadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()

    def send(self, upload: Upload) -> Wire:
        self.sending = self.network.agents.send(get(method="PUT"), upload)
        return self.network.accept()

    def test_framing(self) -> None:
        """A body goes out with its length, or chunked where that is unknown."""
        for upload, wanted in (
            (Upload(3), b"Content-Length: 3\r\n"),
            (Upload(), b"Transfer-Encoding: chunked\r\n"),
        ):
            wire = self.send(upload)
            self.assertIn(wanted, wire.taken())
            upload.write(b"abc")
            upload.done.callback(None)
            body = b"abc" if upload.length == 3 else b"3\r\nabc\r\n0\r\n\r\n"
            self.assertEqual(wire.taken(), body)
            wire.receive(EMPTY)
            self.assertEqual(self.successResultOf(self.sending).code, 200)

    def test_clock_restarts(self) -> None:
        """The header time-out counts from the last byte that moved."""
        upload = Upload()
        self.send(upload)
        for _ in range(3):
            self.network.reactor.advance(TIMEOUTS.header - 1)
            upload.write(b"abc")
        self.assertNoResult(self.sending)
        self.network.reactor.advance(TIMEOUTS.header)
        self.network.settle()
        error = self.failureResultOf(self.sending, UpstreamError).value
        self.assertIs(error.reason, Reason.SILENT)
        self.assertEqual(upload.calls, ["stop"])

    def test_early_answer(self) -> None:
        """An answer in the middle of the upload is passed on, the rest of the body stopped."""
        upload = Upload()
        wire = self.send(upload)
        upload.write(b"abc")
        wire.receive(b"HTTP/1.1 413 Big\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(self.successResultOf(self.sending).code, 413)
        self.network.settle()
        self.assertEqual((upload.calls, wire.closed), (["stop"], True))

    def test_early_answer_stops_at_once(self) -> None:
        """The body has heard of an early answer before whoever asked: it need not break off."""
        upload = Upload()
        wire = self.send(upload)
        calls: list[list[str]] = []
        self.sending.addCallback(lambda _: calls.append(upload.calls.copy()))
        wire.receive(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(calls, [["stop"]])

    def test_broken_body(self) -> None:
        """A body that fails closes the connection: half a body must not look whole."""
        upload = Upload()
        wire = self.send(upload)
        upload.done.errback(ValueError())
        self.network.settle()
        self.failureResultOf(self.sending, UpstreamError)
        self.assertTrue(wire.closed)

    def test_cancel(self) -> None:
        """Cancelling in the middle of the upload stops the body and closes the socket."""
        upload = Upload(10)
        wire = self.send(upload)
        self.sending.cancel()
        self.network.settle()
        error = self.failureResultOf(self.sending, UpstreamError).value
        self.assertIs(error.reason, Reason.CANCELLED)
        self.assertEqual((upload.calls, wire.closed), (["stop"], True))


class AgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()

    def test_iagent(self) -> None:
        """The agent sends the URL as it got it, with the fields it got."""
        agent = self.network.agents.agent(Egress(), TIMEOUTS)
        agent.request(b"GET", b"http://one.example/a?", WireHeaders({"X": ["1", "2"]}))
        self.assertEqual(
            self.network.accept().value(),
            b"GET /a? HTTP/1.1\r\nHost: one.example\r\nX: 1\r\nX: 2\r\n\r\n",
        )

    def test_below_treq(self) -> None:
        """treq can use the agent; a body that falls silent fails and frees its socket."""
        client = treq.client.HTTPClient(self.network.agents.agent(Egress(), TIMEOUTS))
        asking = client.get("http://one.example/a", unbuffered=True, reactor=self.network.reactor)
        wire = self.network.accept()
        wire.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        taken: list[bytes] = []
        collecting = self.successResultOf(asking).collect(taken.append)
        self.assertEqual(taken, [b"abc"])
        self.network.reactor.advance(TIMEOUTS.silence)
        self.network.settle()
        error = self.failureResultOf(collecting, UpstreamError).value
        self.assertEqual((error.reason, wire.closed), (Reason.SILENT, True))


class HangingTests(SynchronousTestCase):
    """A host that answers one connection and leaves others unanswered."""

    def setUp(self) -> None:
        self.network = Network(limit=8)
        self.agents = self.network.agents
        first = self.agents.send(get("http://one.example/first"))
        self.wire = self.network.accept()
        self.wire.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        self.reply = self.successResultOf(first)

    def ask(self, *paths: str, method: str = "GET") -> list[object]:
        return [self.agents.send(get(f"http://one.example/{p}", method=method)) for p in paths]

    def wait(self, seconds: float = 4.0) -> None:
        self.network.reactor.pump([0.1] * round(10 * seconds))

    def assertAnsweredByTheFirst(self, asked: list[object]) -> None:
        """Once the first connection is idle it serves all, one after the other."""
        self.reply.deliverBody(Protocol())
        self.wire.receive(b"hello")
        for each in asked:
            self.wait(0.1)
            self.wire.receive(EMPTY)
            self.successResultOf(each)

    def test_never_answers(self) -> None:
        """Requests that hang are asked again by the connection that is answered."""
        asked = self.ask("a", "b", "c")
        wires = [self.network.accept(n) for n in (1, 2, 3)]
        self.wait()
        self.assertTrue(all(wire.aborted for wire in wires))
        self.assertAnsweredByTheFirst(asked)
        self.assertEqual(len(self.network.dialled), 4)

    def test_never_connects(self) -> None:
        """It is the same where no connection comes about; HEAD is as good as GET."""
        asked = self.ask("a", "b", method="HEAD")
        self.wait()
        self.assertAnsweredByTheFirst(asked)

    def test_cancelled(self) -> None:
        """Who leaves meanwhile is not asked for again."""
        for each in self.ask("a", "b"):
            each.addErrback(lambda _: None)
            each.cancel()
        self.wait()
        self.assertAnsweredByTheFirst([])
        self.wait(1)
        self.assertEqual(self.wire.taken().count(b"GET"), 1)

    def test_not_twice(self) -> None:
        """What changes something is not asked twice, and waits for its answer."""
        posts = self.ask("a", "b", method="POST")
        wires = [self.network.accept(n) for n in (1, 2)]
        self.wait(20)
        for post, wire in zip(posts, wires, strict=True):
            wire.receive(EMPTY)
            self.successResultOf(post)

    def test_slow(self) -> None:
        """Slow work is asked for once more, then waited for; the next time it is not repeated."""
        asked = self.ask("a", "b")
        self.wait()
        self.assertAnsweredByTheFirst([])
        self.wait()
        self.assertEqual(self.wire.taken().count(b"GET"), 2)
        again = self.network.accept()  # for the second, as the host bears what it did
        asked += self.ask("c", "d")
        wires = [self.wire, again, self.network.accept(-2), self.network.accept()]
        self.wait(8)
        for each, wire in zip(asked, wires, strict=True):
            wire.receive(EMPTY)
            self.successResultOf(each)
        self.assertEqual(len(self.network.dialled), 6)
