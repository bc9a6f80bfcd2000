"""The second tier as the configuration describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.task import deferLater

from aimirror.cluster.affinity import shapes
from aimirror.cluster.peers import Peers
from aimirror.config import Config, ConfigError
from aimirror.config.applying import egress_by
from aimirror.config.model import Tier as TierSettings
from aimirror.ecosystems.registry import is_index
from aimirror.exchanges.environment import Environment
from aimirror.http.egress import ANYWHERE, Timeouts
from aimirror.interfaces import IUpstream
from aimirror.tier.keys import BadKeys, Keys
from aimirror.tier.probe import Probe
from aimirror.tier.s3 import Bucket, Place
from aimirror.tier.sigv4 import Signer
from aimirror.tier.tier import Tier
from aimirror.tier.uploads import Limits

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

#: Seconds: the store is near, and there is another way to each file.
TIMEOUTS = Timeouts(connect=0.3, header=0.7, silence=10.0)
#: The same for commands and for what is sent, which have time.
PATIENT = Timeouts()


@frozen
class Behind:
    """The store behind this node, and a look at it."""

    bucket: Bucket
    probe: Probe
    keys: Keys


def behind(
    config: Config,
    upstream: IUpstream,
    clock: IReactorTime,
    to_thread: Callable[..., Deferred[Any]],
    timeouts: Timeouts = TIMEOUTS,
) -> Behind | None:
    """What is behind, None where the configuration has no tier; raises ConfigError."""
    tier = config.tier
    if tier is None:
        return None
    place = Place(
        base=tier.base,
        prefix=tier.prefix,
        egress=egress_by(config, config.server.upstream_proxy, ANYWHERE),
        timeouts=timeouts,
        patient=PATIENT,
    )
    bucket = Bucket(place, upstream, Signer(tier.region, clock.seconds, to_thread))
    probe = Probe(bucket, upstream, tier.region, lambda seconds: deferLater(clock, seconds))
    return Behind(bucket, probe, keys(config))


def tier_of(config: Config, env: Environment) -> Tier | None:
    """The tier for downloads, None without one; raises ConfigError."""
    store = behind(config, env.upstream, env.clock, env.to_thread)
    if store is None or config.tier is None:
        return None
    tier = Tier(
        store.bucket,
        store.probe,
        store.keys,
        env.upstream,
        env.store,
        env.pool,
        env.clock,
        _limits(config.tier),
        config.tier.max_size,
        is_index,
    )
    tier.reconfigure(config.rules, _limits(config.tier), config.tier.max_size)
    return tier


def _limits(tier: TierSettings) -> Limits:
    return Limits(uploads=tier.uploads, rate=tier.rate_limit)


def peers_of(config: Config, env: Environment) -> Peers | None:
    """The other nodes, None where each is alone; raises ConfigError."""
    cluster = config.cluster
    if not cluster.peers:
        return None
    if not cluster.own:
        raise ConfigError(
            f"{config.source}: cluster.self: missing; allowed: host:port by which the others"
            " reach this node, here or in the environment's AIMIRROR_SELF"
        )
    return Peers(
        cluster.peers,
        cluster.own,
        keys(config),
        shapes(config.rules),
        env.upstream,
        env.clock,
        env.to_thread,
        "https" if config.server.tls else "http",
    )


def reconfigure(env: Environment, config: Config, renewed: Keys | None) -> None:
    """Have tier and peers go by a configuration that was read again, and by its keys."""
    for each in (env.tier, env.peers):
        if each is not None and renewed is not None:
            each.keys.secrets = renewed.secrets
    if env.peers is not None and config.cluster.peers:
        env.peers.reconfigure(shapes(config.rules), config.cluster.peers)
    if env.tier is not None and config.tier is not None:
        env.tier.reconfigure(config.rules, _limits(config.tier), config.tier.max_size)


def keys(config: Config) -> Keys:
    """The cluster's keys; raises ConfigError."""
    path = config.cluster.key_file
    where = f"{config.source}: cluster.key_file"
    if path is None:
        raise ConfigError(f"{where}: missing; allowed: a file with one or two secrets")
    try:
        return Keys.read(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{where}: {path}: {error.strerror}") from None
    except (BadKeys, ValueError) as error:
        raise ConfigError(f"{where}: {path}: {error}") from None
