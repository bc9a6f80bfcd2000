"""Passes an upstream's answer on to the one client that it belongs to, as it comes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from aimirror.http.headers import Headers
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from aimirror.server.request import MirrorRequest


@implementer(IReceiver, IPushProducer)
class _Relay:
    """Writes a body to a client; the client's pace is the upstream's pace."""

    def __init__(
        self,
        request: MirrorRequest,
        response: IUpstreamResponse,
        feed: Callable[[bytes], bytes],
        end: Callable[[], bytes],
    ) -> None:
        self._request = request
        self._response = response
        self._feed = feed
        self._end = end
        self.done: Deferred[None] = Deferred(lambda _: response.abort())

    def data(self, chunk: bytes) -> None:
        data = self._feed(chunk)
        if data and not self._request.gone:
            self._request.write(data)

    def finished(self, error: UpstreamError | None) -> None:
        request = self._request
        if not request.gone:
            request.unregisterProducer()
            if error is not None:
                request.abort()
            else:
                if rest := self._end():
                    request.write(rest)
                request.finish()
        if not self.done.called:
            self.done.callback(None)

    def pauseProducing(self) -> None:
        self._response.pause()

    def resumeProducing(self) -> None:
        self._response.resume()

    def stopProducing(self) -> None:
        self._response.abort()


async def relay(
    request: MirrorRequest,
    response: IUpstreamResponse,
    headers: Headers,
    feed: Callable[[bytes], bytes] | None = None,
    end: Callable[[], bytes] = bytes,
) -> None:
    """Send a response with ``headers``; ``feed`` and ``end`` may change its body on the way.

    Returns when the body was handed over or the transfer was cut; cancelling cuts it.
    """
    if request.gone:
        response.abort()
        return
    length = response.length if feed is None else None
    request.start(response.status, headers, length)
    relaying = _Relay(request, response, feed or (lambda chunk: chunk), end)
    request.registerProducer(relaying, True)
    response.deliver(relaying)
    await relaying.done
