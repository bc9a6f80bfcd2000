"""Responses and redirects as the service sees them."""

from ipaddress import ip_network

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Egress, Outgoing, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstream, IUpstreamResponse, UpstreamError
from aimirror.upstream.client import DRAIN_SECONDS, MAX_DRAINED, Upstream, UpstreamResponse
from tests.upstream.network import TIMEOUTS, Network, Receiver, Upload, Wire, get

OK = b"HTTP/1.1 200 OK\r\n"
SECRET = Headers([("Authorization", "Bearer s"), ("Accept", "*/*")])


class UpstreamCase(SynchronousTestCase):
    def setUp(self) -> None:
        names = {"private": ["10.0.0.5"], "local": ["127.0.0.1"], "other": ["10.7.7.7"]}
        self.network = Network(names)
        self.upstream = Upstream(self.network.agents)

    def ask(self, outgoing: Outgoing | None = None, redirects: int = 0) -> Deferred[object]:
        return self.upstream.request(outgoing or get(), redirects=redirects)

    def answer(self, data: bytes, outgoing: Outgoing | None = None) -> UpstreamResponse:
        asking = self.ask(outgoing)
        self.wire = self.network.accept()
        self.wire.receive(data)
        return self.successResultOf(asking)

    def reason(self, asking: Deferred[object]) -> Reason:
        self.network.settle()
        return self.failureResultOf(asking, UpstreamError).value.reason


