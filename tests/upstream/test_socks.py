"""What is said to a SOCKS5 proxy, byte for byte (RFC 1928, RFC 1929)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.proxies import parse_proxy
from aimirror.upstream.socks import Socks5Crossing

BOUND = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


def crossing(host: str = "a.example", proxy: str = "socks5h://p") -> Socks5Crossing:
    return Socks5Crossing(host, 443, parse_proxy(proxy))


class CrossingTests(SynchronousTestCase):
    def said(self, made: Socks5Crossing, *answers: bytes) -> list[bytes]:
        return [made.receive(bytearray(answer)) for answer in answers]

    def test_without_login(self) -> None:
        """Greeting, request by name, reply."""
        made = crossing()
        self.assertEqual(made.begin(), b"\x05\x01\x00")
        self.assertEqual(
            self.said(made, b"\x05\x00", BOUND), [b"\x05\x01\x00\x03\x09a.example\x01\xbb", b""]
        )
        self.assertTrue(made.done)

    def test_with_login(self) -> None:
        """User and password where the proxy wants them."""
        made = crossing(proxy="socks5h://us:pass@p")
        self.assertEqual(made.begin(), b"\x05\x02\x02\x00")
        login, request = self.said(made, b"\x05\x02", b"\x01\x00")
        self.assertEqual(login, b"\x01\x02us\x04pass")
        self.assertTrue(request.startswith(b"\x05\x01\x00\x03"))

    def test_addresses(self) -> None:
        """Literal addresses go as such."""
        for host, wanted in (
            ("10.0.0.1", b"\x05\x01\x00\x01\x0a\x00\x00\x01\x01\xbb"),
            ("::1", b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x01\xbb"),
        ):
            self.assertEqual(self.said(crossing(host), b"\x05\x00"), [wanted])

    def test_refusals(self) -> None:
        """Each no has words, and none of them holds the password."""
        for answers, words in (
            ((b"\x05\xff",), "another login"),
            ((b"\x04\x00",), "does not speak"),
            ((b"\x05\x02", b"\x01\x01"), "refused user"),
            ((b"\x05\x00", b"\x05\x05\x00\x01\x00"), "connection refused"),
            ((b"\x05\x00", b"\x05\x63\x00\x01\x00"), "error 99"),
            ((b"\x05\x00", b"\x05\x00\x00\x07\x00"), "does not speak"),
            ((b"\x05\x00", b"HTTP/1.1 400"), "does not speak"),
        ):
            with self.assertRaises(UpstreamError) as caught:
                self.said(crossing(proxy="socks5://us:secret@p"), *answers)
            self.assertIs(caught.exception.reason, Reason.CONNECT)
            self.assertIn(words, str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))

    def test_login_too_long(self) -> None:
        """What RFC 1929 has no room for is refused here."""
        for login in ("u:", "u" * 256 + ":p"):
            with self.assertRaises(UpstreamError):
                self.said(crossing(proxy=f"socks5://{login}@p"), b"\x05\x02")

    @given(st.lists(st.integers(1, 5), max_size=12), st.sampled_from([1, 3, 4]))
    @settings(max_examples=50, deadline=None)
    def test_pieces(self, sizes: list[int], kind: int) -> None:
        """However the answers are cut, the tunnel opens and what follows is left in the buffer."""
        bound = {1: bytes(4), 3: b"\x05hello", 4: bytes(16)}[kind]
        stream = b"\x05\x02\x01\x00\x05\x00\x00" + bytes([kind]) + bound + b"\x00\x00early"
        made, buffer = crossing(proxy="socks5://u:p@p"), bytearray()
        for size in [*sizes, len(stream)]:
            buffer += stream[:size]
            stream = stream[size:]
            made.receive(buffer)
        self.assertTrue(made.done)
        self.assertEqual(bytes(buffer), b"early")
