"""The body of a request, streamed: the client's socket is read as fast as the body is consumed."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from aimirror.server.gone import ClientGone
from aimirror.server.head import BadRequest

#: Bytes of one chunk of a body, which is as much as a length can be: nobody ever sends so many,
#: and others might read the number as a smaller one.
MAX_CHUNK = 1 << 62


class BodyUnwanted(Exception):
    """The rest of a request's body means nothing any more."""


@implementer(IBodyProducer)
class RequestBody:
    """Gives the body of one request to one consumer (RFC 9110 section 6.4).

    Until it is started, and while it is paused, nothing is read from the client but what one
    ``recv`` had brought already.  ``changed`` is called whenever the wish to read may differ.
    """

    def __init__(self, length: int | None, changed: Callable[[], None]) -> None:
        #: Bytes, None for a chunked body.
        self.size = length
        #: Bytes, or UNKNOWN_LENGTH for a chunked body (what twisted.web.client asks for).
        self.length: int = UNKNOWN_LENGTH if length is None else length  # type: ignore[assignment]
        #: Whether all of it has arrived from the client.
        self.complete = False
        #: Whether somebody asked for it.
        self.started = False
        self._changed = changed
        self._paused = True
        self._unwanted = False
        self._waiting: list[bytes] = []
        self._consumer: IConsumer | None = None
        self._done: Deferred[None] | None = None
        self._failure: Failure | None = None
        self._rest: bytes | None = None
        self._decoder = (
            http._ChunkedTransferDecoder(self.feed, self._ended)
            if length is None
            else http._IdentityTransferDecoder(length, self.feed, self._ended)
        )

    @property
    def reading(self) -> bool:
        """Whether more bytes are wanted from the client now."""
        return not self.complete and not self._paused

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the body to ``consumer``.

        Fires when all was written; fails with ClientGone when the client leaves before, with
        BodyUnwanted when the request is answered before, with BadRequest for a malformed chunk.
        Cancelling is like ``stopProducing``.
        """
        if self.started:
            raise RuntimeError("the body of a request can be read once")
        self.started = True
        self._consumer = consumer
        done = self._done = Deferred(lambda _: self.stopProducing())
        self.resumeProducing()
        return done

    def pauseProducing(self) -> None:
        """Stop reading from the client."""
        self._paused = True
        self._changed()

    def resumeProducing(self) -> None:
        """Give what waits, then read on."""
        self._paused = False
        while self._waiting and not self._paused and self._consumer is not None:
            self._consumer.write(self._waiting.pop(0))
        if not self._paused:
            self._finish()
        self._changed()

    def stopProducing(self) -> None:
        """Nobody wants the rest; its Deferred will not fire."""
        self._done = self._consumer = None
        self.discard()

    def discard(self) -> None:
        """Let the rest arrive and throw it away; who still reads it gets BodyUnwanted."""
        self._unwanted = True
        self._paused = False
        self._waiting.clear()
        done, self._done, self._consumer = self._done, None, None
        self._changed()
        if done is not None:
            done.errback(BodyUnwanted("the answer was complete before its request was"))

    def receive(self, data: bytes) -> bytes | None:
        """Bytes from the client: decode them, and give what follows the body once it is whole.

        Raises BadRequest for a malformed chunk.  ``end`` is for the caller to call.
        """
        try:
            self._decoder.dataReceived(data)
        except http._MalformedChunkedDataError as problem:
            raise BadRequest(400, f"malformed chunked body: {problem}") from None
        decoder = self._decoder
        if isinstance(decoder, http._ChunkedTransferDecoder) and decoder.length > MAX_CHUNK:
            raise BadRequest(400, f"a chunk of more than {MAX_CHUNK} bytes")
        return self._rest

    def feed(self, data: bytes) -> None:
        """Decoded bytes."""
        if self._unwanted or not data:
            return
        if self._paused or self._consumer is None:
            self._waiting.append(data)
        else:
            self._consumer.write(data)

    def end(self, failure: Failure | None = None) -> None:
        """The body is complete, or ``failure`` broke it off."""
        if self.complete or self._failure is not None:
            return
        self.complete = failure is None
        self._failure = failure
        if failure is not None:
            self._waiting.clear()
        if not self._paused or failure is not None:
            self._finish()

    def check(self) -> None:
        """Raise what broke the body off, if anything did: whoever read it knows that it ended."""
        if self._failure is not None:
            self._failure.raiseException()

    def lose(self) -> None:
        """The client is gone."""
        self.end(Failure(ClientGone()))

    def _ended(self, rest: bytes) -> None:
        self._rest = rest

    def _finish(self) -> None:
        if self._waiting or self._done is None:
            return
        if self._failure is not None:
            done, self._done, self._consumer = self._done, None, None
            done.errback(self._failure)
        elif self.complete:
            done, self._done, self._consumer = self._done, None, None
            done.callback(None)
