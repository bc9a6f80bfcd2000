"""The way to one host and port: a socket dialled directly, or through a proxy."""

from __future__ import annotations

from ipaddress import ip_address
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Address, Egress
from aimirror.http.targets import BadTarget, Target
from aimirror.interfaces import UpstreamError
from aimirror.upstream.addresses import permitted
from aimirror.upstream.dialing import Dialer
from aimirror.upstream.errors import explain
from aimirror.upstream.proxies import Proxy, ProxyKind, bypassed, parse_proxy
from aimirror.upstream.socks import Socks5Crossing
from aimirror.upstream.tls import ClientTLSFactory
from aimirror.upstream.trust import Policies
from aimirror.upstream.tunnel import ConnectCrossing, Crossing, Tunnel, TunnelFactory

#: Names that mean this machine wherever they are resolved (RFC 6761 section 6.3).
_LOCALHOST = "localhost"


#: Seconds that an address has for itself behind a SOCKS proxy, which may be far away.
SOCKS_DELAY = 2.0


class Way:
    """How bytes get to the host of a target; TLS with that host is not its business."""

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
        self._dialer = dialer
        self._tls = tls
        self._target = target
        self._reach = egress.reach
        self._trust = egress.trust
        self._seconds = seconds
        #: The proxy that is crossed, None when there is none.
        self.proxy = _proxy(target, egress)

    def judge(self) -> None:
        """Refuse what is known before a name is resolved, also on a connection to a proxy.

        An HTTP proxy resolves names itself; what can be judged here are literal addresses and
        localhost.  Raises UpstreamError(FORBIDDEN).
        """
        host = self._target.host
        local = host.rstrip(".").rpartition(".")[2] == _LOCALHOST
        address = ip_address("127.0.0.1") if local else self._target.literal
        if address is not None and not permitted(self._reach, host, address):
            raise UpstreamError(Reason.FORBIDDEN, host)

    async def open(self, factory: IProtocolFactory) -> tuple[IProtocol, Address | None]:
        """A stream to the host, the proxy crossed; and the host's address where we learn it.

        Fires with what ``factory`` built.  Raises UpstreamError or what closed the socket;
        ``seconds`` bounds single steps only, the whole is for the caller to bound.
        """
        target = self._target
        if self.proxy is None:
            return await self._dialer.dial(
                target.host, target.port, self._reach, self._seconds, factory
            )
        host, port, proxy = target.host, target.port, self.proxy
        if proxy.kind.http:
            authority = f"{target.bracketed}:{port}"
            return await self._through(proxy, ConnectCrossing(authority, proxy), factory), None
        if proxy.kind is ProxyKind.SOCKS5H:
            return await self._through(proxy, Socks5Crossing(host, port, proxy), factory), None

        def attempt(address: Address) -> Deferred[IProtocol]:
            crossing = Socks5Crossing(str(address), port, proxy)
            return Deferred.fromCoroutine(self._through(proxy, crossing, factory))

        return await self._dialer.race(host, self._reach, attempt, SOCKS_DELAY)

    async def _through(
        self, proxy: Proxy, crossing: Crossing, factory: IProtocolFactory
    ) -> IProtocol:
        """A stream through the proxy, once it has connected us."""
        tunnel = cast(Tunnel, await self._dial_proxy(proxy, TunnelFactory(crossing)))
        try:
            await tunnel.opened()
        except Exception as error:
            raise _of_proxy(proxy, error) from None
        return tunnel.enter(factory)

    async def open_proxy(self, factory: IProtocolFactory) -> IProtocol:
        """A stream to the HTTP proxy itself, for requests in absolute form."""
        assert self.proxy is not None
        return await self._dial_proxy(self.proxy, factory)

    async def _dial_proxy(self, proxy: Proxy, factory: IProtocolFactory) -> IProtocol:
        """Dial the proxy, which the administrator wrote down, wherever it is."""
        wrapped = factory
        if proxy.kind is ProxyKind.HTTPS:
            policy = self._tls.policy(self._trust.anonymous)
            creator = policy.creatorForNetloc(proxy.host.encode("ascii"), proxy.port)
            wrapped = ClientTLSFactory(creator, True, factory, self._reactor)
        try:
            dialled, _ = await self._dialer.dial(
                proxy.host, proxy.port, ANYWHERE, self._seconds, wrapped
            )
        except Exception as error:
            raise _of_proxy(proxy, error) from None
        if wrapped is not factory:
            dialled = cast(IProtocol, dialled.wrappedProtocol)  # type: ignore[attr-defined]
        return dialled


def _proxy(target: Target, egress: Egress) -> Proxy | None:
    other = egress.plain_proxy if target.scheme == "http" else None
    url = egress.proxy if other is None else other
    if not url or bypassed(target.host, target.port, egress.no_proxy):
        return None
    try:
        return parse_proxy(url)
    except BadTarget as error:
        raise UpstreamError(Reason.CONNECT, f"upstream_proxy: {error}") from None


def _of_proxy(proxy: Proxy, error: Exception) -> UpstreamError:
    """The same, told of the proxy."""
    outcome = explain(error)
    if "upstream proxy" in outcome.detail or outcome.reason is Reason.CANCELLED:
        return outcome
    return UpstreamError(outcome.reason, f"the upstream proxy {proxy.host}: {outcome.detail}")
