"""What a configuration means for a service that runs: the ways out, and what a reload changes."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from aimirror.config.model import Config
from aimirror.http.egress import ANYWHERE, Egress, Reach, Trust, Zone
from aimirror.routing.rules import Rule
from aimirror.upstream.proxies import ENVIRONMENT


def egress_of(config: Config) -> Callable[[Rule], Egress]:
    """How requests of a rule leave: its own upstream may be anywhere, but nowhere forbidden.

    A host that only ``*.domain`` lists is nobody's upstream: who has that domain could give it any
    address, and so gets no further than redirects do.
    """
    listed = config.server.allow_private
    reach = evolve(ANYWHERE, networks=listed.networks, hosts=listed.hosts)
    outer = evolve(reach, zones=frozenset({Zone.PUBLIC}))

    made: dict[tuple[object, ...], Egress] = {}

    def egress(rule: Rule) -> Egress:
        proxy = config.server.upstream_proxy if rule.upstream_proxy is None else rule.upstream_proxy
        named = rule.upstreams or any(not host.startswith("*.") for host in rule.allow)
        name = (proxy, bool(named), rule.ca_file, rule.client_cert, rule.client_key)
        if name not in made:  # as many as the configuration has
            made[name] = egress_by(config, proxy, reach if named else outer, trust_of(config, rule))
        return made[name]

    return egress


def trust_of(config: Config, rule: Rule | None = None) -> Trust:
    """Whose certificates are believed by all requests, or by those of a rule."""
    if rule is None:
        return Trust(tuple(filter(None, (config.server.ca_file,))))
    authorities = filter(None, (config.server.ca_file, rule.ca_file))
    return Trust(tuple(authorities), rule.client_cert, rule.client_key)


def egress_by(config: Config, proxy: str, reach: Reach, trust: Trust | None = None) -> Egress:
    """By one proxy, or by those that the environment names."""
    around, named = config.server.no_proxy, config.environment
    trust = trust or trust_of(config)
    if proxy != ENVIRONMENT:
        return Egress(proxy, reach, around, trust=trust)
    return Egress(named.https, reach, (*around, *named.no_proxy), named.http, trust)


def _store(config: Config) -> tuple[str, ...]:
    """What names the store behind the nodes."""
    tier = config.tier
    return () if tier is None else (tier.url, tier.endpoint, tier.region)


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Keys that differ and are read at the start alone."""
    values = (
        ("server.host", old.server.host, new.server.host),
        ("server.port", old.server.port, new.server.port),
        ("admin.host", old.admin.host, new.admin.host),
        ("admin.port", old.admin.port, new.admin.port),
        ("server.tls", old.server.tls, new.server.tls),
        ("server.workers", old.server.worker_count(), new.server.worker_count()),
        ("cache.dir", old.cache.dir, new.cache.dir),
        ("cache.memory_mb", old.cache.memory_mb, new.cache.memory_mb),
        ("logging", old.logging, new.logging),
        ("cluster.peers", bool(old.cluster.peers), bool(new.cluster.peers)),
        ("cluster.self", old.cluster.own, new.cluster.own),
        ("tier", _store(old), _store(new)),
    )
    return tuple(key for key, before, after in values if before != after)
