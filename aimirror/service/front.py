"""What answers requests by a configuration: the mirror, the forward proxy, the login."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from aimirror.config import Config, plain
from aimirror.config.applying import egress_by
from aimirror.ecosystems.registry import ecosystems
from aimirror.exchanges.running import Downloads
from aimirror.exchanges.tools import Tools
from aimirror.forward.proxy import Seen
from aimirror.http.egress import Egress, Reach
from aimirror.mirror.handlers import custom_handlers
from aimirror.mirror.mirror import Mirror
from aimirror.server.base_url import base_url
from aimirror.server.login import Login
from aimirror.server.request import Handler
from aimirror.server.site import refuse_forward
from aimirror.server.tally import Tally
from aimirror.server.users import Users
from aimirror.service.forwarding import forward_proxy

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest
    from aimirror.upstream.agent import Agents


@frozen
class Front:
    """What answers requests at this moment; a reload puts another one in its place."""

    handle: Handler
    #: The same without a login, for requests from within.
    inside: Handler
    forward: Handler
    login: Callable[[Handler], Handler]
    named: Mapping[str, Handler] = {}


@frozen
class Edges:
    """What outlives a configuration."""

    tools: Tools
    downloads: Downloads
    agents: Agents
    seen: Seen
    tally: Tally


def made(config: Config, edges: Edges) -> Front:
    """What answers by a configuration; its named paths are still to come.

    Raises BadHandler, BadUsers and AuthorityError.
    """
    tools, clock = edges.tools, edges.tools.clock
    server = config.server

    def reached(request: MirrorRequest) -> str:
        """By which base URL a client came here."""
        base = base_url(request, server.public_host, server.trusted_proxies)
        return request.proxied or base

    def mirror_url(request: MirrorRequest) -> str:
        """What its links begin with; those of clients that have us for a proxy stay."""
        return "" if request.proxied else reached(request)

    def egress(reach: Reach) -> Egress:
        return egress_by(config, server.upstream_proxy, reach)

    worlds = ecosystems(tools, config.registries, reached)
    handlers = custom_handlers(
        config.rules, config.source, config.folder, lambda: plain(config), tools, worlds
    )
    mirror = Mirror(config.rules, tools, edges.downloads, mirror_url, {**worlds, **handlers})
    users = None
    if server.users is not None:
        users = Users(server.users, tools.to_thread, clock.seconds)
    login = Login(users, edges.tally).guarding
    forward: Handler = refuse_forward
    if config.forward.enabled:
        proxy = forward_proxy(config, mirror, edges.agents, edges.seen, egress, tools.to_thread)
        forward = proxy.handle
    return Front(login(mirror.handle), mirror.handle, forward, login)
