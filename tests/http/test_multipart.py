"""The framing of multipart/byteranges."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.multipart import Multipart, multipart

DATA = bytes(range(33, 127))


def body(framed: Multipart, data: bytes) -> bytes:
    parts = (part.header + data[part.start : part.stop] for part in framed.parts)
    return b"".join(parts) + framed.closing


class MultipartTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        """The framing is that of RFC 9110 section 14.6."""
        framed = multipart([(1, 3), (90, 94)], "text/plain", 94, "THAT")
        self.assertEqual(framed.content_type, "multipart/byteranges; boundary=THAT")
        self.assertEqual(
            body(framed, DATA),
            b"\r\n--THAT\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/94\r\n\r\n"
            b'"#'
            b"\r\n--THAT\r\nContent-Type: text/plain\r\nContent-Range: bytes 90-93/94\r\n\r\n"
            b"{|}~"
            b"\r\n--THAT--\r\n",
        )

    @given(
        st.lists(st.tuples(st.integers(0, 93), st.integers(1, 94)), min_size=1, max_size=16),
        st.none() | st.just("application/zip"),
    )
    @settings(max_examples=50, deadline=None)
    def test_foreign_parser(self, pairs: list[tuple[int, int]], kind: str | None) -> None:
        """Another parser finds the same parts, and the length is exact."""
        spans = [(start, min(start + length, len(DATA))) for start, length in pairs]
        framed = multipart(spans, kind, len(DATA), "b0und.ary")
        whole = body(framed, DATA)
        self.assertEqual(len(whole), framed.length)
        head = f"Content-Type: {framed.content_type}\r\n\r\n".encode()
        parts = list(BytesParser(policy=HTTP).parsebytes(head + whole).iter_parts())
        self.assertEqual([p["Content-Type"] for p in parts], [kind] * len(spans))
        self.assertEqual([p.get_payload(decode=True) for p in parts], [DATA[a:b] for a, b in spans])

    def test_boundary(self) -> None:
        """A boundary that would need quoting or is too long is refused."""
        for boundary in ("", "a b", "a\r\nb", 'a"b', "x" * 71):
            with self.assertRaisesRegex(ValueError, "boundary"):
                multipart([(0, 1)], None, 1, boundary)
