"""A response on the wire: Twisted's, with an end that can be trusted and a way to cut it off."""

from __future__ import annotations

from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers as WireHeaders
from twisted.web.iweb import IClientRequest, IResponse
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.http.egress import Zone
from aimirror.interfaces import UpstreamError
from aimirror.upstream.connection import Connection
from aimirror.upstream.countdown import Countdown
from aimirror.upstream.errors import explain
from aimirror.upstream.flow import Flow
from aimirror.upstream.gathering import Pace
from aimirror.upstream.heads import Head
from aimirror.upstream.incoming import Incoming


@implementer(IResponse, IPushProducer)
class Reply:
    """An IResponse, and at the same time the transport that its body protocol sees.

    The body protocol's ``connectionLost`` gets ResponseDone when the body is complete,
    PotentialDataLoss when it had no length and the peer closed in the regular way, else an
    UpstreamError.  After ``silence`` seconds without a byte, pauses not counted, it is SILENT;
    a body that nobody claims for that long is cut off, too.
    """

    def __init__(
        self,
        response: IResponse | Incoming,
        head: Head,
        connection: Connection,
        zone: Zone,
        clock: IReactorTime,
        silence: float,
    ) -> None:
        self._response = response
        self._connection = connection
        self._exchange = response.number if isinstance(response, Incoming) else connection.exchanges
        self._over = not connection.in_flight or connection.exchanges != self._exchange
        #: None once the body is over.
        self._silence = None if self._over else Countdown(clock, silence, self._silent)
        self._paused = False
        self._clock = clock
        self._flow: Flow | None = None
        self._relay: _Relay | None = None
        #: The header in wire order and spelling, hop-by-hop fields and all.
        self.head = head
        #: The kind of network it came from.
        self.zone = zone
        self.code = head.status
        self.request: IClientRequest = response.request
        self.previousResponse: IResponse | None = None
        if self._silence is not None:
            self._silence.restart()

    @property
    def version(self) -> tuple[bytes, int, int]:
        """The protocol (IResponse)."""
        version: tuple[bytes, int, int] = self._response.version
        return version

    @property
    def phrase(self) -> bytes:
        """What the status line says beside the status (IResponse)."""
        phrase: bytes = self._response.phrase
        return phrase

    @property
    def length(self) -> object:
        """Bytes of the body, as far as it is known (IResponse)."""
        return self._response.length

    @property
    def headers(self) -> WireHeaders:
        """The fields as Twisted has them."""
        fields: WireHeaders = self._response.headers
        return fields

    def at_hand(self) -> bytes | None:
        """All of a body that came whole with its header, which is taken now; else None."""
        return self._response.at_hand() if isinstance(self._response, Incoming) else None

    def setPreviousResponse(self, response: IResponse) -> None:
        """Note the redirect that led here (IResponse)."""
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:
        """Let the body flow into ``protocol``, once."""
        if self._current():
            self._connection.claimed = True
            self._listen()
        self._relay = _Relay(self, protocol)
        self._response.deliverBody(self._relay)

    def pauseProducing(self) -> None:
        """Stop reading; bytes read already (up to one read's worth of TLS records) still come."""
        if self._current():
            self._paused = True
            self._stop_listening()
            self._transport().pauseProducing()  # type: ignore[attr-defined]

    def resumeProducing(self) -> None:
        """Read on."""
        if self._current():
            self._paused = False
            self._listen()
            self._transport().resumeProducing()  # type: ignore[attr-defined]

    def stopProducing(self) -> None:
        """Cut the body off (IPushProducer)."""
        self.abortConnection()

    def loseConnection(self) -> None:
        """Cut the body off."""
        self.abortConnection()

    def abortConnection(self) -> None:
        """Close the socket at once, before or during delivery; nothing happens after the end."""
        self.cut(UpstreamError(Reason.CANCELLED))

    def cut(self, error: UpstreamError) -> None:
        """Close the socket at once; the body protocol gets ``error``."""
        self._stop_listening()
        self._stop_gathering()
        if self._current():
            self._connection.fail(error)

    def moved(self, count: int) -> None:
        """Bytes came: the silence is broken."""
        if not self._paused and self._current():
            self._listen()
        if self._flow is not None:
            self._flow.moved(count)

    def ended(self, reason: Failure) -> Failure:
        """Why the body ended, judged by its framing and by how the peer closed."""
        self._over = True
        self._stop_listening()
        self._silence = self._relay = None  # they know us: nothing is left for the collector
        self._stop_gathering()
        lost = self._connection.lost
        if reason.check(PotentialDataLoss) and lost is not None and not lost.check(ConnectionDone):
            return Failure(explain(lost.value))  # Twisted takes even a reset for an end
        if reason.check(ResponseDone, PotentialDataLoss):
            return reason
        return Failure(explain(reason.value))

    def gather(self, left: int, pace: Pace | None = None) -> None:
        """Let the kernel gather bytes before it wakes us: ``left`` more of the body are wanted.

        May be called again when fewer are wanted; see ``gathering``.
        """
        if self._flow is not None:
            self._flow.shorten(left)
        elif self._current():
            self._flow = Flow(self._clock, self._connection.gather, left, pace)

    def pour(self) -> None:
        """Read the rest of the body straight from the socket, as far as that can be done.

        To be called after ``deliverBody``, whose protocol gets memoryviews from now on: what is
        in one is gone after the call.
        """
        if self._relay is not None and self._current():
            self._connection.pour(self._relay.dataReceived)

    def _listen(self) -> None:
        """Count the seconds of silence from now on."""
        if self._silence is not None:
            self._silence.restart()

    def _stop_listening(self) -> None:
        if self._silence is not None:
            self._silence.stop()

    def _stop_gathering(self) -> None:
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.stop()

    @property
    def kept(self) -> bool:
        """Whether the body is over and its connection waits for the next request."""
        return self._over and self._connection.state == "QUIESCENT"

    def _current(self) -> bool:
        """Whether the connection still works on this response and on no later one."""
        connection = self._connection
        mine = connection.exchanges == self._exchange and connection.lost is None
        return mine and not self._over and connection.in_flight

    def _silent(self) -> None:
        self.cut(UpstreamError(Reason.SILENT, "in the body"))

    def _transport(self) -> ITCPTransport:
        return cast(ITCPTransport, self._connection.transport)


class _Relay(Protocol):
    """Stands between Twisted's response and the body protocol."""

    def __init__(self, reply: Reply, protocol: IProtocol) -> None:
        self._reply = reply
        self._protocol = protocol

    def connectionMade(self) -> None:
        self._protocol.makeConnection(self._reply)  # type: ignore[arg-type]

    def dataReceived(self, data: bytes | memoryview) -> None:
        self._reply.moved(len(data))
        self._protocol.dataReceived(data)  # type: ignore[arg-type]  # see Reply.pour

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._protocol.connectionLost(self._reply.ended(reason))
