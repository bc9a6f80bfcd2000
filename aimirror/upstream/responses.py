"""Answers of upstreams whose body is short, or of no use."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.http import urls
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError

#: Bytes of a body that are read rather than closing their connection.
TINY = 16 << 10
#: Bytes of a body that is said to be short.
MOST_DRAINED = 256 << 10


def collect(response: IUpstreamResponse, most: int) -> Deferred[bytes]:
    """The body of a response; fails with UpstreamError, also when it is longer than ``most``."""
    receiver = _Collecting(response, most)
    response.deliver(receiver)
    return receiver.done


@implementer(IReceiver)
class _Collecting:
    """Gathers a short body."""

    def __init__(self, response: IUpstreamResponse, most: int) -> None:
        self._response = response
        self._most = most
        self._size = 0
        self._chunks: list[bytes] = []
        self.done: Deferred[bytes] = Deferred(lambda _: response.abort())

    def data(self, chunk: bytes) -> None:
        """Keep it, within bounds."""
        self._size += len(chunk)
        if self._size <= self._most:
            self._chunks.append(chunk)
        elif not self.done.called:
            self.done.errback(UpstreamError(Reason.PROTOCOL, f"longer than {self._most} bytes"))
            self._response.abort()

    def finished(self, error: UpstreamError | None) -> None:
        """All is here, or it never will be."""
        if self.done.called:
            return
        if error is not None:
            self.done.errback(error)
        else:
            self.done.callback(b"".join(self._chunks))


def drain(response: IUpstreamResponse) -> None:
    """Let a short body that nobody wants pass, so that its connection can be used again."""
    response.deliver(_Dropping(response))


@implementer(IReceiver)
class _Dropping:
    """Drops a body, and its connection when there is too much of it."""

    def __init__(self, response: IUpstreamResponse) -> None:
        self._response = response
        self._left = MOST_DRAINED

    def data(self, chunk: bytes) -> None:
        """Drop it."""
        self._left -= len(chunk)
        if self._left < 0:
            self._response.abort()

    def finished(self, error: UpstreamError | None) -> None:
        """It is over."""


def let_go(response: IUpstreamResponse, *, bodiless: bool) -> None:
    """Be done with a response of which the header was all that counts.

    Its connection is kept where no body, or next to none, has to be read for that.
    """
    tiny = response.length is not None and response.length <= TINY
    if bodiless or response.status in (204, 304) or tiny:
        drain(response)
    else:
        response.abort()


def asked_of(response: IUpstreamResponse) -> str:
    """The origin of the upstream that was asked, before all redirects."""
    return urls.origin(response.hops[0].url if response.hops else response.url)