class ResponseTests(UpstreamCase):
    def test_interfaces(self) -> None:
        """The real ones provide what the rest of the program relies on."""
        verifyObject(IUpstream, self.upstream)
        verifyObject(IUpstreamResponse, self.answer(OK + b"\r\n"))

    def test_header(self) -> None:
        """Status, phrase and end-to-end fields come as they were sent, with the length."""
        response = self.answer(
            b"HTTP/1.1 404 Gone fishing\r\ncontent-length: 3\r\nX: 1\r\nKeep-Alive: x\r\n"
            b"Connection: Y\r\nY: hop\r\nx: 2\r\n\r\nabc"
        )
        self.assertEqual((response.status, response.phrase), (404, "Gone fishing"))
        self.assertEqual(response.headers.items, (("content-length", "3"), ("X", "1"), ("x", "2")))
        self.assertEqual((response.length, response.url, response.hops), (3, get().url, ()))

    def test_ends(self) -> None:
        """How a body ends decides whether it is complete; each end is told once."""
        sized, chunked = b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"
        for fields, body, close, framed, reason in (
            (sized, b"hello", None, True, None),
            (sized, b"hello!", None, True, None),
            (sized, b"hell", Exception, True, Reason.SHORT),
            (sized, b"", Exception, True, Reason.SHORT),
            (sized, b"hell", ConnectionLost, True, Reason.RESET),
            (chunked, b"5\r\nhello\r\n0\r\n\r\n", None, True, None),
            (chunked, b"5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", None, True, None),
            (chunked, b"5\r\nhello\r\n", Exception, True, Reason.SHORT),
            (chunked, b"5\r\nhello\r\n", ConnectionLost, True, Reason.RESET),
            (chunked, b"5\r\nhelloXX", None, True, Reason.PROTOCOL),
            (chunked, b"zz\r\n", None, True, Reason.PROTOCOL),
            (b"\r\n", b"hello", Exception, False, None),
            (b"\r\n", b"hello", ConnectionLost, False, Reason.RESET),
            (b"Content-Length: 0\r\n\r\n", b"", None, True, None),
        ):
            self.setUp()
            response = self.answer(OK + fields)
            receiver = Receiver(response)
            self.wire.receive(body)
            if close is not None:
                self.wire.end(None if close is Exception else close())
            self.network.settle()
            self.assertEqual(receiver.reasons, [reason], (fields, body))
            self.assertEqual(response.framed, framed)
            self.network.agents.close()
            self.network.settle()
            self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_malformed_at_once(self) -> None:
        """A body that is malformed, and comes with its header, keeps nobody waiting."""
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
        for body in (
            b"zz\r\n",
            b"5  \r\nhello\r\n0\r\n\r\n",
            b"5\n" + b"x" * 2000,
            b"5\r\nhelloXX",
        ):
            self.setUp()
            receiver = Receiver(self.answer(chunked + body))
            self.network.settle()
            self.assertEqual(receiver.reasons, [Reason.PROTOCOL], body)

    def test_old_upstream(self) -> None:
        """HTTP/1.0 without length runs to the close."""
        receiver = Receiver(self.answer(b"HTTP/1.0 200 OK\r\n\r\nhel"))
        self.wire.receive(b"lo")
        self.wire.end()
        self.assertEqual((receiver.body, receiver.reasons), (b"hello", [None]))

    def test_header_only(self) -> None:
        """HEAD, 204 and 304 end at once, whatever length they tell, and keep the connection.

        A 204 may tell none: what comes after it would pass for the next answer.
        """
        for method, status, dialled in (
            ("HEAD", b"200 OK", 1),
            ("GET", b"204 No", 2),
            ("GET", b"304 Same", 1),
        ):
            self.setUp()
            response = self.answer(
                b"HTTP/1.1 " + status + b"\r\nContent-Length: 99\r\n\r\n", get(method=method)
            )
            self.assertEqual(Receiver(response).reasons, [None])
            self.assertEqual((response.length, response.framed), (99, True))
            self.ask()
            self.assertEqual(len(self.network.dialled), dialled)

    def test_refused_headers(self) -> None:
        """A header that leaves the body's length in doubt fails the request, as no HTTP does."""
        for data in (
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
        ):
            self.setUp()
            asking = self.ask()
            self.network.accept().receive(data)
            self.assertIs(self.reason(asking), Reason.PROTOCOL)

    def test_pause(self) -> None:
        """A paused response reads nothing, is not called silent, and goes on when resumed."""
        response = self.answer(OK + b"Content-Length: 10\r\n\r\nab")
        receiver = Receiver(response)
        response.pause()
        self.wire.receive(b"cdefghij")
        self.network.reactor.advance(TIMEOUTS.silence * 3)
        self.assertEqual((receiver.body, receiver.ends), (b"ab", []))
        response.resume()
        self.network.settle()
        self.assertEqual((receiver.body, receiver.reasons), (b"abcdefghij", [None]))

    def test_silence(self) -> None:
        """Silence in the body, counted from the last byte, ends it as SILENT."""
        receiver = Receiver(self.answer(OK + b"Content-Length: 10\r\n\r\n"))
        for _ in range(3):
            self.network.reactor.advance(TIMEOUTS.silence - 1)
            self.wire.receive(b"a")
        self.assertEqual(receiver.ends, [])
        self.network.reactor.advance(TIMEOUTS.silence)
        self.network.settle()
        self.assertEqual((receiver.reasons, self.wire.closed), ([Reason.SILENT], True))

    def test_abort(self) -> None:
        """Abort closes the socket at once; a running body ends as CANCELLED."""
        response = self.answer(OK + b"Content-Length: 10\r\n\r\nab")
        receiver = Receiver(response)
        response.abort()
        self.assertTrue(self.wire.aborted)
        self.network.settle()
        self.assertEqual(receiver.reasons, [Reason.CANCELLED])

    def test_abort_undelivered(self) -> None:
        """A response that nobody took can be aborted, and closes by itself when forgotten."""
        response = self.answer(OK + b"Content-Length: 10\r\n\r\nab")
        response.abort()
        self.network.settle()
        self.assertTrue(self.wire.closed)
        self.assertEqual(Receiver(response).reasons, [Reason.CANCELLED])
        self.setUp()
        self.answer(OK + b"Content-Length: 10\r\n\r\nab")
        self.network.reactor.advance(TIMEOUTS.silence)
        self.network.settle()
        self.assertTrue(self.wire.closed)

    def test_late_abort(self) -> None:
        """After its end a response can't touch the connection, which serves another by then."""
        response = self.answer(OK + b"Content-Length: 2\r\n\r\nab")
        Receiver(response)
        self.ask()
        response.pause()
        response.abort()
        self.assertFalse(self.wire.aborted)
        self.assertEqual(self.wire.producerState, "producing")

    def test_ask_again_at_the_end(self) -> None:
        """A request made while ``finished`` is called, on the same connection, is read in full."""
        response = self.answer(OK + b"Content-Length: 100000\r\n\r\n")
        receiver = Receiver()
        again: list[Deferred[object]] = []
        receiver.finished = lambda _error: again.append(self.ask())  # type: ignore[method-assign]
        response.deliver(receiver)
        self.wire.receive(bytes(100_000))
        self.wire.receive(OK + b"Content-Length: 2\r\n\r\nab")
        self.assertEqual(Receiver(self.successResultOf(again[0])).body, b"ab")

    def test_connect_faults(self) -> None:
        """Names, refusals and addresses out of reach each have their Reason."""
        self.network.names = {"none": [], "meta": ["169.254.169.254"]}
        self.assertIs(self.reason(self.ask(get("http://none/"))), Reason.RESOLVE)
        self.assertIs(self.reason(self.ask(get("http://meta/"))), Reason.FORBIDDEN)
        asking = self.ask()
        self.network.refuse()
        self.assertIs(self.reason(asking), Reason.CONNECT)
        asking = self.ask()
        asking.cancel()
        self.assertIs(self.reason(asking), Reason.CANCELLED)


