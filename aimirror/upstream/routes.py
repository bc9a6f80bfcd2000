"""Making a connection for requests: directly, to a proxy, or through one, TLS included."""

from __future__ import annotations

from collections.abc import Hashable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.http.egress import Egress, Zone
from aimirror.http.targets import Target
from aimirror.interfaces import UpstreamError
from aimirror.upstream.addresses import permitted, zone
from aimirror.upstream.connection import Connection
from aimirror.upstream.dialing import Dialer
from aimirror.upstream.errors import explain
from aimirror.upstream.proxies import Proxy, ProxyKind
from aimirror.upstream.tls import ClientTLSFactory
from aimirror.upstream.trust import Policies
from aimirror.upstream.ways import Way


@implementer(IStreamClientEndpoint)
class Route:
    """How a target's host is reached; ``connect`` fires with a Connection ready to be used."""

    def __init__(
        self,
        reactor: IReactorTime,
        dialer: Dialer,
        tls: Policies,
        target: Target,
        egress: Egress,
        seconds: float,
    ) -> None:
        self._reactor = reactor
        self._tls = tls
        self._target = target
        self._reach = egress.reach
        self._trust = egress.trust
        self._seconds = seconds
        self._way = way = Way(reactor, dialer, tls, target, egress, seconds)
        #: The host, and its port where it is not the usual one: what connections are counted by.
        self.host = target.authority
        #: The proxy that is crossed, None when there is none.
        self.proxy: Proxy | None = way.proxy
        #: Whether requests are addressed to the proxy itself, in absolute form.
        self.absolute = self.proxy is not None and self.proxy.kind.http and target.scheme == "http"
        #: Connections with one key go to one place; who may use them ``admits`` tells.
        self.key: Hashable = (self.proxy, None if self.absolute else target.origin, self._trust)

    def admits(self, connection: Connection) -> bool:
        """Whether an idle connection, dialled under another reach perhaps, may be used."""
        if connection.admitted_by is not self:
            address = connection.address
            if address is not None and not permitted(self._reach, self._target.host, address):
                return False
            connection.admitted_by = self
        return True

    def judge(self) -> None:
        """See ``Way.judge``."""
        self._way.judge()

    def zone(self, connection: Connection) -> Zone:
        """The kind of network that answers; behind a proxy only literal targets tell theirs."""
        if connection.zone is None:
            address = connection.address or self._target.literal
            kind = Zone.PUBLIC if address is None else zone(address)
            if connection.address is None:
                return kind  # of this target alone
            connection.zone = kind
        return connection.zone

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
        if not self.absolute:
            dialled, address = await self._way.open(factory)
            connection = cast(Connection, dialled)
            connection.address = address
            return connection
        connection = cast(Connection, await self._way.open_proxy(factory))
        if self.proxy is not None and self.proxy.kind is ProxyKind.HTTPS:
            await connection.secured()
        return connection

    async def _secure(self, factory: IProtocolFactory) -> IProtocol:
        policy = self._tls.policy(self._trust)
        creator = policy.creatorForNetloc(self._target.host.encode("ascii"), self._target.port)
        wrapping = ClientTLSFactory(creator, True, factory, self._reactor)
        secure, address = await self._way.open(wrapping)
        connection = cast(Connection, secure.wrappedProtocol)  # type: ignore[attr-defined]
        await connection.secured()
        connection.address = address
        return connection


def _naming(error: UpstreamError, host: str) -> UpstreamError:
    """The same with the host in its detail."""
    if host in error.detail or error.reason is Reason.CANCELLED:
        return error
    return UpstreamError(error.reason, f"{host}: {error.detail}" if error.detail else host)
