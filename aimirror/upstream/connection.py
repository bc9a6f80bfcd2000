"""One kept-alive connection to an upstream or proxy."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHandshakeListener,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Client
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request, RequestNotSent
from twisted.web.iweb import IResponse
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.http.egress import Address, Zone
from aimirror.interfaces import UpstreamError
from aimirror.upstream.errors import HTTP2_ONLY
from aimirror.upstream.heads import Head, Malformed, take
from aimirror.upstream.host import Permit, Spare
from aimirror.upstream.incoming import Bare, Incoming
from aimirror.upstream.pouring import Pouring

#: Bytes of a body taken in before anybody asked for it: an early answer to an upload is lost
#: with the connection unless all of it was read.  One read more may be held.
EARLY_BODY = 64 * 1024

#: Interim (1xx) answers before the final one; 100 and 103 come once each.
MAX_INTERIM = 8

#: How a server begins that speaks HTTP/2 unasked: a SETTINGS frame (RFC 9113 section 3.4).
_SETTINGS = re.compile(rb"\0[\0-\xff]{2}\x04[\0\x01]\0{4}")

#: What ends an answer that is whole, in Twisted's words.
_OVER = ConnectionDone("synthetic!")
_IN_FLIGHT = ("TRANSMITTING", "WAITING")


@implementer(IHandshakeListener)
class Connection(HTTP11ClientProtocol):
    """Twisted's HTTP/1.1 client with a strict gate in front of its parser; owns its socket.

    Answers to requests without a body, which are nearly all, are read by ``Incoming`` instead.

    Twisted's parser bounds neither the header's size nor its number of fields, takes a
    ``Connection: Close`` for keep-alive and puts a connection back into the pool although bytes
    beyond the response came.  So each header is read by ``heads`` first, interim ones are
    skipped, and a connection whose framing is in doubt is never used again.
    """

    #: The address that was dialled, None behind a proxy.
    address: Address | None = None
    #: The kind of network that it is in, once somebody has asked; the route that took it last.
    zone: Zone | None = None
    admitted_by: object | None = None
    #: Requests sent so far, this one included.
    exchanges = 0
    #: The header of the response under way.
    head: Head | None = None
    #: Whether a byte of the response under way came.
    answered = False
    #: Whether somebody takes the body of the response under way.
    claimed = False
    #: Why the connection ended, None while it lives.
    lost: Failure | None = None
    #: Where the present exchange, and the idle connection, are counted.
    host = ""
    permit: Permit | None = None
    spare: Spare | None = None

    _fault: UpstreamError | None = None
    _secured = False
    _waiter: Deferred[None] | None = None
    _sent: Request | Bare | None = None
    #: Who reads the answer under way, None where that is Twisted.
    _incoming: Incoming | None = None
    #: Bytes of its header.
    _head_size = 0
    _pouring: Pouring | None = None

    def __init__(self, quiescent: Callable[[Connection], None]) -> None:
        super().__init__(partial(Connection._idle, quiescent=quiescent))  # type: ignore[no-untyped-call]
        self._pending = bytearray()
        self._interim = 0
        self._early = 0

    def secured(self) -> Deferred[None]:
        """Fires when the TLS handshake is through; fails with what ended it."""
        if self.lost is not None:
            return fail(self.lost)
        if self._secured:
            return succeed(None)
        self._waiter = Deferred(self._stop_waiting)
        return self._waiter

    def _stop_waiting(self, waiter: Deferred[None]) -> None:
        self._waiter = None
        self.drop()

    def handshakeCompleted(self) -> None:
        """The TLS layer below is up (IHandshakeListener)."""
        self._secured = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    def exchange(self, request: Request | Bare) -> Deferred[IResponse]:
        """Send a request; fires with the response once its header is there."""
        self.exchanges += 1
        self.head, self.answered, self.claimed = None, False, False
        self._interim, self._early = 0, 0
        self._incoming = None
        self._stop_pouring()
        self._sent = request
        return self._ask(request) if isinstance(request, Bare) else self.request(request)

    def _ask(self, request: Bare) -> Deferred[IResponse]:
        """As Twisted does for requests with a body, of which this has none."""
        if self._state != "QUIESCENT":
            return fail(RequestNotSent())
        self._state = "WAITING"
        finish, cancelled = self._finishResponse, self._cancelled
        incoming = Incoming(request, self.exchanges, self.transport, finish, cancelled)
        self._currentRequest = cast(Request, request)
        self._incoming = self._parser = self._transportProxy = incoming  # type: ignore[assignment]
        self._finishedRequest = self._responseDeferred = incoming.answer
        self._write(request.wire)
        return incoming.answer

    def _cancelled(self, _: Deferred[IResponse]) -> None:
        """Nobody waits for the header any more."""
        cast(ITCPTransport, self.transport).abortConnection()
        self._disconnectParser(Failure(CancelledError()))  # type: ignore[no-untyped-call]

    def _write(self, data: bytes) -> None:
        """Write at once where the transport is a socket, and else as it can."""
        transport: Any = self.transport
        if type(transport) is Client and not (transport.dataBuffer or transport._tempDataLen):
            with suppress(OSError):  # it is met again where it can be reported
                data = data[transport.socket.send(data) :]
        if data:
            transport.write(data)

    @property
    def in_flight(self) -> bool:
        """Whether a request or its response is under way."""
        return self.state in _IN_FLIGHT

    @property
    def sending(self) -> bool:
        """Whether the request is still going out."""
        return bool(self.state.startswith("TRANSMITTING"))

    def _idle(self, quiescent: Callable[[Connection], None]) -> None:
        """The exchange is over and the connection may serve another one."""
        self._release()
        quiescent(self)

    def _release(self) -> None:
        """Tell those who count that no exchange is under way."""
        permit, self.permit = self.permit, None
        if permit is not None:
            permit.release()
        if self.lost is not None and self.spare is not None:
            self.spare.drop()

    def gather(self, count: int) -> None:
        """Be woken for so many bytes at a time; nothing happens where there is no socket."""
        below: Any = self.transport
        while below is not None and not hasattr(below, "socket"):
            below = getattr(below, "transport", None)
        if below is not None:
            with suppress(OSError):
                below.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def pour(self, take: Callable[[memoryview], None]) -> None:
        """See ``Reply.pour``; nothing happens where the body's end is not known by its length."""
        incoming = self._incoming
        if incoming is not None and self._pouring is None and (incoming.left or 0) > 1:
            self._pouring = Pouring.at(
                self.transport, incoming=incoming, take=take, rest=self.dataReceived
            )

    def _stop_pouring(self) -> None:
        pouring, self._pouring = self._pouring, None
        if pouring is not None:
            pouring.end()

    def drop(self) -> None:
        """Close the socket at once, and let no request follow on it."""
        self._stop_pouring()
        if self._sent is not None:
            self._sent.persistent = False  # a response that ends meanwhile must not be the pool's
        if self.lost is not None:
            self._release()
        elif self.transport is not None:
            cast(ITCPTransport, self.transport).abortConnection()

    def fail(self, error: UpstreamError) -> None:
        """Close the socket at once; the exchange under way fails with ``error``."""
        self._fault = self._fault or error
        self.drop()

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the upstream: a header is held until it is whole and was read."""
        if not self.in_flight:  # nobody asked: the next request must not get this as its answer
            self.fail(UpstreamError(Reason.PROTOCOL, HTTP2_ONLY if _SETTINGS.match(data) else ""))
        elif self._fault is None:
            self.answered = True
            if self._incoming is not None:
                self._pass_on(self._incoming, data)
                return
            gated = data if self.head is not None else self._gate(data)
            if gated:
                exchange = self.exchanges
                super().dataReceived(gated)  # type: ignore[no-untyped-call]
                if exchange == self.exchanges:  # the end of a response may start the next request
                    self._hold_early(len(gated))

    def _pass_on(self, incoming: Incoming, data: bytes) -> None:
        try:
            if self.head is not None:
                incoming.dataReceived(data)
            elif whole := self._gate(data):
                head = self.head
                assert head is not None
                if self.permit is not None:
                    self.permit.answered()
                    if head.status < 400:
                        self.permit.works()
                incoming.begin(head, whole[self._head_size :])
        except Exception:  # the body's framing, or who gets the body
            self._giveUp(Failure())  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is gone; whoever waits gets the fault that we found, or else ``reason``."""
        self.lost = Failure(self._fault) if self._fault is not None else reason
        self._stop_pouring()
        self._release()
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.errback(self.lost)
        super().connectionLost(self.lost)  # type: ignore[no-untyped-call]

    def _gate(self, data: bytes) -> bytes:
        """What may go to the parser: nothing until a final header is complete."""
        self._pending += data
        if _SETTINGS.match(self._pending):
            self.fail(UpstreamError(Reason.PROTOCOL, HTTP2_ONLY))
            return b""
        try:
            taken = self._final_head()
        except Malformed as error:
            self.fail(UpstreamError(Reason.PROTOCOL, str(error)))
            return b""
        if taken is None:
            return b""
        self.head = taken
        if self._sent is not None and not taken.persistent:
            self._sent.persistent = False  # read by Twisted when the response ends
        whole, self._pending = bytes(self._pending), bytearray()
        return whole

    def _final_head(self) -> Head | None:
        while (taken := take(self._pending)) is not None:
            head, end = taken
            if head.status >= 200:
                self._head_size = end
                return head
            self._interim += 1
            if head.status == 101 or self._interim > MAX_INTERIM:
                raise Malformed(f"unexpected {head.status} responses")
            del self._pending[:end]
        return None

    def _hold_early(self, count: int) -> None:
        """Read a little of a body that nobody has claimed yet, then wait."""
        if self.claimed or not self.in_flight or self.transport is None:
            return
        self._early += count
        transport = cast(ITCPTransport, self.transport)
        if self._early > EARLY_BODY:
            transport.pauseProducing()  # type: ignore[attr-defined]
        elif self.state == "TRANSMITTING":
            transport.resumeProducing()  # type: ignore[attr-defined]

    def _finishResponse(self, rest: bytes) -> None:
        sent = self._sent
        if rest and sent is not None:  # of unknown meaning (RFC 9112 section 6.3)
            sent.persistent = False
        if self._incoming is None or self._parser is None or self._state != "WAITING":
            super()._finishResponse(rest)
        elif sent is not None and sent.persistent:
            self._state = "QUIESCENT"
            self._again()
        else:
            self._state = "QUIESCENT"
            self._giveUp(Failure._withoutTraceback(_OVER))  # type: ignore[no-untyped-call]

    def _again(self) -> None:
        """As Twisted does where a connection may serve another request, in fewer steps."""
        transport: Any = self.transport
        transport.resumeProducing()
        try:
            self._quiescentCallback(self)
        except Exception:  # it is lost to the pool, and its answer is whole all the same
            self._log.failure("a connection could not be kept")
            transport.loseConnection()
        self._disconnectParser(_OVER)  # type: ignore[no-untyped-call]
