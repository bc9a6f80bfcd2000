"""The forward proxy: what is served, passed through, and above all refused."""

from __future__ import annotations

import base64
from ipaddress import ip_address
from pathlib import Path

import bcrypt
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from aimirror.forward.policy import ForwardPolicy, HostPattern
from aimirror.forward.proxy import MAX_SEEN, Seen
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.rules import Rule
from aimirror.server.respond import serve
from aimirror.server.site import refuse_forward
from aimirror.server.users import Users
from tests.forward.support import ProxyCase

PYPI = Rule(
    name="index",
    upstreams=("https://pypi.example",),
    path_prefix="/simple",
    content_rewrite=ContentRewrite(targets=("https://files.example",)),
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nProxy-Authenticate: x\r\n\r\nhi"


def get(url: str, *fields: str, method: str = "GET", host: str = "x") -> str:
    return "\r\n".join([f"{method} {url} HTTP/1.1", f"Host: {host}", *fields, "", ""])


def connect(authority: str, *fields: str) -> str:
    return get(authority, *fields, method="CONNECT")


class RuleTests(ProxyCase):
    async def test_rule(self) -> None:
        """A URL of a rule's host is the rule's, with the mirror's key; Host does not count."""
        self.start(rules=(PYPI,))
        answer = await self.ask(get("http://PYPI.example/simple/a%2fb/?q=1", host="evil.example"))
        self.assertIn(b"X-Rule: index", answer)
        self.assertEqual(
            self.routed,
            [("http://pypi.example", "/simple/a%2fb/", "https://pypi.example/simple/a%2Fb/?q=1")],
        )

    async def test_itself(self) -> None:
        """A URL that names the mirror itself is an ordinary request, without a login."""
        self.start(own=frozenset({("mirror.lan", 80)}), users=object())
        for host in (f"127.0.0.1:{self.proxy}", f"localhost:{self.proxy}", "Mirror.lan"):
            self.assertIn(b"own /health", await self.ask(get(f"http://{host}/health")), host)

    async def test_passed_through(self) -> None:
        """Other hosts that policy allows are asked as they are; our hop is told, theirs is not."""
        self.start(allow=(f"127.0.0.1:{self.port}",))
        accepted = self.host.next()
        near = await self.client(
            get(
                f"http://127.0.0.1:{self.port}/a%2fb?x",
                "Proxy-Connection: keep-alive",
                "Proxy-Authorization: Basic c2VjcmV0",
                "Connection: X-Hop",
                "X-Hop: 1",
                "X-End: 2",
            )
        )
        far = await accepted
        await far.sees(b"\r\n\r\n")
        self.assertTrue(far.received.startswith(b"GET /a%2fb?x HTTP/1.1\r\n"))
        self.assertIn(b"Host: 127.0.0.1:%d\r\n" % self.port, far.received)
        for present, text in (
            (True, b"X-End: 2"),
            (True, b"Via: 1.1 aimirror"),
            (False, b"c2VjcmV0"),
            (False, b"Proxy-"),
            (False, b"X-Hop"),
        ):
            self.assertEqual(text in far.received, present, text)
        far.send(OK)
        await near.sees(b"hi")
        self.assertIn(b"X-Cache: PASS", near.received)
        self.assertNotIn(b"Proxy-Authenticate", near.received)

    async def test_upload(self) -> None:
        """The body of a request that is passed through goes along."""
        self.start(allow=(f"127.0.0.1:{self.port}",))
        accepted = self.host.next()
        near = await self.client(
            get(f"http://127.0.0.1:{self.port}/up", "Content-Length: 4", method="POST") + "body"
        )
        far = await accepted
        await far.sees(b"\r\n\r\nbody")
        far.send(OK)
        await near.sees(b"hi")


class OpenProxyTests(ProxyCase):
    """What an open proxy would do."""

    async def test_strangers(self) -> None:
        """Hosts that nothing names are 403, and are not even resolved."""
        self.start(rules=(PYPI,))
        for said in (
            connect("evil.example:443"),
            connect("evil.example:25"),
            connect("pypi.example:22"),
            connect("pypi.example.evil.example:443"),
            connect("127.0.0.1:443"),
            connect("[::1]:443"),
            connect("[::ffff:127.0.0.1]:443"),
            connect("169.254.169.254:443"),
            connect("10.0.0.1:443"),
            connect("2130706433:443"),
            connect("0x7f.1:443"),
            connect("localhost:443"),
            get("http://evil.example/"),
            get("http://169.254.169.254/latest/meta-data/"),
            get("http://127.0.0.1/"),
            get(f"http://127.0.0.1:{self.port}/"),
            get("https://evil.example/"),
        ):
            answer = await self.ask(said)
            self.assertTrue(answer.startswith(b"HTTP/1.1 403 "), (said, answer))
        self.assertEqual(self.asked, [])
        self.assertEqual(self.host.peers, [])

    async def test_rebinding(self) -> None:
        """A name that is allowed and resolves to an inner address is refused by that address."""
        everybody = ForwardPolicy(allow=(HostPattern("", True),), ports=frozenset({443, self.port}))
        self.start(policy=everybody)
        for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"):
            self.names["rebound.example"] = [ip_address(address)]
            for said in (
                connect(f"rebound.example:{self.port}"),
                get(f"http://rebound.example:{self.port}/"),
            ):
                answer = await self.ask(said)
                self.assertTrue(answer.startswith(b"HTTP/1.1 403 "), (said, answer))
                self.assertNotIn(address.encode(), answer)
        self.assertEqual(self.host.peers, [])

    async def test_resolved_once(self) -> None:
        """The address that was judged is the one that is dialled."""
        self.start(allow=(f"twice.example:{self.port}",))
        self.names["twice.example"] = [ip_address("127.0.0.1")]
        await self.tunnel(f"twice.example:{self.port}")
        self.assertEqual(self.asked, ["twice.example"])

    async def test_own_port(self) -> None:
        """No name leads a tunnel back to the proxy itself."""
        self.start(
            policy=ForwardPolicy(
                allow=(HostPattern("me.example"), HostPattern("127.0.0.1")),
                ports=frozenset(range(1, 65536)),
            )
        )
        self.names["me.example"] = [ip_address("127.0.0.1")]
        for host in ("me.example", "127.0.0.1"):
            answer = await self.ask(connect(f"{host}:{self.proxy}"))
            self.assertTrue(answer.startswith(b"HTTP/1.1 403 "), answer)
            self.assertIn(b"itself", answer)


class MalformedTests(ProxyCase):
    async def test_targets(self) -> None:
        """Targets that two readers could read in two ways are 400."""
        self.start(allow=("*",))
        for said in (
            connect("pypi.example"),
            connect("pypi.example:"),
            connect("pypi.example:0"),
            connect("pypi.example:99999"),
            connect(":443"),
            connect("http://pypi.example:443"),
            connect("user@pypi.example:443"),
            connect("pypi.example:443/path"),
            connect("a..b:443"),
            connect("[::1:443"),
            connect("a.example:443", "Content-Length: 5") + "GET /",
            connect("a.example:443", "Transfer-Encoding: chunked") + "0\r\n\r\n",
            get("http://user:pw@pypi.example/"),
            get("ftp://pypi.example/"),
            get("http://"),
            get("http://a.example:x/"),
            get("http://a.example/", "Content-Length: 1", "Transfer-Encoding: chunked"),
            get("http://a.example/", "Content-Length: 1", "Content-Length: 2"),
            get("http://a.example/", "X y: 1"),
            get("http://a.example/", " folded"),
            get("http://a.example/\x00"),
            get("http://a.example/").replace("Host: x\r\n", "Host: x\r\nHost: y\r\n"),
        ):
            answer = await self.ask(said)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), (said, answer))
        self.assertEqual(self.asked, [])

    async def test_dot_segments(self) -> None:
        """No URL leaves the path that a rule names."""
        self.start(rules=(PYPI,))
        for path in ("/simple/../x", "/simple/%2e%2e/x", "/simple/a\\b"):
            answer = await self.ask(get(f"http://pypi.example{path}"))
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)

    async def test_injected_lines(self) -> None:
        """An answer of a host cannot put lines of its own into ours, nor end it early."""
        self.start(allow=(f"127.0.0.1:{self.port}",))
        for answer in (
            b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        ):
            accepted = self.host.next()
            near = await self.client(get(f"http://127.0.0.1:{self.port}/"))
            far = await accepted
            await far.sees(b"\r\n\r\n")
            far.send(answer)
            await near.sees(b"HTTP/1.1 502 ")
            self.assertNotIn(b"Set-Cookie", near.received)

    async def test_disabled(self) -> None:
        """Without a forward proxy both are refused."""
        self.start()
        self.site._destinations = evolve(
            self.site._destinations, forward=lambda request: serve(request, refuse_forward)
        )
        self.assertIn(b"HTTP/1.1 501 ", await self.ask(connect("pypi.example:443")))
        self.assertIn(b"HTTP/1.1 400 ", await self.ask(get("http://pypi.example/")))


