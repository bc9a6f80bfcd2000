"""Heads are read strictly: what two readers could understand differently is refused."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server import head
from aimirror.server.head import BadRequest, Form, format_head, parse_head


def parsed(*lines: bytes) -> head.Head:
    return parse_head(b"\r\n".join(lines))


HOST = b"Host: mirror.test"

#: Lines of a head, the status it is refused with, and why it is dangerous or wrong.
REFUSED = (
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: 5", b"Content-Length: 6"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: 5", b"content-length: 5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: 5, 5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: +5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: -5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: 0x5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: 5_0"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length:"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: \xb2"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length: 9999999999999999999"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: gzip, chunked"), 501),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: chunked, identity"), 501),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: xchunked"), 501),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: identity"), 501),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: \x0bchunked"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"), 501),
    ((b"GET / HTTP/1.0", HOST, b"Transfer-Encoding: chunked"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Content-Length : 5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"Transfer-Encoding : chunked"), 400),
    ((b"GET / HTTP/1.1", HOST, b" X: folded"), 400),
    ((b"GET / HTTP/1.1", HOST, b"\tX: folded"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X: a", b" b"), 400),
    ((b"GET / HTTP/1.1", HOST, b": no name"), 400),
    ((b"GET / HTTP/1.1", HOST, b"no colon"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X: a\x00b"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X: a\rb"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X: a\nContent-Length: 5"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X: a\x7fb"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X\x00: a"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X(: a"), 400),
    ((b"GET / HTTP/1.1", HOST, b"X\xe9: a"), 400),
    ((b"GET / HTTP/1.1", HOST, HOST), 400),
    ((b"GET / HTTP/1.1", HOST, b"host: other.test"), 400),
    ((b"GET / HTTP/1.1",), 400),
    ((b"GET / HTTP/1.1", b"Host: a b"), 400),
    ((b"GET / HTTP/1.1", b"Host: user@mirror.test"), 400),
    ((b"GET / HTTP/1.1", b"Host: mirror.test/path"), 400),
    ((b"GET / HTTP/1.1", b'Host: m"><script>'), 400),
    ((b"GET / HTTP/1.1", b"Host: mirror.test:port"), 400),
    ((b"GET / HTTP/1.1", b"Host: a.test, b.test"), 400),
    ((b"GET  / HTTP/1.1", HOST), 400),
    ((b"GET /a b HTTP/1.1", HOST), 400),
    ((b"GET / HTTP/1.1 ", HOST), 400),
    ((b" GET / HTTP/1.1", HOST), 400),
    ((b"GET\t/ HTTP/1.1", HOST), 400),
    ((b"GET /", HOST), 400),
    ((b"G@T / HTTP/1.1", HOST), 400),
    ((b"GET /\x80 HTTP/1.1", HOST), 400),
    ((b"GET /a#b HTTP/1.1", HOST), 400),
    ((b"GET path HTTP/1.1", HOST), 400),
    ((b"GET * HTTP/1.1", HOST), 400),
    ((b"GET http:// HTTP/1.1", HOST), 400),
    ((b"CONNECT /path HTTP/1.1", HOST), 400),
    ((b"CONNECT http://a.test/ HTTP/1.1", HOST), 400),
    ((b"GET / http/1.1", HOST), 400),
    ((b"GET / HTTP/1.10", HOST), 400),
    ((b"GET / HTTP/2.0", HOST), 505),
    ((b"GET / HTTP/1.2", HOST), 505),
    ((b"GET / HTTP/0.9",), 505),
    ((b"GET / HTTP/1.1", HOST, b"Expect: a miracle"), 417),
    ((b"GET /" + b"a" * head.MAX_REQUEST_LINE + b" HTTP/1.1", HOST), 414),
    ((b"GET /" + b"a" * head.MAX_PATH + b" HTTP/1.1", HOST), 414),
    ((b"GET " + b"/" * (head.MAX_SLASHES + 1) + b" HTTP/1.1", HOST), 414),
    ((b"GET http://m" + b"/a" * (head.MAX_SLASHES - 1) + b" HTTP/1.1", HOST), 414),
    ((b"GET / HTTP/1.1", HOST, *[b"X: y"] * head.MAX_FIELDS), 431),
)


class RefusedTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Each malformed or ambiguous head is refused with its status."""
        for lines, status in REFUSED:
            with self.subTest(lines=lines[:3]):
                refused = self.assertRaises(BadRequest, parsed, *lines)
                self.assertEqual(refused.status, status, lines)

    @given(st.binary(max_size=200))
    @settings(max_examples=200, deadline=None)
    def test_any_bytes(self, raw: bytes) -> None:
        """Whatever comes, the outcome is a head or a BadRequest that is a client's error."""
        try:
            parse_head(b"GET / HTTP/1.1\r\nHost: a\r\n" + raw)
        except BadRequest as bad:
            self.assertIn(bad.status, (400, 414, 417, 431, 501, 505))


