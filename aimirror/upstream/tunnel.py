"""Crossing an upstream proxy: its address, who goes round it, and CONNECT tunnels."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import cast
from urllib.parse import unquote_to_bytes

from attrs import field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from aimirror.core.fetching import Reason
from aimirror.core.targets import BadTarget, Target, parse_target
from aimirror.interfaces import UpstreamError
from aimirror.upstream.heads import Malformed, take

_USERINFO = re.compile(r"(?i:(http://))([^/?#]*)@")


@frozen
class Proxy:
    """An HTTP proxy; ``authorization`` is a Proxy-Authorization value or ""."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)


def parse_proxy(url: str) -> Proxy:
    """Read ``http://[user:password@]host:port``; raises UpstreamError that quotes none of it."""
    userinfo = _USERINFO.match(url)
    bare = url if userinfo is None else userinfo[1] + url[userinfo.end() :]
    try:
        target = parse_target(bare)
    except BadTarget as error:
        raise UpstreamError(Reason.CONNECT, f"upstream_proxy: {error}") from None
    if target.scheme != "http":
        raise UpstreamError(Reason.CONNECT, "upstream_proxy: only http:// proxies are known")
    if userinfo is None:
        return Proxy(target.host, target.port)
    credentials = unquote_to_bytes(userinfo[2] if ":" in userinfo[2] else userinfo[2] + ":")
    return Proxy(target.host, target.port, "Basic " + b64encode(credentials).decode("ascii"))


def bypassed(host: str, no_proxy: Iterable[str]) -> bool:
    """Whether a host is reached without the proxy: "*", the name itself or a suffix of it."""
    for entry in no_proxy:
        name = entry.strip().lower().lstrip(".")
        if name and (name == "*" or host == name or host.endswith("." + name)):
            return True
    return False


def connect_request(target: Target, proxy: Proxy) -> bytes:
    """The header that asks for a tunnel (RFC 9110 section 9.3.6)."""
    authority = f"{target.bracketed}:{target.port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


class Tunnel(Protocol):
    """Asks a proxy for a tunnel, then hands the socket's bytes to the protocol inside."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._pending = bytearray()
        self._open = False
        self._lost: Failure | None = None
        self._waiter: Deferred[None] | None = None
        self._inner: IProtocol | None = None

    def opened(self) -> Deferred[None]:
        """Fires when the proxy said yes; fails with UpstreamError or why the socket closed."""
        if self._lost is not None:
            return fail(self._lost)
        if self._open:
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
        inner.makeConnection(self._transport())
        return inner

    def connectionMade(self) -> None:
        """Ask."""
        self._transport().write(self._request)

    def dataReceived(self, data: bytes) -> None:
        """The proxy's answer, then what comes through."""
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._pending += data
        try:
            self._answer()
        except (Malformed, UpstreamError) as error:
            self._lost = Failure(_as_refusal(error))
            self._transport().abortConnection()
            self._settle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is gone."""
        self._lost = self._lost or reason
        if self._inner is not None:
            self._inner.connectionLost(reason)
        self._settle()

    def _answer(self) -> None:
        while (taken := take(self._pending)) is not None:
            head, end = taken
            del self._pending[:end]
            if head.status >= 300:
                raise UpstreamError(Reason.CONNECT, f"the upstream proxy answered {head.status}")
            if head.status >= 200:
                if self._pending:  # TLS clients speak first
                    raise Malformed("the upstream proxy sent bytes into the tunnel")
                self._open = True
                self._settle()
                return

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

    def __init__(self, request: bytes) -> None:
        self._request = request

    def buildProtocol(self, addr: IAddress | None) -> Tunnel:
        """A tunnel that asks as soon as it is connected."""
        return Tunnel(self._request)
