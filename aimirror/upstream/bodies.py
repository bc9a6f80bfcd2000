"""Request bodies on their way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer


@implementer(IConsumer)
class _Told:
    """A consumer that tells of each write."""

    def __init__(self, consumer: IConsumer, moved: Callable[[], None]) -> None:
        self._consumer = consumer
        self._moved = moved

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self._consumer.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._consumer.unregisterProducer()

    def write(self, data: bytes) -> None:
        self._moved()
        if data:  # an empty chunk would end a chunked body
            self._consumer.write(data)


@implementer(IBodyProducer)
class WatchedBody:
    """A request body that calls ``moved`` as its bytes go out, and that can be cancelled."""

    def __init__(self, body: IBodyProducer, moved: Callable[[], None]) -> None:
        self._body = body
        self._moved = moved
        self._stopped = False
        #: Bytes, or UNKNOWN_LENGTH, which sends it chunked.
        self.length = body.length

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write into ``consumer``; fires at the end, and cancelling stops the body."""
        produced = cast("Deferred[None]", self._body.startProducing(_Told(consumer, self._moved)))
        done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        produced.addCallbacks(
            lambda _: None if done.called else done.callback(None),
            lambda failure: None if done.called else done.errback(failure),
        )
        return done

    def pauseProducing(self) -> None:
        """The upstream reads too slowly."""
        self._body.pauseProducing()

    def resumeProducing(self) -> None:
        """The upstream has caught up."""
        self._body.resumeProducing()

    def stopProducing(self) -> None:
        """Nobody takes the rest; Twisted says so from several places, the body hears it once."""
        if not self._stopped:
            self._stopped = True
            self._body.stopProducing()
