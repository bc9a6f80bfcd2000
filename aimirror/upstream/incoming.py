"""The answer to a request that has no body, from its first byte to its last.

It stands where Twisted has a parser and a response.  ``heads`` has read the header already, so
that nothing is left but to hand the body on; and what came whole in one read is whole at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web._newclient import ResponseNeverReceived
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss, _ChunkedTransferDecoder, _DataLoss
from twisted.web.http_headers import Headers as WireHeaders
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from aimirror.upstream.heads import Head

#: Statuses whose answers have no body (RFC 9112 section 6.3).
_BODILESS = frozenset({204, 304})


@implementer(IClientRequest)
@define(eq=False)
class Bare:
    """A request without a body, as it goes over the wire."""

    method: bytes
    headers: WireHeaders
    wire: bytes
    #: Whether the connection may be used again; read by Twisted when the answer ends.
    persistent: bool
    absoluteURI: bytes | None = None


@implementer(IResponse)
class Incoming:
    """See the module; ``answer`` fires with it when the header is there, ``finish`` is called at
    the end of the body with the bytes behind it.
    """

    #: Read by Twisted for what ``heads`` has told already.
    connHeaders = WireHeaders()
    version = (b"HTTP", 1, 1)
    previousResponse: IResponse | None = None
    #: The header, None until it came.
    head: Head | None = None

    def __init__(
        self,
        request: Bare,
        number: int,
        transport: Any,
        finish: Callable[[bytes], None],
        cancelled: Callable[[Deferred[IResponse]], None],
    ) -> None:
        self.request = request
        #: Which one it is of its connection's exchanges.
        self.number = number
        self.answer: Deferred[IResponse] = Deferred(cancelled)
        self._transport = transport
        self._finish = finish
        self._protocol: IProtocol | None = None
        self._chunks: list[bytes] = []
        self._decoder: Any = None
        #: Bytes of the body that are still to come, None where its length is not known.
        self.left: int | None = None
        self._complete = self._paused = self._delivered = False
        self._end: Failure | None = None

    # -- IResponse -------------------------------------------------------------------------

    @property
    def code(self) -> int:
        """The status."""
        assert self.head is not None
        return self.head.status

    @property
    def phrase(self) -> bytes:
        """The reason phrase."""
        assert self.head is not None
        return self.head.phrase.encode("latin-1")

    @property
    def headers(self) -> WireHeaders:
        """The fields as Twisted has them."""
        assert self.head is not None
        fields = WireHeaders()
        for name, value in self.head.headers.raw():
            fields.addRawHeader(name, value)
        return fields

    @property
    def length(self) -> object:
        """Bytes of the body, as far as it is known."""
        assert self.head is not None
        if self._bodiless():
            return 0
        return UNKNOWN_LENGTH if self.head.length is None else self.head.length

    def setPreviousResponse(self, response: IResponse) -> None:
        """Note the redirect that led here."""
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:
        """Let the body flow into ``protocol``, once."""
        if self._delivered:
            raise RuntimeError("the body was delivered already")
        self._delivered = True
        protocol.makeConnection(self._transport)
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            protocol.dataReceived(chunk)
        if self._end is not None:
            protocol.connectionLost(self._end)
            return
        self._protocol = protocol
        if self._paused:
            self._paused = False
            self._transport.resumeProducing()

    def at_hand(self) -> bytes | None:
        """All of a body that is whole and that nobody has taken, which is taken now."""
        if self._delivered or self._end is None or not self._complete:
            return None
        self._delivered = True
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    # -- the connection --------------------------------------------------------------------

    def begin(self, head: Head, rest: bytes) -> None:
        """The header, and what came with it of the body."""
        self.head = head
        if self._bodiless():
            self.left = 0
        elif head.chunked:
            self._decoder = _ChunkedTransferDecoder(self._data, self._ended)
        else:
            self.left = head.length
        try:
            if rest or self.left == 0:
                self.dataReceived(rest)
        finally:  # whoever waits for the header learns of a malformed body by the body
            self.answer.callback(self)
        if self._end is None and not self._delivered:
            self._paused = True
            self._transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        """Some of the body; raises ValueError where its framing is malformed."""
        left = self.left
        if self._decoder is not None:
            self._decoder.dataReceived(data)
        elif left is None or len(data) < left:
            if left is not None:
                self.left = left - len(data)
            self._data(data)
        else:
            self.left = 0
            if left:
                self._data(data[:left])
            self._ended(data[left:])

    def connectionLost(self, reason: Failure | Exception) -> None:
        """No more will come: all has come, or the connection is gone."""
        if self._complete:
            self._over(Failure._withoutTraceback(ResponseDone()))
        elif self.head is None:
            self.answer.errback(Failure(ResponseNeverReceived([reason])))
        elif self._decoder is None and self.left is None:
            self._over(Failure(PotentialDataLoss()))
        else:
            self._over(Failure(ResponseFailed([reason, Failure(_DataLoss())], self)))

    def stopProxying(self) -> None:
        """Twisted tells it that the transport is not its any more."""

    def _bodiless(self) -> bool:
        assert self.head is not None
        return self.head.status in _BODILESS or self.request.method == b"HEAD"

    def _data(self, data: bytes) -> None:
        if self._protocol is None:
            self._chunks.append(data)
        else:
            self._protocol.dataReceived(data)

    def _ended(self, rest: bytes) -> None:
        self._complete = True
        self._finish(rest)

    def _over(self, reason: Failure) -> None:
        protocol, self._protocol, self._end = self._protocol, None, reason
        if protocol is not None:
            protocol.connectionLost(reason)
