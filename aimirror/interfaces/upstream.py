"""What speaks HTTP outward, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import Attribute, Interface

from aimirror.download.tasks import Reason
from aimirror.http.egress import Reach, Zone
from aimirror.http.headers import Headers

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from aimirror.http.egress import Outgoing

_UNREACHABLE = frozenset({Reason.RESOLVE, Reason.CONNECT, Reason.TLS})


class UpstreamError(Exception):
    """An upstream could not be asked or fell over midway; ``detail`` names no credential.

    ``redirected`` says that it was where a redirect led, so that the one who was asked did answer.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        redirected: bool = False,
        retry_after: float | None = None,
        status: int = 503,
    ) -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
        self.redirected = redirected
        #: Seconds after which it may be asked again, if it has said so, and by which status.
        self.retry_after = retry_after
        self.status = status

    @property
    def unreachable(self) -> bool:
        """Whether any other URL of the upstream would have met the same."""
        return not self.redirected and self.reason in _UNREACHABLE


class Unreadable(ValueError):
    """What an upstream wrote can't be read: it is wrong, or takes too much time or memory."""


@frozen
class Hop:
    """A redirect that was followed: its status, URL and header."""

    status: int
    url: str
    headers: Headers


class IReceiver(Interface):
    """Takes a response body as it arrives."""

    def data(chunk: bytes) -> None:
        """Some bytes; may call ``pause()`` on the response."""

    def finished(error: UpstreamError | None) -> None:
        """Called exactly once: None when the body is complete by its framing."""


class IUpstreamResponse(Interface):
    """A response whose header has arrived."""

    status: int = Attribute("status code")
    phrase: str = Attribute("reason phrase")
    headers: Headers = Attribute("header fields, hop-by-hop ones already removed")
    url: str = Attribute("the URL that answered, after redirects")
    hops: tuple[Hop, ...] = Attribute("redirects followed, first to last")
    length: int | None = Attribute("Content-Length, or None when unknown")
    reach: Reach = Attribute("the Reach that later requests to ``url`` may use")
    zone: Zone = Attribute("the kind of network that it came from")
    framed: bool = Attribute("whether the body says where it ends (else the connection does)")

    def deliver(receiver: IReceiver) -> None:
        """Start the flow of the body (once)."""

    def gather(left: int) -> None:
        """``left`` more bytes are wanted, and many at a time will do; may be called again."""

    def pause() -> None:
        """Stop reading from the socket."""

    def resume() -> None:
        """Read on."""

    def abort() -> None:
        """Close the connection at once; ``finished`` gets an error if the body was running."""


class IUpstream(Interface):
    """Speaks HTTP outward."""

    def request(
        outgoing: Outgoing, body: object | None = None, redirects: int = 0
    ) -> Deferred[IUpstreamResponse]:
        """Send a request, following up to ``redirects`` redirects.

        Fires when the header of the final response is there.  Fails with UpstreamError.
        Cancelling closes the connection.  ``body`` is an IBodyProducer; a request with a body
        follows no redirect.
        """
