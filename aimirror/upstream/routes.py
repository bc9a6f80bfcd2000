"""Making a connection: directly, to a proxy, or through one, TLS included."""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import ip_address
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from aimirror.core.addresses import permitted, zone
from aimirror.core.fetching import ANYWHERE, Address, Egress, Reason, Zone
from aimirror.core.targets import Target
from aimirror.interfaces import UpstreamError
from aimirror.upstream.connection import Connection
from aimirror.upstream.dialing import Dialer
from aimirror.upstream.errors import explain
from aimirror.upstream.tls import ClientTLSFactory
from aimirror.upstream.tunnel import (
    Proxy,
    Tunnel,
    TunnelFactory,
    bypassed,
    connect_request,
    parse_proxy,
)

#: Names that mean this machine wherever they are resolved (RFC 6761 section 6.3).
_LOCALHOST = "localhost"


@implementer(IStreamClientEndpoint)
class Route:
    """How one target is reached; ``connect`` fires with a Connection that is ready to be used."""

    def __init__(
        self,
        reactor: IReactorTime,
        dialer: Dialer,
        tls: IPolicyForHTTPS,
        target: Target,
        egress: Egress,
        seconds: float,
    ) -> None:
        self._reactor = reactor
        self._dialer = dialer
        self._tls = tls
        self._target = target
        self._egress = egress
        self._seconds = seconds
        direct = not egress.proxy or bypassed(target.host, egress.no_proxy)
        #: The proxy that is crossed, None when there is none.
        self.proxy: Proxy | None = None if direct else parse_proxy(egress.proxy)

    @property
    def absolute(self) -> bool:
        """Whether requests are addressed to the proxy itself, in absolute form."""
        return self.proxy is not None and self._target.scheme == "http"

    @property
    def key(self) -> Hashable:
        """Connections with one key go to one place; who may use them ``admits`` tells."""
        return self.proxy, None if self.absolute else self._target.origin

    def admits(self, connection: Connection) -> bool:
        """Whether an idle connection, dialled under another reach perhaps, may be used."""
        address = connection.address
        return address is None or permitted(self._egress.reach, self._target.host, address)

    def judge(self) -> None:
        """Refuse what is known before a name is resolved, also on a connection to a proxy.

        A proxy resolves names itself; what can be judged here are literal addresses and
        localhost.  Raises UpstreamError(FORBIDDEN).
        """
        host = self._target.host
        local = host.rstrip(".").rpartition(".")[2] == _LOCALHOST
        address = ip_address("127.0.0.1") if local else self._target.literal
        if address is not None and not permitted(self._egress.reach, host, address):
            raise UpstreamError(Reason.FORBIDDEN, host)

    def zone(self, connection: Connection) -> Zone:
        """The kind of network that answers; behind a proxy only literal targets tell theirs."""
        address = connection.address or self._target.literal
        return Zone.PUBLIC if address is None else zone(address)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Dial, cross the proxy and shake hands, all within the connect time-out.

        Fails with UpstreamError; cancelling closes the socket.
        """
        connecting: Deferred[IProtocol] = Deferred.fromCoroutine(self._connect(protocolFactory))
        late = UpstreamError(Reason.CONNECT, f"{self._target.host}: timed out")
        return connecting.addTimeout(
            self._seconds, self._reactor, lambda _result, _seconds: Failure(late)
        )

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        try:
            self.judge()
            if self._target.scheme == "http":
                return await self._plain(factory)
            return await self._secure(factory)
        except Exception as error:
            raise _naming(explain(error), self._target.host) from None

    async def _plain(self, factory: IProtocolFactory) -> IProtocol:
        dialled, address = await self._dial(factory)
        return self._placed(dialled, address)

    async def _secure(self, factory: IProtocolFactory) -> IProtocol:
        creator = self._tls.creatorForNetloc(self._target.host.encode("ascii"), self._target.port)
        wrapping = ClientTLSFactory(creator, True, factory, self._reactor)
        if self.proxy is None:
            secure, address = await self._dial(wrapping)
        else:
            asking = TunnelFactory(connect_request(self._target, self.proxy))
            dialled, address = await self._dial(asking)
            tunnel = cast(Tunnel, dialled)
            await tunnel.opened()
            secure = tunnel.enter(wrapping)
        connection = cast(Connection, secure.wrappedProtocol)  # type: ignore[attr-defined]
        await connection.secured()
        return self._placed(connection, address)

    def _placed(self, protocol: IProtocol, address: Address) -> Connection:
        """A connection that knows where it leads; what a proxy dials we never learn."""
        connection = cast(Connection, protocol)
        connection.address = address if self.proxy is None else None
        return connection

    async def _dial(self, factory: IProtocolFactory) -> tuple[IProtocol, Address]:
        """Dial the target, or its proxy, which the administrator wrote down."""
        target, reach = self._target, self._egress.reach
        if self.proxy is None:
            return await self._dialer.dial(target.host, target.port, reach, self._seconds, factory)
        return await self._dialer.dial(
            self.proxy.host, self.proxy.port, ANYWHERE, self._seconds, factory
        )


def _naming(error: UpstreamError, host: str) -> UpstreamError:
    """The same with the host in its detail."""
    if host in error.detail or error.reason is Reason.CANCELLED:
        return error
    return UpstreamError(error.reason, f"{host}: {error.detail}" if error.detail else host)
