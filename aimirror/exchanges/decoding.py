"""Taking a gzip Content-Encoding off a response, so that it is stored once and as it is."""

from __future__ import annotations

import zlib

from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.exchanges.wrapped import WrappedResponse
from aimirror.http.headers import Headers
from aimirror.http.media import is_text
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from aimirror.routing.digests import OF_WHOLE

#: Bytes handed on at once.
_STEP = 256 << 10
#: A body that grows beyond this many bytes by more than this factor is taken for an attack.
_SUSPICIOUS_SIZE = 64 << 20
_SUSPICIOUS_RATIO = 300


#: Fields that are true of the encoded bytes alone.
_OF_ENCODED = ("content-encoding", "content-length", "content-md5", "content-digest", *OF_WHOLE)


def decodable(headers: Headers) -> bool:
    """Whether a response's encoding is taken off before it is stored."""
    coding = headers.tokens("content-encoding")
    return coding in (("gzip",), ("x-gzip",)) and is_text(headers.get("content-type", "") or "")


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


@implementer(IReceiver)
class _Inflater:
    """Inflates what arrives, _STEP bytes at a time; while held, it keeps the rest of a chunk."""

    def __init__(self, receiver: IReceiver, response: IUpstreamResponse) -> None:
        self._receiver = receiver
        self._response = response
        self._inflate = _inflater()
        self._taken = self._given = 0
        self._rest = b""
        self._running = False
        self._over = False
        self._error: UpstreamError | None = None
        #: Whether the receiver wants no bytes now.
        self.held = False

    def data(self, chunk: bytes) -> None:
        if self._error is None:
            self._taken += len(chunk)
            self._rest += chunk
            self.go_on()

    def finished(self, error: UpstreamError | None) -> None:
        self._over = True
        self._error = self._error or error
        if error is not None:
            self._rest = b""
        self.go_on()

    def go_on(self) -> None:
        """Give out what there is, unless held; may be called while it does."""
        if self._running:
            return
        self._running = True
        try:
            while self._rest and not self.held:
                self._step()
        except zlib.error as error:
            self._error, self._rest = UpstreamError(Reason.ENCODED, str(error)), b""
            self._response.abort()
        finally:
            self._running = False
        if self._over and not self._rest:
            self._over = False
            if self._error is None and not self._inflate.eof:
                self._error = UpstreamError(Reason.SHORT, "the compressed body ends early")
            self._receiver.finished(self._error)

    def _step(self) -> None:
        if self._inflate.eof:  # a body may consist of several members (RFC 1952 section 2.2)
            self._inflate = _inflater()
        out = self._inflate.decompress(self._rest, _STEP)
        self._rest = self._inflate.unconsumed_tail or self._inflate.unused_data
        self._given += len(out)
        if self._given > max(_SUSPICIOUS_SIZE, self._taken * _SUSPICIOUS_RATIO):
            raise zlib.error("the body grows without measure")
        if out:
            self._receiver.data(out)


class DecodedResponse(WrappedResponse):
    """A response as if it had been sent without its gzip encoding.

    Its ETag becomes weak: the bytes are equivalent to, not the same as, what it names
    (RFC 9110 section 8.8.3.3).
    """

    def __init__(self, response: IUpstreamResponse) -> None:
        super().__init__(response)
        self._inflater: _Inflater | None = None
        self.length = None
        headers = response.headers.without(*_OF_ENCODED)
        etag = headers.get("etag")
        if etag and not etag.startswith("W/"):
            headers = headers.with_("ETag", "W/" + etag)
        kept = [t for t in headers.tokens("vary") if t != "accept-encoding"]
        self.headers = headers.with_("Vary", *([", ".join(kept)] if kept else []))

    def deliver(self, receiver: IReceiver) -> None:
        """Start the flow of the decoded body."""
        self._inflater = _Inflater(receiver, self._response)
        self._response.deliver(self._inflater)

    def pause(self) -> None:
        """Stop reading from the socket, and inflating what was read."""
        if self._inflater is not None:
            self._inflater.held = True
        self._response.pause()

    def resume(self) -> None:
        """Read on."""
        self._response.resume()
        if self._inflater is not None:
            self._inflater.held = False
            self._inflater.go_on()
