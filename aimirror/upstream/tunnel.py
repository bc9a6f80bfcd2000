"""Tunnels through an upstream proxy: how they are asked for, and who has the socket then."""

from __future__ import annotations

from base64 import b64encode
from typing import Protocol as Shape
from typing import cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.heads import Head, Malformed, take
from aimirror.upstream.proxies import Proxy, login_wanted

PROXY_AUTHENTICATION_REQUIRED = 407


class Crossing(Shape):
    """What is said to a proxy until it has connected us; without I/O."""

    #: Whether the tunnel is open.
    done: bool

    def begin(self) -> bytes:
        """What is sent first."""

    def receive(self, buffer: bytearray) -> bytes:
        """Take whole messages off the buffer; what is to be sent.

        Raises UpstreamError or Malformed; the latter's text says what "the upstream proxy" did.
        """


def authorization(proxy: Proxy) -> str:
    """The value of Proxy-Authorization (RFC 7617), "" without a login."""
    if proxy.login is None:
        return ""
    return "Basic " + b64encode(b":".join(proxy.login)).decode("ascii")


def refused(head: Head, proxy: Proxy) -> UpstreamError:
    """Why a proxy does not let us through, and what can be done."""
    why = f"the upstream proxy answered {head.status}"
    if head.status == PROXY_AUTHENTICATION_REQUIRED:
        why = f"{why}: {login_wanted(head.headers.get_all('proxy-authenticate'), proxy)}"
    return UpstreamError(Reason.CONNECT, why)


class ConnectCrossing:
    """Asks an HTTP proxy for a tunnel (RFC 9110 section 9.3.6) to ``authority``, host:port."""

    def __init__(self, authority: str, proxy: Proxy) -> None:
        self._authority = authority
        self._authorization = authorization(proxy)
        self._proxy = proxy
        self.done = False

    def begin(self) -> bytes:
        """The request."""
        lines = [f"CONNECT {self._authority} HTTP/1.1", f"Host: {self._authority}"]
        if self._authorization:
            lines.append(f"Proxy-Authorization: {self._authorization}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")

    def receive(self, buffer: bytearray) -> bytes:
        """The answer."""
        while not self.done and (taken := take(buffer)) is not None:
            head, end = taken
            del buffer[:end]
            if head.status >= 300:
                raise refused(head, self._proxy)
            self.done = head.status >= 200
        return b""


class Tunnel(Protocol):
    """Crosses a proxy, then hands the socket's bytes to the protocol inside."""

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing
        self._pending = bytearray()
        self._lost: Failure | None = None
        self._waiter: Deferred[None] | None = None
        self._inner: IProtocol | None = None

    def opened(self) -> Deferred[None]:
        """Fires when the proxy said yes; fails with UpstreamError or why the socket closed."""
        if self._lost is not None:
            return fail(self._lost)
        if self._crossing.done:
            return succeed(None)
        self._waiter = Deferred(self._stop_waiting)
        return self._waiter

    def _stop_waiting(self, waiter: Deferred[None]) -> None:
        self._waiter = None
        self._transport().abortConnection()

    def enter(self, factory: IProtocolFactory) -> IProtocol:
        """Build the protocol inside and connect it; from now on it owns the socket."""
        inner = factory.buildProtocol(self._transport().getPeer())
        if inner is None or self._lost is not None:
            self._transport().abortConnection()
            raise UpstreamError(Reason.RESET, "the proxy closed the tunnel")
        self._inner = inner
        if IHalfCloseableProtocol.providedBy(inner):
            directlyProvides(self, IHalfCloseableProtocol)
        inner.makeConnection(self._transport())
        early, self._pending = bytes(self._pending), bytearray()
        if early:  # the host may speak first
            inner.dataReceived(early)
        return inner

    def connectionMade(self) -> None:
        """Ask."""
        self._transport().write(self._crossing.begin())

    def dataReceived(self, data: bytes) -> None:
        """The proxy's answer, then what comes through."""
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._pending += data
        try:
            said = self._crossing.receive(self._pending)
        except (Malformed, UpstreamError) as error:
            self._lost = Failure(_as_refusal(error))
            self._transport().abortConnection()
            self._settle()
            return
        if said:
            self._transport().write(said)
        if self._crossing.done:
            self._settle()

    def readConnectionLost(self) -> None:
        """The other side sends no more (IHalfCloseableProtocol)."""
        cast(IHalfCloseableProtocol, self._inner).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Our own end was sent (IHalfCloseableProtocol)."""
        cast(IHalfCloseableProtocol, self._inner).writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is gone."""
        self._lost = self._lost or reason
        if self._inner is not None:
            self._inner.connectionLost(reason)
        self._settle()

    def _settle(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        if self._lost is not None:
            waiter.errback(self._lost)
        else:
            waiter.callback(None)

    def _transport(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)


def _as_refusal(error: Exception) -> UpstreamError:
    if isinstance(error, UpstreamError):
        return error
    return UpstreamError(Reason.CONNECT, f"the upstream proxy: {error}")


class TunnelFactory(Factory):
    """Builds one Tunnel per dialled proxy."""

    noisy = False

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing

    def buildProtocol(self, addr: IAddress | None) -> Tunnel:
        """A tunnel that asks as soon as it is connected."""
        return Tunnel(self._crossing)
