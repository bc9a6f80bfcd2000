"""Bodies to and from the store that are small enough for memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError


@implementer(IReceiver)
class Collected:
    """Collects a body; ``done`` fires with it, fails with UpstreamError; cancelling aborts."""

    def __init__(self, response: IUpstreamResponse, most: int) -> None:
        self._response = response
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0
        self.done: Deferred[bytes] = Deferred(lambda _: response.abort())
        response.deliver(self)

    def data(self, chunk: bytes) -> None:
        """See IReceiver."""
        self._size += len(chunk)
        if self._size <= self._most:
            self._parts.append(chunk)
        elif not self.done.called:
            self.done.errback(UpstreamError(Reason.PROTOCOL, f"longer than {self._most} bytes"))
            self._response.abort()

    def finished(self, error: UpstreamError | None) -> None:
        """See IReceiver."""
        if self.done.called:
            return
        if error is not None:
            self.done.errback(error)
        else:
            self.done.callback(b"".join(self._parts))
