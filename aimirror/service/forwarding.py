"""Builds the forward proxy of a configuration."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from aimirror.config import Config
from aimirror.forward import authority
from aimirror.forward.contexts import LeafContexts
from aimirror.forward.intercept import Interceptor
from aimirror.forward.policy import ForwardPolicy, origins, secure_origins
from aimirror.forward.proxy import Forward, Seen
from aimirror.http.egress import Egress, Reach
from aimirror.http.targets import parse_target
from aimirror.server.users import Users

if TYPE_CHECKING:
    from aimirror.exchanges.environment import Environment
    from aimirror.mirror.mirror import Mirror
    from aimirror.upstream.agent import Agents


def forward_proxy(
    config: Config,
    mirror: Mirror,
    env: Environment,
    agents: Agents,
    seen: Seen,
    egress: Callable[[Reach], Egress],
) -> Forward:
    """What the configuration describes; raises AuthorityError and BadUsers."""
    section = config.forward
    users = interceptor = None
    listed = section.users or config.server.users  # a mirror with a login has no way round it
    if listed is not None:
        users = Users(listed, env.to_thread, agents.clock.seconds)
    if section.intercept:
        assert section.ca_dir is not None  # set when the configuration was loaded
        contexts = LeafContexts(authority.load(section.ca_dir), authority.now)
        interceptor = Interceptor(contexts, secure_origins(config.rules), section.pinned)
    return Forward(
        mirror=mirror,
        upstream=env.upstream,
        agents=agents,
        policy=ForwardPolicy(
            origins=origins(config.rules) | _registries(config),
            allow=section.allow,
            deny=section.deny,
            ports=frozenset(section.ports),
        ),
        egress=egress,
        timeouts=config.server.timeouts,
        own=_own(config),
        seen=seen,
        users=users,
        interceptor=interceptor,
        idle=section.idle_timeout,
    )


def _registries(config: Config) -> frozenset[tuple[str, int]]:
    """Where the registries of the table are: docker asks them by name through a proxy."""
    upstreams = (url for registry in config.registries for url in registry.upstreams)
    targets = (parse_target(url) for url in upstreams if "*" not in url)
    return frozenset((target.host, target.port) for target in targets)


def _own(config: Config) -> frozenset[tuple[str, int]]:
    """What clients may call us beside addresses of ours."""
    server = config.server
    addresses = {(socket.gethostname().lower(), server.port)}
    public = server.public_host
    if public:
        target = parse_target(public if "//" in public else f"http://{public}")
        addresses.add((target.host, target.port))
    return frozenset(addresses)
