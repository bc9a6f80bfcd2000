"""What answers requests by a configuration: the mirror, the forward proxy, the login."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from aimirror.config import Config, plain
from aimirror.config.applying import egress_by
from aimirror.ecosystems.registry import ecosystems
from aimirror.exchanges.library import Library
from aimirror.http.egress import Egress, Reach
from aimirror.mirror.handlers import custom_handlers
from aimirror.mirror.mirror import Mirror
from aimirror.mirror.owner import Owner
from aimirror.routing.served_names import ServedNames
from aimirror.server.base_url import base_url
from aimirror.server.login import Login
from aimirror.server.request import Handler
from aimirror.server.site import refuse_forward
from aimirror.server.users import Users
from aimirror.service.edges import Edges
from aimirror.service.forwarding import forward_proxy

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest


@frozen
class Front:
    """What answers requests at this moment; a reload puts another one in its place."""

    handle: Handler
    #: The same without a login, for requests from within.
    inside: Handler
    forward: Handler
    login: Callable[[Handler], Handler]
    #: What answers other nodes, where there are any.
    owner: Handler = refuse_forward
    named: Mapping[str, Handler] = {}


def made(config: Config, edges: Edges) -> Front:
    """What answers by a configuration; its named paths are still to come.

    Raises BadHandler, BadUsers and AuthorityError.
    """
    env, clock = edges.env, edges.env.clock
    library = Library(env, edges.downloads)
    server = config.server

    def reached(request: MirrorRequest) -> str:
        """By which base URL a client came here."""
        base = base_url(request, server.public_host, server.trusted_proxies)
        return request.proxied or base

    def egress(reach: Reach) -> Egress:
        return egress_by(config, server.upstream_proxy, reach)

    worlds = ecosystems(library, config.registries)
    handlers = custom_handlers(
        config.rules, config.source, config.folder, lambda: plain(config), library, worlds
    )
    mirror = Mirror(
        config.rules, library, reached, {**worlds, **handlers}, ServedNames(server.names)
    )
    users = None
    if server.users is not None:
        users = Users(server.users, env.to_thread, clock.seconds)
    login = Login(users, edges.tally, server.trusted_proxies).guarding
    forward: Handler = refuse_forward
    if config.forward.enabled:
        proxy = forward_proxy(config, mirror, env, edges.agents, edges.seen, egress)
        forward = proxy.handle
    owner: Handler = refuse_forward
    if env.peers is not None:
        owner = Owner(library, config.rules, env.peers, mirror.known).answer
    return Front(login(mirror.handle), mirror.handle, forward, login, owner)
