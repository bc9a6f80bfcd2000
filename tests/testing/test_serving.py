"""How the scripted origin reads requests."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.testing.serving import parse

PLAIN = b"PUT /a%2Fb?c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"


class ParseTests(SynchronousTestCase):
    def test_bodies(self) -> None:
        """A body is read by its length and by its chunks, and the next request is left alone."""
        for wire in (PLAIN, CHUNKED):
            parsed = parse(wire + b"GET")
            assert parsed is not None
            self.assertEqual((parsed[0].body, parsed[1]), (b"abc", len(wire)))

    @given(wire=st.sampled_from([PLAIN, CHUNKED]), cut=st.floats(0, 0.999))
    @settings(max_examples=50, deadline=None)
    def test_incomplete(self, wire: bytes, cut: float) -> None:
        """Whatever is missing at the end, the request is not there yet."""
        self.assertIsNone(parse(wire[: int(len(wire) * cut)]))
