"""A response around another one: what most of those have in common that change an answer."""

from __future__ import annotations

from zope.interface import implementer

from aimirror.http.egress import Reach, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop, IReceiver, IUpstreamResponse


@implementer(IUpstreamResponse)
class WrappedResponse:
    """Tells what another response tells, and steers it; subclasses change some of that."""

    def __init__(self, response: IUpstreamResponse) -> None:
        self._response = response
        self.status: int = response.status
        self.phrase: str = response.phrase
        self.headers: Headers = response.headers
        self.url: str = response.url
        self.hops: tuple[Hop, ...] = response.hops
        self.length: int | None = response.length
        self.reach: Reach = response.reach
        self.zone: Zone = response.zone
        self.framed: bool = response.framed

    def deliver(self, receiver: IReceiver) -> None:
        """See IUpstreamResponse."""
        self._response.deliver(receiver)

    def gather(self, left: int) -> None:
        """See IUpstreamResponse; subclasses that bring the very bytes of another pass it on."""

    def pause(self) -> None:
        """See IUpstreamResponse."""
        self._response.pause()

    def resume(self) -> None:
        """See IUpstreamResponse."""
        self._response.resume()

    def abort(self) -> None:
        """See IUpstreamResponse."""
        self._response.abort()
