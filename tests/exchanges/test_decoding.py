from __future__ import annotations

import gzip
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.exchanges.decoding import _STEP, DecodedResponse, decodable
from aimirror.http.headers import Headers
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from tests.exchanges.support import KB, MB, FakeResponse, pattern


@implementer(IReceiver)
class Receiver:
    """Collects; pauses the response after each piece if it is told to."""

    def __init__(self, response: DecodedResponse, pauses: bool = False) -> None:
        self.response = response
        self.pauses = pauses
        self.pieces: list[bytes] = []
        self.ends: list[UpstreamError | None] = []

    def data(self, chunk: bytes) -> None:
        self.pieces.append(chunk)
        if self.pauses:
            self.response.pause()

    def finished(self, error: UpstreamError | None) -> None:
        self.ends.append(error)


class DecodingTests(SynchronousTestCase):
    """Taking gzip off."""

    def take(self, pauses: bool = False) -> tuple[FakeResponse, Receiver]:
        raw = FakeResponse(200, ("Content-Encoding", "gzip"), ("Content-Type", "text/html"))
        receiver = Receiver(decoded := DecodedResponse(raw), pauses)
        decoded.deliver(receiver)
        return raw, receiver

    def reason(self, receiver: Receiver) -> Reason | None:
        (error,) = receiver.ends
        return None if error is None else error.reason

    def test_only_text(self) -> None:
        """Archives that are called gzip stay as they are; so does what is encoded otherwise."""
        for kind, coding, expected in (
            ("text/html", "gzip", True),
            ("text/html", "x-gzip", True),
            ("application/json", "gzip", True),
            ("application/gzip", "gzip", False),
            ("application/octet-stream", "gzip", False),
            ("text/html", "br", False),
            ("text/html", "gzip, gzip", False),
            ("text/html", "", False),
        ):
            fields = [("Content-Type", kind), ("Content-Encoding", coding)]
            self.assertIs(decodable(Headers(fields)), expected, (kind, coding))

    def test_fields(self) -> None:
        """What described the encoded bytes is gone; the ETag is weak, Vary does without it."""
        raw = FakeResponse(
            200,
            ("Content-Encoding", "gzip"),
            ("Content-Length", "5"),
            ("ETag", '"v"'),
            ("Vary", "Accept-Encoding, Accept"),
        )
        decoded = DecodedResponse(raw)
        self.assertTrue(IUpstreamResponse.providedBy(decoded))
        self.assertEqual(decoded.headers, Headers([("ETag", 'W/"v"'), ("Vary", "accept")]))
        self.assertIsNone(decoded.length)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=3000), st.integers(1, 400), st.integers(1, 3), st.booleans())
    def test_any_cut(self, data: bytes, step: int, members: int, pauses: bool) -> None:
        """However the bytes are cut, in however many members, the body comes out whole."""
        raw, receiver = self.take(pauses)
        cut = len(data) // members
        parts = [data[i * cut : (i + 1) * cut] for i in range(members - 1)]
        parts.append(data[(members - 1) * cut :])
        raw.flow(b"".join(gzip.compress(part) for part in parts), step)
        raw.end()
        while pauses and not receiver.ends:
            receiver.response.resume()
        self.assertEqual((b"".join(receiver.pieces), receiver.ends), (data, [None]))

    def test_paused(self) -> None:
        """While the receiver is paused it gets nothing, however much one chunk grows to."""
        raw, receiver = self.take(pauses=True)
        raw.flow(gzip.compress(bytes(8 * MB)), 256 * KB)
        raw.end()
        self.assertTrue(raw.paused)
        self.assertEqual((len(receiver.pieces), receiver.ends), (1, []))
        for count in range(2, 8 * MB // _STEP + 1):
            receiver.response.resume()
            self.assertEqual(len(receiver.pieces), count)
        receiver.response.resume()
        self.assertEqual((sum(map(len, receiver.pieces)), receiver.ends), (8 * MB, [None]))

    def test_cut_short(self) -> None:
        """A compressed body without its end is short."""
        raw, receiver = self.take()
        raw.flow(gzip.compress(pattern(100 * KB))[:-9])
        raw.end()
        self.assertIs(self.reason(receiver), Reason.SHORT)

    def test_connection_lost(self) -> None:
        """The connection's own failure is told as it is."""
        raw, receiver = self.take()
        raw.flow(gzip.compress(pattern(100 * KB))[:1000])
        raw.end(UpstreamError(Reason.RESET))
        self.assertIs(self.reason(receiver), Reason.RESET)

    def test_no_gzip(self) -> None:
        """What is not gzip ends the body, once, and drops the connection."""
        raw, receiver = self.take()
        raw.flow(b"<html>" * 100)
        self.assertIs(self.reason(receiver), Reason.ENCODED)
        self.assertTrue(raw.aborted)

    def test_bomb(self) -> None:
        """A body that grows without measure is given up before it fills the disk."""
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = packer.compress(bytes(100 * MB)) + packer.flush()
        raw, receiver = self.take()
        raw.flow(bomb)
        raw.end()
        self.assertIs(self.reason(receiver), Reason.ENCODED)
        self.assertLess(sum(map(len, receiver.pieces)), 80 * MB)