class RedirectTests(UpstreamCase):
    def move(self, wire: Wire, location: str, body: bytes = b"moved", size: int = 0) -> None:
        wire.receive(
            b"HTTP/1.1 302 Found\r\nLocation: %b\r\nX-Repo-Commit: c0ffee\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (location.encode(), size or len(body), body)
        )

    def test_followed(self) -> None:
        """A redirect is followed to its end; the hops tell what each answered."""
        asking = self.ask(get(headers=SECRET), redirects=3)
        first = self.network.accept()
        self.move(first, "/b%2Fc?")
        self.assertIn(b"GET /b%2Fc? HTTP/1.1\r\n", first.taken())
        self.move(first, "http://two.example/d")
        last = self.network.accept()
        self.assertNotIn(b"Authorization", last.value())
        last.receive(OK + b"Content-Length: 0\r\n\r\n")
        response = self.successResultOf(asking)
        self.assertEqual(response.url, "http://two.example/d")
        self.assertEqual(
            [(hop.status, hop.url, hop.headers.get("x-repo-commit")) for hop in response.hops],
            [(302, get().url, "c0ffee"), (302, "http://one.example/b%2Fc?", "c0ffee")],
        )

    def test_told(self) -> None:
        """Whoever wants to know hears of each redirect that is followed, and of no other."""
        told: list[str] = []
        self.upstream = Upstream(self.network.agents, redirected=told.append)
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://two.example/x\r\nContent-Length: 0\r\n\r\n"
        self.ask(redirects=1)
        self.network.accept().receive(moved)
        self.assertEqual(told, ["http://two.example/x"])
        passed = self.ask(get("http://three.example/"))
        self.network.accept().receive(moved)
        self.assertEqual(self.successResultOf(passed).status, 302)
        self.assertEqual(len(told), 1)

    def test_own_addresses(self) -> None:
        """No redirect leads back to the mirror: its own machine may do more than its clients."""
        self.upstream = Upstream(
            self.network.agents, is_own=lambda url: url.startswith("http://two.example:8081/")
        )
        asking = self.ask(redirects=3)
        self.move(self.network.accept(), "http://two.example:8081/aimirror/api/overview")
        self.assertIs(self.reason(asking), Reason.REDIRECTS)
        self.assertEqual(len(self.network.dialled), 1)

    def test_name(self) -> None:
        """Each request says who has passed it on, after those who did before."""
        self.upstream = Upstream(self.network.agents, name="aimirror-1")
        for before in ((), (("CDN-Loop", "other"),)):
            self.ask(get(headers=Headers(before)))
            sent = self.network.accept().taken().decode().split("\r\n")
            told = [line.partition(": ")[2] for line in sent if line.lower().startswith("cdn-loop")]
            self.assertEqual(told, [*(value for _, value in before), "aimirror-1"])

    def test_not_followed(self) -> None:
        """With no redirects allowed, with a body, or for another method, the 302 is the answer."""
        for asking in (
            lambda: self.ask(),
            lambda: self.ask(get(method="POST"), redirects=3),
            lambda: self.upstream.request(get(), Upload(0), redirects=3),
        ):
            self.setUp()
            asked = asking()
            self.move(self.network.accept(), "/b")
            if not asked.called:  # the upload has not ended
                continue
            self.assertEqual(self.successResultOf(asked).status, 302)
            self.assertEqual(len(self.network.dialled), 1)

    def test_bad_redirects(self) -> None:
        """Loops, other schemes and more redirects than allowed are REDIRECTS; all is closed."""
        for location in (get().url, "ftp://h/", "http://u:p@h/"):
            self.setUp()
            asking = self.ask(redirects=1)
            wire = self.network.accept()
            self.move(wire, location)
            self.assertIs(self.reason(asking), Reason.REDIRECTS)
        self.setUp()
        asking = self.ask(redirects=1)
        wire = self.network.accept()
        self.move(wire, "/b")
        self.move(wire, "/c")
        self.assertIs(self.reason(asking), Reason.REDIRECTS)

    def test_large_redirect_body(self) -> None:
        """A redirect's body is read to keep the connection, but not a long one."""
        self.ask(redirects=1)
        wire = self.network.accept()
        self.move(wire, "http://two.example/", b"", MAX_DRAINED + 2)
        wire.receive(bytes(MAX_DRAINED + 1))
        self.network.settle()
        self.assertTrue(wire.closed)

    def test_reach(self) -> None:
        """A redirect reaches the public, the first upstream's zone and what is listed."""
        for first, location, allowed in (
            ("http://one.example/", "http://local/", False),
            ("http://one.example/", "http://private/", False),
            ("http://one.example/", "http://169.254.169.254/", False),
            ("http://one.example/", "http://other/", True),
            ("http://private/", "http://local/", False),
            ("http://private/", "http://other/", True),
            ("http://local/", "http://local:81/", True),
            ("http://local/", "http://private/", False),
            ("http://local/", "http://two.example/", True),
        ):
            self.setUp()
            egress = Egress(reach=evolve(ANYWHERE, networks=(ip_network("10.7.0.0/16"),)))
            asking = self.ask(get(first, egress=egress), redirects=1)
            self.move(self.network.accept(), location)
            if allowed:
                self.assertEqual(len(self.network.dialled), 2, (first, location))
            else:
                self.assertIs(self.reason(asking), Reason.FORBIDDEN, (first, location))

    def test_reach_of_the_final_url(self) -> None:
        """Later requests to the final URL get the reach that the redirect had."""
        asking = self.ask(get("http://local/"), redirects=1)
        self.move(self.network.accept(), "http://local:81/")
        self.network.accept().receive(OK + b"Content-Length: 0\r\n\r\n")
        reach = self.successResultOf(asking).reach
        self.assertEqual(reach.zones, {Zone.PUBLIC, Zone.LOOPBACK})
        self.assertEqual(self.answer(OK + b"\r\n").reach, ANYWHERE)

    def test_slow_redirect_body(self) -> None:
        """A redirect within one origin waits a moment for its connection, then takes another."""
        self.ask(redirects=1)
        wire = self.network.accept()
        wire.receive(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nmov")
        self.assertEqual(len(self.network.dialled), 1)
        self.network.reactor.advance(DRAIN_SECONDS)
        self.network.settle()
        self.assertTrue(wire.closed)
        self.assertEqual(len(self.network.dialled), 2)

    def test_cancel_while_draining(self) -> None:
        """Cancelling in that moment closes the connection."""
        asking = self.ask(redirects=1)
        wire = self.network.accept()
        wire.receive(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nmov")
        asking.cancel()
        self.network.settle()
        self.failureResultOf(asking)
        self.assertTrue(wire.closed)

    def test_cancel_at_a_later_hop(self) -> None:
        """Cancelling closes the connection that the request has come to."""
        asking = self.ask(redirects=1)
        self.move(self.network.accept(), "http://two.example/")
        last = self.network.accept()
        asking.cancel()
        self.assertIs(self.reason(asking), Reason.CANCELLED)
        self.assertTrue(last.closed)
