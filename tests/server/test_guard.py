"""Who may ask: at the connection, for a proxy's clients, after a login."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.access import Limits, Networks
from aimirror.server.answers import Answer
from aimirror.server.guard import Guard
from aimirror.server.login import Login
from aimirror.server.request import MirrorRequest
from aimirror.server.tally import Tally
from tests.server.support import GET, Connection, answer, clock_at_now, connect

#: Where the support's client comes from.
PEER = ip_network("192.0.2.7")
BASIC = b"Authorization: Basic cTpx\r\n"


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tally = Tally()
        self.clock = clock_at_now()

    def connected(self, *, rate: float = 0.0, proxies: Any = (), **lists: Any) -> Connection:
        made = connect(clock=self.clock)
        networks = Networks(**lists)
        made.site.guard = Guard(networks, rate, proxies, self.tally, self.clock.seconds)
        return made

    def test_denied(self) -> None:
        """A network that is not served gets 403 for each request, and is counted."""
        client = self.connected(deny=(PEER,))
        client.send(GET)
        status, _, body = client.answer()
        self.assertEqual((status, self.tally.refused), (403, {"network": 1}))
        self.assertIn(b"network", body)

    def test_denied_repeat(self) -> None:
        """What is memoised is refused like all else once a client is denied."""
        page = answer(memo_until=2e9)

        async def handler(_: MirrorRequest) -> Answer:
            return page

        client = connect(handler, clock=self.clock)
        client.send(GET)
        self.assertEqual(len(client.site.memo), 1)
        networks = Networks(deny=(PEER,))
        client.site.guard = Guard(networks, 0, (), self.tally, self.clock.seconds)
        client.send(GET)
        self.assertEqual([status for status, _, _ in client.answers()], [200, 403])

    def test_repeat_of_a_proxy(self) -> None:
        """A proxy that asks for itself is judged by its own address, repeats included."""
        page = answer(memo_until=2e9)

        async def handler(_: MirrorRequest) -> Answer:
            return page

        client = connect(handler, clock=self.clock)
        client.send(GET * 3)  # known by its like, then to the letter
        networks = Networks(deny=(PEER,))
        client.site.guard = Guard(networks, 0, (PEER,), self.tally, self.clock.seconds)
        client.send(GET)
        self.assertEqual([status for status, _, _ in client.answers()], [200] * 3 + [403])

    def test_rate(self) -> None:
        """A client that asks too fast gets 429 and when to come back; then it is served again."""
        client = self.connected(rate=0.1)
        client.send(GET + GET)
        (first, _, _), (second, headers, _) = client.answers()
        self.assertEqual((first, second), (200, 429))
        self.clock.advance(float(headers.get("retry-after", "0")))
        again = connect(site=client.site)
        again.send(GET)
        self.assertEqual(again.answer()[0], 200)

    def test_behind_a_proxy(self) -> None:
        """Of a proxy's requests the client that it names counts; anyone else's word does not."""
        denied = ip_network("198.51.100.0/24")
        named = GET[:-2] + b"X-Forwarded-For: 10.0.0.1, 198.51.100.3\r\n\r\n"
        for proxies, wanted in (((PEER,), 403), ((), 200)):
            client = self.connected(deny=(denied,), proxies=proxies)
            client.send(named)
            self.assertEqual(client.answer()[0], wanted)

    def test_as_proxies_write(self) -> None:
        """An address with a port or brackets is read; a proxy's client without one is refused."""
        allowed = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
        for told, wanted in (
            ("10.0.0.1:5123", 200),
            ("[2001:db8::1]:80", 200),
            ("[2001:db8::1]", 200),
            ("198.51.100.3:5123", 403),
            ("[2001:db9::1]:80", 403),
            ("unknown", 403),
            ("unix", 403),
            ("10.0.0.1x", 403),
        ):
            client = self.connected(allow=allowed, proxies=(PEER,))
            client.send(GET[:-2] + f"X-Forwarded-For: 10.0.0.1, {told}\r\n\r\n".encode())
            self.assertEqual(client.answer()[0], wanted, told)


class ClientConnectionsTests(SynchronousTestCase):
    def test_limit(self) -> None:
        """Connections of one client beyond its limit are not taken until one has ended."""

        async def handler(_: MirrorRequest) -> Answer:
            return await Deferred()

        first = connect(handler, limits=Limits(client_connections=1))
        first.send(GET)
        address = first.wire.getPeer()
        self.assertIsNone(first.site.buildProtocol(address))
        first.wire.lose()
        self.assertEqual(first.site.clients, {})
        self.assertIsNotNone(first.site.buildProtocol(address))

    def test_sizes(self) -> None:
        """Heads and bodies beyond their limits are refused."""
        limits = Limits(head_size=100, body_size=10)
        for request, wanted in (
            (GET[:-2] + b"X: " + b"x" * 100 + b"\r\n\r\n", 431),
            (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", 413),
            (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789", 200),
        ):
            client = connect(limits=limits)
            client.send(request)
            self.assertEqual(client.answer()[0], wanted, request)


class Users:
    """Knows one login."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def admits(self, authorization: str | None, client: str = "") -> Deferred[bool]:
        self.asked.append(authorization)
        admitted: Deferred[bool] = Deferred()
        admitted.callback(authorization == "Basic cTpx")
        return admitted


class LoginTests(SynchronousTestCase):
    def asked(self, fields: bytes = b"") -> tuple[int, str]:
        """The status, and what the handler saw of Authorization."""
        seen: list[str] = []

        async def handler(request: MirrorRequest) -> Answer:
            seen.append(request.headers.get("authorization") or "")
            return answer()

        login = Login(Users(), Tally())  # type: ignore[arg-type]
        client = connect(login.guarding(handler))
        client.send(GET[:-2] + fields + b"\r\n")
        status, headers, _ = client.answer()
        if status == 401:
            self.assertIn("Basic", headers.get("www-authenticate", ""))
        return status, (seen or ["nothing"])[0]

    def test_login(self) -> None:
        """Without a right login there is a 401; a right one is not seen beyond the guard."""
        self.assertEqual(self.asked(), (401, "nothing"))
        self.assertEqual(self.asked(b"Authorization: Basic eDp4\r\n"), (401, "nothing"))
        self.assertEqual(self.asked(BASIC), (200, ""))

    def test_name(self) -> None:
        """The name of a login, and nothing else of it, is known to whoever logs the answer."""
        for fields, name in ((BASIC, "q"), (b"Proxy-" + BASIC, "q"), (b"", "")):
            names: list[str] = []

            async def handler(_: MirrorRequest) -> Answer:
                return answer()

            login = Login(Users(), Tally())  # type: ignore[arg-type]
            noted = login.guarding(handler)
            client = connect(noted, access=lambda record, *_, to=names: to.append(record.user))
            client.send(GET[:-2] + fields + b"\r\n")
            self.assertEqual(names, [name])

    def test_beside_a_token(self) -> None:
        """With a login in Proxy-Authorization, Authorization is the upstream's and stays."""
        fields = b"Proxy-" + BASIC + b"Authorization: Bearer hf_x\r\n"
        self.assertEqual(self.asked(fields), (200, "Bearer hf_x"))

    def test_without_users(self) -> None:
        """Where there are no users nothing is asked for, and the handler is the same."""

        async def handler(_: MirrorRequest) -> Answer:
            return answer()

        self.assertIs(Login(None, Tally()).guarding(handler), handler)
