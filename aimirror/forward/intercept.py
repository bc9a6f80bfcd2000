"""TLS of clients that ends here, under a leaf of the local authority that they trust."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.forward.contexts import LeafContexts
from aimirror.forward.policy import HostPattern
from aimirror.forward.tunnel import ESTABLISHED
from aimirror.http import urls
from aimirror.http.targets import Target
from aimirror.server.channel import MirrorChannel
from aimirror.server.request import MirrorRequest
from aimirror.server.tls import ServerTLS, ServerTLSFactory


class _Intercepted(ServerTLS):
    """Says so when a client does not like our certificate."""

    _log = Logger()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if not self._handshakeDone:
            self._log.info(
                "no TLS with {peer} for {origin}: does it trust the authority? If it pins the"
                " host's own certificate, list the host in forward.pinned",
                peer=getattr(self.wrappedProtocol, "peer", ""),
                origin=getattr(self.wrappedProtocol, "origin", ""),
            )
        super().connectionLost(reason)


class _InterceptedFactory(ServerTLSFactory):
    protocol = _Intercepted


class _Channels(Factory):
    """Channels of the site that stand for one origin."""

    noisy = False

    def __init__(self, request: MirrorRequest, origin: str) -> None:
        self._site = request.site
        self._destinations = request.destinations
        self._origin = origin

    def buildProtocol(self, addr: IAddress | None) -> MirrorChannel:
        """A channel for the requests inside."""
        return MirrorChannel(self._site, self._destinations, self._origin)


class Interceptor:
    """Ends TLS to hosts that rules name, but for ``pinned`` ones and those beyond the authority.

    A handshake that never ends is cut by the channel inside, whose time for a head runs already.
    """

    _log = Logger()

    def __init__(
        self,
        contexts: LeafContexts,
        origins: frozenset[str],
        pinned: tuple[HostPattern, ...] = (),
    ) -> None:
        self._contexts = contexts
        self._origins = origins
        self._pinned = pinned
        self._uncovered: set[str] = set()

    def takes(self, target: Target) -> bool:
        """Whether a tunnel to this host and port is to end here."""
        origin = urls.origin(target.url)
        if origin not in self._origins:
            return False
        if any(p.names(target.host) and p.port in (None, target.port) for p in self._pinned):
            return False
        covered = self._contexts.covers(target.host)
        if not covered and origin not in self._uncovered:
            self._uncovered.add(origin)  # as many as there are origins
            self._log.warn(
                "{origin} is tunnelled: the authority has expired or was made without that host;"
                " aimirror ca init --force makes a new one",
                origin=origin,
            )
        return covered

    def take(self, request: MirrorRequest, target: Target) -> None:
        """Say that the tunnel is open, and be the host in it."""
        channel = request.channel
        inside = _Channels(request, urls.origin(target.url))
        factory = _InterceptedFactory(
            self._contexts.creator(target.host), False, inside, request.site.reactor
        )
        request.begin_tunnel()
        channel.transport.write(ESTABLISHED)
        heir = factory.buildProtocol(None)
        assert heir is not None
        channel.hand_over(heir)