class LoginTests(ProxyCase):
    def users(self) -> Users:
        file = Path(self.mktemp())
        file.write_bytes(b"anna:" + bcrypt.hashpw(b"pw", bcrypt.gensalt(4)))
        return Users(file, lambda f, *a: succeed(f(*a)), reactor.seconds)

    async def test_logins(self) -> None:
        """Without the right login both ways are 407 with a challenge, and nothing is dialled."""
        self.start(rules=(PYPI,), users=self.users())
        wrong = "Proxy-Authorization: Basic " + base64.b64encode(b"anna:no").decode()
        right = "Proxy-Authorization: Basic " + base64.b64encode(b"anna:pw").decode()
        for fields in ((), (wrong,)):
            for said in (
                connect("pypi.example:443", *fields),
                get("http://pypi.example/simple/", *fields),
                connect("evil.example:443", *fields),
            ):
                answer = await self.ask(said)
                self.assertTrue(answer.startswith(b"HTTP/1.1 407 "), answer)
                self.assertIn(b"Proxy-Authenticate: Basic realm=", answer)
        self.assertEqual((self.asked, self.routed), ([], []))
        self.assertIn(b"rule", await self.ask(get("http://pypi.example/simple/", right)))
        self.assertIn(b"HTTP/1.1 403 ", await self.ask(connect("evil.example:443", right)))

    async def test_same_connection(self) -> None:
        """A client may log in on the connection on which it was refused."""
        self.start(allow=(f"127.0.0.1:{self.port}",), users=self.users())
        near = await self.client(connect(f"127.0.0.1:{self.port}"))
        await near.sees(b"407")
        await self.pause()
        near.send(
            connect(f"127.0.0.1:{self.port}", "Proxy-Authorization: Basic YW5uYTpwdw==").encode()
        )
        await near.sees(b"200 Connection established")


class SeenTests(SynchronousTestCase):
    def test_bounded(self) -> None:
        """The last hosts are kept, by name alone."""
        seen = Seen()
        for number in range(MAX_SEEN + 1):
            seen.note(f"https://h{number}.example:8443/x")
        seen.note("nonsense")
        self.assertEqual(len(seen.hosts), MAX_SEEN)
        self.assertNotIn("h0.example", seen.hosts)
        self.assertIn(f"h{MAX_SEEN}.example", seen.hosts)
