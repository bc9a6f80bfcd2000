"""Heads come out of a connection's bytes whole and in order, however they came in."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.head import BadRequest
from aimirror.server.head_buffer import HeadBuffer

HEADS = (b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"X\r\n\r\n")


class HeadBufferTests(SynchronousTestCase):
    @given(
        st.lists(st.sampled_from(HEADS), max_size=5),
        st.lists(st.integers(0, 90), max_size=6),
        st.booleans(),
        st.booleans(),
    )
    def test_any_pieces(
        self, heads: list[bytes], cuts: list[int], blank: bool, eager: bool
    ) -> None:
        """Where the bytes are cut, and when heads are taken, makes no difference."""
        stream = b"".join((b"\r\n" if blank else b"") + head for head in heads)
        places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        buffer = HeadBuffer()
        taken = []
        for start, stop in pairwise(places):
            buffer.feed(stream[start:stop])
            while eager and (head := buffer.take()) is not None:
                taken.append(head)
        while (head := buffer.take()) is not None:
            taken.append(head)
        self.assertEqual((taken, len(buffer)), (heads, 0))

    def test_rest(self) -> None:
        """What follows a head is given out as it came, one whole head or not."""
        for rest in (HEADS[0], HEADS[0] * 2, b"body"):
            buffer = HeadBuffer()
            buffer.feed(HEADS[1])
            buffer.take()
            buffer.feed(rest)
            self.assertEqual((len(buffer), buffer.take_rest(), len(buffer)), (len(rest), rest, 0))

    def test_clear(self) -> None:
        """What is forgotten does not come back."""
        buffer = HeadBuffer()
        buffer.feed(HEADS[0])
        buffer.clear()
        self.assertIsNone(buffer.take())

    def test_too_long(self) -> None:
        """A head of one byte too many is refused, whether it comes in one piece or in two."""
        for pieces in ((HEADS[0],), (HEADS[0][:5], HEADS[0][5:])):
            buffer = HeadBuffer(len(HEADS[0]) - 5)
            for piece in pieces:
                buffer.feed(piece)
            self.assertRaises(BadRequest, buffer.take)
        HeadBuffer(len(HEADS[0]) - 4).feed(HEADS[0])
