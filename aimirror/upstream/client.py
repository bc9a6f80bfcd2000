"""The service's way outward: redirects followed, bodies handed over as they arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.http.egress import Outgoing, Reach
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop, IReceiver, IUpstream, IUpstreamResponse, UpstreamError
from aimirror.upstream.agent import Agents
from aimirror.upstream.countdown import Countdown
from aimirror.upstream.errors import explain
from aimirror.upstream.redirects import BadRedirect, Trail, same_origin
from aimirror.upstream.reply import Reply

#: Bytes of a redirect's body that are read to keep its connection; few say more than a line.
MAX_DRAINED = 16 * 1024
#: Seconds that reading it may take; a new connection takes less.
DRAIN_SECONDS = 1.0


@implementer(IUpstream)
class Upstream:
    """Speaks HTTP outward: no cookie jar, no decoding, fields as given.

    ``redirected`` is told the URL of each redirect that is followed.  ``name`` is added to
    CDN-Loop (RFC 8586), by which a request that comes back is known; "" adds nothing.  No redirect
    is followed to a URL that ``is_own``: from this machine more is open to a request than to its
    client.
    """

    def __init__(
        self,
        agents: Agents,
        redirected: Callable[[str], None] = lambda url: None,
        name: str = "",
        is_own: Callable[[str], bool] = lambda url: False,
    ) -> None:
        self._agents = agents
        self._redirected = redirected
        self._name = name
        self._is_own = is_own

    def request(
        self, outgoing: Outgoing, body: object | None = None, redirects: int = 0
    ) -> Deferred[IUpstreamResponse]:
        """Send a request, following up to ``redirects`` redirects of a GET or HEAD.

        Fires with the final response's header; with ``redirects`` 0 a redirect is that.  Fails
        with UpstreamError.  Cancelling closes the connection.  ``body`` is an IBodyProducer,
        sent with Content-Length or, when its length is unknown, chunked.
        """
        producer = cast("IBodyProducer | None", body)
        if self._name:
            outgoing = outgoing.asking(Headers([*outgoing.headers, ("CDN-Loop", self._name)]))
        trail = Trail(outgoing, 0 if body is not None else redirects)
        return Deferred.fromCoroutine(self._request(trail, producer))

    async def _request(self, trail: Trail, body: IBodyProducer | None) -> IUpstreamResponse:
        hops: list[Hop] = []
        following = trail.budget > 0
        while True:
            try:
                reply = await self._agents.sending(trail.outgoing, body)
            except UpstreamError as error:
                if not hops:
                    raise
                raise UpstreamError(error.reason, error.detail, redirected=True) from error
            headers = reply.head.headers.end_to_end()
            try:
                onward = None
                if following:
                    onward = trail.next_hop(reply.code, headers, reply.zone)
                if onward is not None and self._is_own(onward.outgoing.url):
                    raise BadRedirect("a redirect leads to this mirror itself")
            except BadRedirect as error:
                reply.abortConnection()
                raise UpstreamError(Reason.REDIRECTS, str(error)) from None
            url = trail.outgoing.url
            if onward is None:
                reach = trail.outgoing.egress.reach
                return UpstreamResponse(reply, headers, url, tuple(hops), reach)
            drain = _Drain(reply, self._agents.clock)
            if same_origin(url, onward.outgoing.url):
                await drain.done  # then the connection is free for the next request
            self._redirected(onward.outgoing.url)
            hops.append(Hop(reply.code, url, headers))
            trail = onward


@implementer(IUpstreamResponse)
class UpstreamResponse:
    """A response whose header has arrived; owns its connection until the body ends."""

    def __init__(
        self, reply: Reply, headers: Headers, url: str, hops: tuple[Hop, ...], reach: Reach
    ) -> None:
        head = reply.head
        self.status = head.status
        self.phrase = head.phrase
        self.headers = headers
        self.url = url
        self.hops = hops
        self.length = head.length
        self.reach = reach
        self.zone = reply.zone
        #: Whether the framing tells a complete body from a cut one; without it, whatever came
        #: before the peer closed counts as complete, and must not be kept as such.
        self.framed = (
            head.chunked
            or head.length is not None
            or head.status in (204, 304)
            or reply.request.method == b"HEAD"
        )
        self._reply = reply

    def deliver(self, receiver: IReceiver) -> None:
        """Start the flow of the body (once); ``finished`` may be called at once."""
        whole = self._reply.at_hand()
        if whole is not None:
            if whole:
                receiver.data(whole)
            receiver.finished(None)
            return
        self._reply.deliverBody(_Delivery(receiver))

    def gather(self, left: int) -> None:
        """See IUpstreamResponse."""
        self._reply.gather(left)

    def pause(self) -> None:
        """Stop reading from the socket; what was read already (256 KiB at most) still comes."""
        self._reply.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self._reply.resumeProducing()

    def abort(self) -> None:
        """Close the connection at once, also before ``deliver``."""
        self._reply.abortConnection()


class _Delivery(Protocol):
    """A body protocol that feeds a receiver."""

    def __init__(self, receiver: IReceiver) -> None:
        self._receiver = receiver

    def dataReceived(self, data: bytes) -> None:
        self._receiver.data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        complete = reason.check(ResponseDone, PotentialDataLoss)
        self._receiver.finished(None if complete else explain(reason.value))


class _Drain(Protocol):
    """Reads a redirect's body to its end, so that the connection can be used again.

    Closes it instead when the body is long or slow.  ``done`` fires when either is over;
    cancelling it closes the connection.
    """

    def __init__(self, reply: Reply, clock: IReactorTime) -> None:
        self._reply = reply
        self._left = MAX_DRAINED
        self._countdown = Countdown(clock, DRAIN_SECONDS, reply.abortConnection)
        self._countdown.restart()
        self.done: Deferred[None] = Deferred(lambda _: reply.abortConnection())
        reply.deliverBody(self)

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._reply.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._countdown.stop()
        if not self.done.called:
            self.done.callback(None)
