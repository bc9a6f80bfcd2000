"""Passes an upstream's answer on to the one client that it belongs to, as it comes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed, IReceiver, IUpstreamResponse, UpstreamError
from aimirror.server.answers import Answer, Streamed, Wire

log = Logger()


@implementer(IReceiver, IPushProducer)
class _Relay:
    """Writes a body to a client; the client's pace is the upstream's pace."""

    def __init__(
        self,
        wire: Wire,
        response: IUpstreamResponse,
        feed: Callable[[bytes], bytes],
        end: Callable[[], bytes],
    ) -> None:
        self._wire = wire
        self._response = response
        self._feed = feed
        self._end = end
        self.done: Deferred[None] = Deferred(lambda _: response.abort())

    def data(self, chunk: bytes) -> None:
        data = self._feed(chunk)
        if data and not self._wire.gone:
            self._wire.write(data)

    def finished(self, error: UpstreamError | None) -> None:
        wire = self._wire
        if not wire.gone:
            wire.unregisterProducer()
            if error is not None:
                wire.abort()
            else:
                self._conclude(wire)
        if not self.done.called:
            self.done.callback(None)

    def _conclude(self, wire: Wire) -> None:
        try:
            rest = self._end()
        except BodyFailed as failed:
            log.warn("an answer that is passed on was cut: {why}", why=str(failed))
            wire.abort()
            return
        if rest:
            wire.write(rest)
        wire.finish()

    def pauseProducing(self) -> None:
        self._response.pause()

    def resumeProducing(self) -> None:
        self._response.resume()

    def stopProducing(self) -> None:
        self._response.abort()


async def relay(
    wire: Wire,
    response: IUpstreamResponse,
    headers: Headers,
    feed: Callable[[bytes], bytes] | None = None,
    end: Callable[[], bytes] = bytes,
    *,
    status: int | None = None,
    same_length: bool = False,
) -> None:
    """Send a response with ``headers``; ``feed`` and ``end`` may change its body on the way.

    Its status is the response's where none is given.  With ``same_length`` they change nothing;
    the transfer is cut when ``end`` raises BodyFailed.

    Returns when the body was handed over or the transfer was cut; cancelling cuts it.
    """
    if wire.gone:
        response.abort()
        return
    length = response.length if feed is None or same_length else None
    wire.start(response.status if status is None else status, headers, length)
    relaying = _Relay(wire, response, feed or (lambda chunk: chunk), end)
    wire.registerProducer(relaying, True)
    response.deliver(relaying)
    await relaying.done


class Relayed(Streamed):
    """The body of an upstream's answer, passed on as it comes; ``feed`` and ``end`` change it."""

    def __init__(
        self,
        response: IUpstreamResponse,
        feed: Callable[[bytes], bytes] | None = None,
        end: Callable[[], bytes] = bytes,
        *,
        same_length: bool = False,
    ) -> None:
        self._response = response
        self._feed = feed
        self._end = end
        self._same_length = same_length

    async def send(self, wire: Wire, answer: Answer) -> None:
        """See Streamed."""
        await relay(
            wire,
            self._response,
            answer.headers,
            self._feed,
            self._end,
            status=answer.status,
            same_length=self._same_length,
        )


def relayed(response: IUpstreamResponse, headers: Headers) -> Answer:
    """An upstream's answer with other fields, passed on as it comes."""
    return Answer(status=response.status, headers=headers, body=Relayed(response))
