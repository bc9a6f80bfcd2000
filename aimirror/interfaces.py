"""Interfaces with a real and a fake implementation: the seams of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import Attribute, Interface

from aimirror.download.tasks import Reason
from aimirror.http.egress import Reach, Zone
from aimirror.http.headers import Headers

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from aimirror.download.tasks import FetchResult, FetchTask, HashTask
    from aimirror.http.egress import Outgoing


class UpstreamError(Exception):
    """An upstream could not be asked or fell over midway; ``detail`` names no credential."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class BodyFailed(Exception):
    """A body can't be completed: its readers must be cut off, never ended cleanly."""

    def __init__(self, detail: str, reason: Reason = Reason.DISK) -> None:
        super().__init__(detail)
        self.reason = reason


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


class IFetch(Interface):
    """A piece in flight."""

    result: Deferred[FetchResult] = Attribute("fires once with a FetchResult, never fails")

    def trim(stop: int) -> None:
        """End earlier: bytes from ``stop`` on are somebody else's."""

    def cancel() -> None:
        """Give up; ``result`` fires with CANCELLED (or what it had come to)."""


class IPool(Interface):
    """The worker processes as the parent sees them."""

    def fetch(task: FetchTask, wrote: Callable[[int, int], None]) -> IFetch:
        """Have a piece fetched; ``wrote(start, stop)`` is called as its bytes get readable.

        ``task.id`` is the caller's own; the pool gives its workers numbers of its own.
        """

    def hash(task: HashTask) -> Deferred[dict[str, str]]:
        """Digests (algorithm -> hex) of ``[0, stop)``; fails with OSError."""

    def forget(key: str) -> None:
        """Drop the hashing state of a key."""


class IBodyReader(Interface):
    """One client's place in a body."""

    fd: int = Attribute("file descriptor for pread and sendfile; owned by the body")
    position: int = Attribute("the next byte to send")
    stop: int | None = Attribute("where this reader ends, None while the size is unknown")

    def ready() -> int:
        """How many bytes can be read at ``position`` now."""

    def wait() -> Deferred[None]:
        """Fires when ``ready() > 0`` or the end is reached; fails with BodyFailed."""

    def advance(count: int) -> None:
        """``count`` bytes were sent."""

    def ended() -> bool:
        """Whether all bytes up to ``stop`` were sent (False while the end is unknown)."""

    def close() -> None:
        """Leave; idempotent."""


class IBody(Interface):
    """A file with readable spans: a stored blob or a running download."""

    size: int | None = Attribute("total bytes, None while unknown")
    complete: bool = Attribute("whether every byte is readable and verified")

    def reader(start: int, stop: int | None) -> IBodyReader:
        """A reader of ``[start, stop)``; ``stop=None`` reads to the end."""
