"""The strict reading of response headers."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.heads import MAX_FIELDS, MAX_HEAD, Head, Malformed, take


def read(*lines: bytes) -> Head:
    taken = take(b"".join(line + b"\r\n" for line in (*lines, b"")))
    assert taken is not None
    return taken[0]


class TakeTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """Fields keep their order, spelling and number; space around values goes."""
        head = read(b"HTTP/1.1 200 Fine, thanks", b"b: \t2 \t", b"A: 1", b"B:", b"c: caf\xe9")
        self.assertEqual((head.status, head.phrase), (200, "Fine, thanks"))
        wanted = (("b", "2"), ("A", "1"), ("B", ""), ("c", "caf\xe9"))
        self.assertEqual(head.headers.items, wanted)

    def test_no_phrase(self) -> None:
        """A status line may lack its phrase, with or without the space."""
        self.assertEqual(read(b"HTTP/1.1 204").phrase, "")
        self.assertEqual(read(b"HTTP/1.1 204 ").phrase, "")

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 60))
    def test_incomplete(self, cut: int) -> None:
        """A header without its empty line is not read; with it, the body behind it is left."""
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: " + b"y" * 18 + b"\r\n\r\n"
        self.assertIsNone(take(whole[: min(cut, len(whole) - 1)]))
        taken = take(whole + b"hello")
        assert taken is not None
        self.assertEqual(taken[1], len(whole))

    def test_bare_newlines(self) -> None:
        """Lines that end with LF alone are read (RFC 9112 section 2.2)."""
        taken = take(b"HTTP/1.1 200 OK\nX: y\n\nbody")
        assert taken is not None
        self.assertEqual((taken[0].headers.items, taken[1]), ((("X", "y"),), 22))

    def test_framing(self) -> None:
        """Length and chunking are known; equal lengths may be repeated."""
        head = read(b"HTTP/1.1 200 OK", b"Content-Length: 5, 5", b"content-length: 5")
        self.assertEqual((head.length, head.chunked), (5, False))
        head = read(b"HTTP/1.1 200 OK", b"Transfer-Encoding: Chunked")
        self.assertEqual((head.length, head.chunked), (None, True))

    def test_persistence(self) -> None:
        """Keep-alive is the default of 1.1 alone; a body behind a 204 would pass for an answer."""
        for lines, wanted in (
            ((b"HTTP/1.1 200 OK",), True),
            ((b"HTTP/1.1 200 OK", b"Connection: x, Close"), False),
            ((b"HTTP/1.0 200 OK",), False),
            ((b"HTTP/1.0 200 OK", b"Connection: Keep-Alive"), True),
            ((b"HTTP/1.1 204 No Content", b"Content-Length: 0"), True),
            ((b"HTTP/1.1 204 No Content", b"Content-Length: 5"), False),
            ((b"HTTP/1.1 204 No Content", b"Transfer-Encoding: chunked"), False),
        ):
            self.assertEqual(read(*lines).persistent, wanted, lines)

    def test_malformed(self) -> None:
        """Whatever two parsers might read in two ways is refused."""
        ok = b"HTTP/1.1 200 OK"
        for lines in (
            (b"HTTP/2 200",),
            (b"HTTP/1.1 +200 OK",),
            (b"HTTP/1.1 2000 OK",),
            (b"ICY 200 OK",),
            (b"SSH-2.0-x",),
            (b"",),
            (ok, b"Content-Length: 5", b"Content-Length: 6"),
            (ok, b"Content-Length: 5, 6"),
            (ok, b"Content-Length: +5"),
            (ok, b"Content-Length: -5"),
            (ok, b"Content-Length: "),
            (ok, b"Content-Length: 0x5"),
            (ok, b"Content-Length: " + b"9" * 19),
            (ok, b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            (ok, b"Transfer-Encoding: gzip, chunked"),
            (ok, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
            (ok, b"Transfer-Encoding: identity"),
            (b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked"),
            (ok, b"X : y"),
            (ok, b" folded"),
            (ok, b"X: y", b"\tfolded"),
            (ok, b"no colon"),
            (ok, b": no name"),
            (ok, b"X: a\rb"),
            (ok, b"X: a\r", b"Y: z"),
            (ok, b"Y: z", b"two X: y"),
            (ok, b"X: a\x00b"),
        ):
            self.assertRaises(Malformed, read, *lines)

    def test_what_each_costs(self) -> None:
        """No function is called for each field: those of an answer are read together."""
        calls = []
        for count in (1, 40):
            seen: list[str] = []
            sys.setprofile(lambda frame, event, _, s=seen: event == "call" and s.append(event))
            try:
                read(b"HTTP/1.1 200 OK", *[b"X: y"] * count)
            finally:
                sys.setprofile(None)
            calls.append(len(seen))
        self.assertEqual(calls[1], calls[0] + 39)  # of ``read``, which makes the lines

    def test_bounds(self) -> None:
        """More than MAX_FIELDS fields or MAX_HEAD bytes are refused, the latter unfinished, too."""
        fields = [b"X: y"] * MAX_FIELDS
        self.assertEqual(len(read(b"HTTP/1.1 200 OK", *fields).headers), MAX_FIELDS)
        self.assertRaises(Malformed, read, b"HTTP/1.1 200 OK", *fields, b"X: y")
        self.assertRaises(Malformed, take, b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD)
