"""A request body that is at hand."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer


@implementer(IBodyProducer)
class AtHand:
    """A request body that is at hand."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See IBodyProducer."""
        consumer.write(self._data)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        """See IBodyProducer; it is all written already."""

    def resumeProducing(self) -> None:
        """See IBodyProducer."""

    def stopProducing(self) -> None:
        """See IBodyProducer."""
