"""Bodies of requests that are short, read whole.

It needs nothing of the network, for commands read the worlds that use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from aimirror.server.head import BadRequest

if TYPE_CHECKING:
    from aimirror.server.upload import RequestBody


async def gathered(body: RequestBody | None, most: int) -> bytes:
    """A short body as bytes; raises BadRequest (413) when it has more than ``most``."""
    if body is None:
        return b""
    sink = _Sink(most)
    await body.startProducing(sink)
    if sink.size > most:
        raise BadRequest(413, f"more than {most} bytes")
    return bytes(sink.data)


@implementer(IConsumer)
class _Sink:
    """Holds a body; of one that is too long only its size."""

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self.size = 0
        self._most = most

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self.size += len(data)
        if self.size <= self._most:
            self.data += data

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """The body's pace is the client's."""

    def unregisterProducer(self) -> None:
        """See ``registerProducer``."""
