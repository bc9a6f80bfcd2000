"""What outlives a configuration: the disk, the workers, the network, and what runs on them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from twisted.internet.threads import deferToThreadPool

from aimirror.admin.counting import CountedUpstream, ended
from aimirror.config import Config
from aimirror.config.applying import egress_of
from aimirror.config.model import Abandoned
from aimirror.exchanges.environment import Environment
from aimirror.exchanges.running import Downloads
from aimirror.forward.proxy import Seen
from aimirror.server.tally import Tally
from aimirror.service.tiering import peers_of, tier_of
from aimirror.store.store import Store
from aimirror.upstream.agent import Agents
from aimirror.upstream.client import Upstream
from aimirror.upstream.hosts import Hosts
from aimirror.workers.apart.apart import Apart
from aimirror.workers.pool.pool import Pool, worker_environment

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class Edges:
    """They are made once."""

    env: Environment
    downloads: Downloads
    agents: Agents
    seen: Seen
    tally: Tally
    store: Store
    pool: Pool
    apart: Apart


def edges(
    config: Config, reactor: Any, tally: Tally, name: str, is_own: Callable[[str], bool]
) -> Edges:
    """Make them; ``name`` is the service's own, ``is_own`` tells its URLs."""

    def to_thread(function: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args, **kw)

    server, cache = config.server, config.cache
    hosts = Hosts(reactor, server.connections_per_host)
    agents = Agents(reactor, hosts=hosts)
    seen = Seen()
    upstream = Upstream(agents, redirected=seen.note, name=name, is_own=is_own)
    store = Store(
        cache.dir,
        max_bytes=cache.max_bytes,
        evict=cache.lru_enabled,
        clock=reactor,
        defer_to_thread=to_thread,
    )
    pool = Pool(reactor, server.worker_count(), hosts=hosts)
    apart = Apart(reactor, worker_environment(os.environ))
    env = Environment(
        store=store,
        pool=pool,
        upstream=CountedUpstream(upstream, tally, reactor),
        clock=reactor,
        hosts=hosts,
        to_thread=to_thread,
        apart=apart,
        jitter=random.random,
        egress=egress_of(config),
    )
    # Connections of its own: a look into the tier does not wait for those of downloads.
    beside = Upstream(Agents(reactor), name=name)
    near = evolve(env, upstream=CountedUpstream(beside, tally, reactor))
    env = evolve(env, tier=tier_of(config, near), peers=peers_of(config, near))
    env = configured(env, config)
    downloads = Downloads(
        env,
        most=server.max_concurrent_downloads,
        per_host=server.connections_per_host,
        ended=ended(tally, reactor.seconds),
    )
    return Edges(env, downloads, agents, seen, tally, store, pool, apart)


def configured(env: Environment, config: Config) -> Environment:
    """The edges of downloads as a configuration has them."""
    return evolve(
        env,
        egress=egress_of(config),
        timeouts=config.server.timeouts,
        rate_limit=config.rate_limit,
        rate_hours=config.rate_schedule,
        finish_abandoned=config.cache.keep_abandoned is Abandoned.FINISH,
    )