class AcceptedTests(SynchronousTestCase):
    def test_origin(self) -> None:
        """A target is kept to the letter, field values lose their outer blanks only."""
        got = parsed(b"GET /a%2Fb/../c?x=1&x=%zz HTTP/1.1", HOST, b"X:  a \t b\xe9 \t")
        self.assertEqual(got.target, "/a%2Fb/../c?x=1&x=%zz")
        self.assertEqual((got.form, got.length, got.persistent), (Form.ORIGIN, 0, True))
        self.assertEqual(got.headers.get("x"), "a \t b\xe9")

    def test_forms(self) -> None:
        """Absolute, authority and asterisk forms are told apart; 1.0 needs no Host."""
        self.assertEqual(parsed(b"GET http://a.test/x HTTP/1.0").form, Form.ABSOLUTE)
        self.assertEqual(parsed(b"GET http://a.test?q HTTP/1.1", HOST).form, Form.ABSOLUTE)
        self.assertEqual(parsed(b"CONNECT a.test:443 HTTP/1.0").form, Form.AUTHORITY)
        self.assertEqual(parsed(b"CONNECT [::1]:443 HTTP/1.0").form, Form.AUTHORITY)
        self.assertEqual(parsed(b"OPTIONS * HTTP/1.1", HOST).form, Form.ASTERISK)

    def test_bodies(self) -> None:
        """Content-Length gives a length, the chunked coding None, in any case."""
        self.assertEqual(parsed(b"PUT / HTTP/1.1", HOST, b"content-length: 007").length, 7)
        self.assertIsNone(parsed(b"PUT / HTTP/1.1", HOST, b"Transfer-Encoding: CHUNKED").length)

    def test_persistence(self) -> None:
        """1.1 persists unless closed, 1.0 only when it asks to."""
        for version, connection, persistent in (
            (b"1.1", b"close", False),
            (b"1.1", b"TE, Close", False),
            (b"1.1", b"keep-alive", True),
            (b"1.0", b"Keep-Alive", True),
            (b"1.0", b"x", False),
            (b"1.0", b"keep-alive, close", False),
        ):
            got = parsed(b"GET / HTTP/" + version, HOST, b"Connection: " + connection)
            self.assertIs(got.persistent, persistent, (version, connection))

    def test_expectation(self) -> None:
        """100-continue is noted in 1.1 and ignored in 1.0."""
        line = b"Expect: 100-Continue"
        self.assertTrue(parsed(b"PUT / HTTP/1.1", HOST, line).expects_continue)
        self.assertFalse(parsed(b"PUT / HTTP/1.0", HOST, line).expects_continue)

    def test_hosts(self) -> None:
        """Names, addresses and ports are hosts; an empty one is allowed by the RFC."""
        for host in (b"a.test", b"a-b_c.test:8080", b"127.0.0.1:1", b"[::1]:80", b"[::1]", b""):
            parsed(b"GET / HTTP/1.1", b"Host: " + host)


TOKEN = st.text(string.ascii_letters + "-", min_size=1, max_size=10)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


class FormatTests(SynchronousTestCase):
    def test_line_break(self) -> None:
        """A value that would begin a line of its own is an error, not an answer."""
        for value in ("a\r\nSet-Cookie: b", "a\nb", "a\rb"):
            self.assertRaises(ValueError, format_head, 200, [("X", value)])

    def test_why(self) -> None:
        """The line of the status says why it is an error, and stays one short line."""
        line = format_head(502, [], "TLS failure: h.test").split("\r\n")[0]
        self.assertEqual(line, "HTTP/1.1 502 Bad Gateway (TLS failure: h.test)")
        lines = format_head(502, [], "a\r\nSet-Cookie: b\xe4\u4e2d" + "x" * 9999).split("\r\n")
        self.assertEqual((len(lines), lines[1]), (2, ""))
        self.assertIn("(a??Set-Cookie: b??xxx", lines[0])
        self.assertLess(len(lines[0]), 300)

    @given(st.lists(st.tuples(TOKEN, VALUE), max_size=5), st.integers(200, 599))
    @settings(max_examples=50, deadline=None)
    def test_shape(self, items: list[tuple[str, str]], status: int) -> None:
        """One line for the status and one for each field, each ended by CR LF."""
        lines = format_head(status, items).split("\r\n")
        self.assertTrue(lines[0].startswith(f"HTTP/1.1 {status} "))
        self.assertEqual(lines[1:], [*(f"{n}: {v}" for n, v in items), ""])
