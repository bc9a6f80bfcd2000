"""What clients and administrators see of the service: the mirror's site, and the one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aimirror.admin.operations import ADMINISTRATION, NAMED, WELCOME, elsewhere
from aimirror.cluster.questions import NAME as PEER_NAME
from aimirror.config import Config
from aimirror.server.access import Networks
from aimirror.server.admission import at_the_door
from aimirror.server.base_url import base_url
from aimirror.server.guard import Guard
from aimirror.server.memo import Memo
from aimirror.server.request import Handler
from aimirror.server.site import MirrorSite
from aimirror.service.front import Front

if TYPE_CHECKING:
    from aimirror.server.access_log import AccessHook
    from aimirror.server.request import MirrorRequest
    from aimirror.server.tally import Tally


class Sites:
    """Makes them; they answer by the ``front`` and admit by the ``config`` of the moment."""

    front: Front

    def __init__(
        self, config: Config, reactor: Any, tally: Tally, access: AccessHook, own_name: str
    ) -> None:
        self.config = config
        self._reactor = reactor
        self._tally = tally
        self._access = access
        self._own_name = own_name
        self.memo = Memo(config.cache.memory_bytes)
        self._open: list[MirrorSite] = []

    def use(self, config: Config, front: Front) -> None:
        """From now on."""
        self.config, self.front = config, front
        for site in self._open:
            self._admit(site)
        self.memo.invalidate()

    def mirror(self, peers: bool) -> MirrorSite:
        """What clients see, and, with ``peers``, other nodes."""
        return self._opened(
            MirrorSite(
                self._at_the_door(lambda request: self.front.handle(request)),
                self._reactor,
                forward=self._at_the_door(lambda request: self.front.forward(request)),
                named=self._all_named(here=self.config.admin.port is None, peers=peers),
                memo=self.memo,
                access=self._access,
            )
        )

    def administration(self, peers: bool) -> MirrorSite:
        """What listens at ``admin.port``: the mirror's own paths and nothing mirrored."""
        named = self._all_named(here=True, peers=peers)
        memo = Memo(0)
        return self._opened(
            MirrorSite(elsewhere, self._reactor, named=named, memo=memo, access=self._access)
        )

    def inside(self) -> MirrorSite:
        """The mirror without port, network and login."""
        return MirrorSite(self.front.inside, self._reactor, memo=Memo(0), access=self._access)

    def base(self, request: MirrorRequest) -> str:
        """By which URL a client came to the mirror."""
        server = self.config.server
        return base_url(request, server.public_host, server.trusted_proxies)

    def clients(self) -> int:
        """Connections to the mirror."""
        return len(self._open[0].channels) if self._open else 0

    def answering(self) -> int:
        """Connections on which an answer runs."""
        return sum(not each.idle for site in self._open for each in site.channels)

    async def drain(self, seconds: float) -> None:
        """Let running answers end."""
        for site in reversed(self._open):
            await site.drain(seconds)

    def _opened(self, site: MirrorSite) -> MirrorSite:
        self._admit(site)
        self._open.append(site)
        return site

    def _at_the_door(self, handler: Handler) -> Handler:
        return at_the_door(handler, self._own_name)

    def _all_named(self, *, here: bool, peers: bool) -> dict[str, Handler]:
        """The mirror's own paths; administration among them only if it is ``here``."""
        handlers = {name: self._named(name) for name in NAMED}
        if peers:
            handlers[PEER_NAME] = lambda request: self.front.owner(request)
        if self.config.admin.port is not None:
            handlers["aimirror"] = self._named(ADMINISTRATION if here else WELCOME)
        return {name: self._at_the_door(each) for name, each in handlers.items()}

    def _named(self, name: str) -> Handler:
        return lambda request: self.front.named[name](request)

    def _admit(self, site: MirrorSite) -> None:
        """Who may connect, and what clients may take."""
        server = self.config.server
        guard = Guard(
            Networks(server.allow, server.deny),
            server.limits.client_rate,
            server.trusted_proxies,
            self._tally,
            self._reactor.seconds,
        )
        site.limits = server.limits
        site.proxies = server.trusted_proxies
        site.guard = None if guard.idle else guard
