"""Small bodies, gathered in memory: they need no part, no plan and no share of connections.

What comes whole within a moment is stored in one go and sent from memory.  What does not is
played, from its first byte, to whoever stores it in the ordinary way.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import implementer

from aimirror.exchanges.wrapped import WrappedResponse
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from aimirror.routing.digests import Digest, new_hash

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Seconds that the first byte may wait for the last one.
MOMENT = 0.05
#: The same where a digest has to match: so small a body is held back until then anyway.
PROVEN_MOMENT = 1.0


@implementer(IReceiver)
class SmallResponse(WrappedResponse):
    """A response with a length, whose body is gathered, and given on where that fails."""

    def __init__(self, response: IUpstreamResponse, clock: IReactorTime) -> None:
        super().__init__(response)
        self._clock = clock
        self._chunks: list[bytes] = []
        self._receiver: IReceiver | None = None
        self._over = False
        self._error: UpstreamError | None = None
        self._ready: Deferred[None] | None = None

    async def gathered(self, moment: float = MOMENT) -> bytes | None:
        """All of the body; None when it did not come within ``moment``, or not as announced.

        Cancelling stops the waiting, nothing else.
        """
        self._response.deliver(self)
        if not self._over:
            ready = self._ready = Deferred()
            late = self._clock.callLater(moment, self._stop_waiting)
            try:
                await ready
            finally:
                self._ready = None
                if late.active():
                    late.cancel()
        body = b"".join(self._chunks)
        self._chunks = [body] if body else []
        return body if self._over and not self._error and len(body) == self.length else None

    def _stop_waiting(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.callback(None)

    # -- IReceiver -------------------------------------------------------------------------

    def data(self, chunk: bytes) -> None:
        """Some bytes came; their number is bounded by the length that was announced."""
        if self._receiver is not None:
            self._receiver.data(chunk)
        else:
            self._chunks.append(chunk)

    def finished(self, error: UpstreamError | None) -> None:
        """All has come, or no more will."""
        self._over, self._error = True, error
        if self._receiver is not None:
            self._receiver.finished(error)
        else:
            self._stop_waiting()

    # -- IUpstreamResponse -----------------------------------------------------------------

    def deliver(self, receiver: IReceiver) -> None:
        """Play what has come, and give on what still comes."""
        self._receiver = receiver
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            receiver.data(chunk)
        if self._over:
            receiver.finished(self._error)

    def gather(self, left: int) -> None:
        """See IUpstreamResponse."""
        self._response.gather(left)


def proven(body: bytes, expected: Digest | None) -> str | None:
    """The sha256 of a body; None when it does not have the digest that is expected."""
    name = sha256(body).hexdigest()
    if expected is None:
        return name
    if expected.algorithm == "sha256":
        return name if name == expected.hex else None
    running = new_hash(expected.algorithm)
    running.update(body)
    return name if running.hexdigest() == expected.hex else None
