"""The schema of the configuration: one table of keys for each mapping in it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from aimirror.config import addresses, scalars
from aimirror.config.conclusions import Rules
from aimirror.config.model import (
    Abandoned,
    AccessFormat,
    Admin,
    Cache,
    Cluster,
    Config,
    Forward,
    Level,
    Logging,
    Prefetch,
    Server,
    Tier,
)
from aimirror.config.rule_tables import CONTENT_REWRITE, REGISTRY, RULE
from aimirror.config.scalars import duration, integer, number, one_of
from aimirror.config.schema import Conflict, Key, Made, Many, Named, Record
from aimirror.config.server_table import LEAST_TIMEOUT, SERVER
from aimirror.download.hours import Hours
from aimirror.registries.registry import Registry, merged
from aimirror.upstream.proxies import ENVIRONMENT, is_own

#: Bounds that keep a slip of the finger from exhausting memory.
_MOST_GB = 1e6
_MOST_MEMORY_MB = 1e5
#: Seconds between two times at which the same is fetched ahead.
_LEAST_EVERY = 60.0

_CACHE = Record(
    "a mapping",
    Cache,
    (
        Key("dir", scalars.folder, default="./cache"),
        Key("max_size_gb", number(0.001, _MOST_GB)),
        Key("lru_enabled", scalars.flag),
        Key("memory_mb", number(0, _MOST_MEMORY_MB)),
        Key("keep_abandoned", one_of(Abandoned)),
    ),
)

_FORWARD = Record(
    "a mapping",
    Forward,
    (
        Key("enabled", scalars.flag),
        Key("allow", Many(addresses.host_or_network)),
        Key("deny", Many(addresses.host_or_network)),
        Key("ports", Many(integer(1, 65535))),
        Key("intercept", scalars.flag),
        Key("pinned", Many(addresses.host_pattern)),
        Key("ca_dir", scalars.own_folder),
        Key("users", scalars.no_file),
        Key("idle_timeout", duration(LEAST_TIMEOUT)),
    ),
)

_LOGGING = Record(
    "a mapping",
    Logging,
    (
        Key("level", one_of(Level)),
        Key("file", scalars.optional_file),
        Key("access", one_of(AccessFormat)),
        Key("access_file", scalars.optional_file),
        Key("max_size", scalars.size),
        Key("keep", integer(1, 1000)),
    ),
)


def _check_admin(admin: Admin) -> None:
    if admin.host != Admin().host and admin.port is None:
        raise Conflict("port", "missing", "the port of admin.host")


_ADMIN = Record(
    "a mapping",
    Admin,
    (
        Key("token", scalars.token),
        Key("token_file", scalars.no_file),
        Key("hosts", Many(addresses.network)),
        Key("host", addresses.bind_host),
        Key("port", integer(0, 65535, "; 0 takes any free port")),
    ),
    _check_admin,
)

_CLUSTER = Record(
    "a mapping",
    Cluster,
    (
        Key("key_file", scalars.no_file),
        Key("peers", Many(addresses.peer, or_one=True)),
        Key("self", addresses.node_or_none, "own"),
    ),
)

_TIER = Record(
    "a mapping",
    Tier,
    (
        Key("url", addresses.s3_url, required=True),
        Key("endpoint", addresses.url_or_none),
        Key("region", scalars.region),
        Key("max_size", scalars.size_or_none),
        Key("uploads", integer(1, 64)),
        Key("rate_limit", scalars.rate),
    ),
)

_PREFETCH = Record(
    "a mapping",
    Prefetch,
    (
        Key("what", Many(scalars.text, or_one=True, least=1), required=True),
        Key("every", duration(_LEAST_EVERY)),
        Key("at", scalars.time_of_day),
        Key("rate_limit", scalars.rate),
        Key("python", scalars.anything),
        Key("platform", scalars.anything),
        Key("index", addresses.path_prefix),
        Key("include", Many(scalars.text)),
        Key("exclude", Many(scalars.text)),
    ),
)


def _check_hours(hours: Hours) -> None:
    if hours.start == hours.stop:
        raise Conflict("to", "the time of from", "another time of day")


_HOURS = Record(
    "a mapping",
    Hours,
    (
        Key("from", scalars.time_of_day, "start", required=True),
        Key("to", scalars.time_of_day, "stop", required=True),
        Key("rate_limit", scalars.rate),
    ),
    _check_hours,
)


def _check_registries(registries: Iterable[Registry]) -> None:
    """Each name leads to one registry."""
    owners: dict[str, str] = {}
    for registry in registries:
        for name in (registry.name, *registry.aliases):
            owner = owners.setdefault(name, registry.name)
            if owner != registry.name:
                raise Conflict(
                    f"registries.{registry.name}",
                    f"{name!r} is a name of {owner} already",
                    "each name and alias for one registry",
                )


def _check_proxy(key: str, url: str | None, server: Server) -> None:
    """A mirror that is its own proxy would ask itself for ever."""
    if url and url != ENVIRONMENT and is_own(url, server.host, server.port):
        raise Conflict(key, "that is this mirror itself", "another proxy")


def _check_cluster(config: Config) -> None:
    cluster = config.cluster
    if (config.tier is not None or cluster.peers) and cluster.key_file is None:
        raise Conflict("cluster.key_file", "missing", "a file; nodes sign with what is in it")
    if len(cluster.peers) > 1 and any("//" in peer for peer in cluster.peers):
        raise Conflict("cluster.peers", "a name among others", "one dns://name:port, or a list")


def _check_config(config: Config) -> None:
    _check_cluster(config)
    _check_registries(config.registries)
    _check_proxy("server.upstream_proxy", config.server.upstream_proxy, config.server)
    for index, rule in enumerate(config.rules):
        _check_proxy(f"rules[{index}].upstream_proxy", rule.upstream_proxy, config.server)
    first: dict[str, int] = {}
    for index, rule in enumerate(config.rules):
        if first.setdefault(rule.name, index) != index:
            raise Conflict(
                f"rules[{index}].name",
                f"{rule.name!r} is the name of rules[{first[rule.name]}] already",
                "a name of its own for each rule",
            )


def document(source: str, folder: Path) -> Record[Config]:
    """The schema of a whole file; ``source`` and ``folder`` become the Config's."""
    return Record(
        "a mapping",
        partial(Config, source=source, folder=folder),
        (
            Key("server", SERVER),
            Key("cache", _CACHE, default={}),
            Key("rules", Rules(RULE, least=1), required=True),
            Key("forward", _FORWARD),
            Key("admin", _ADMIN),
            Key("logging", _LOGGING),
            Key("cluster", _CLUSTER),
            Key("tier", _TIER),
            Key("content_rewrite", CONTENT_REWRITE),
            Key("rate_limit", scalars.rate),
            Key("rate_schedule", Many(_HOURS)),
            Key("prefetch", Many(_PREFETCH)),
            Key("registries", Made(Named(addresses.registry_host, REGISTRY), merged), default={}),
        ),
        _check_config,
    )
