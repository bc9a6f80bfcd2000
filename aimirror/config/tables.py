"""The schema of the configuration: one table of keys for each mapping in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from aimirror.config import scalars
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
    Tls,
)
from aimirror.config.recognition import NONE
from aimirror.config.scalars import duration, integer, number, one_of
from aimirror.config.schema import Conflict, Either, Key, Made, Many, Named, Record
from aimirror.download.hours import Hours
from aimirror.ecosystems.oci.paths import Registry, merged
from aimirror.ecosystems.registry import NAMES as ECOSYSTEMS
from aimirror.http.egress import Network, Reach, Timeouts
from aimirror.routing.digests import ALGORITHMS, DigestSource, Source
from aimirror.routing.policies import CachePolicy
from aimirror.routing.rules import (
    ContentRewrite,
    Credentials,
    KeySource,
    OnMissing,
    PathRewrite,
    Rule,
    Strategy,
    Xet,
)
from aimirror.routing.served_names import ServedName
from aimirror.server.access import Limits
from aimirror.upstream.proxies import ENVIRONMENT, is_own

#: Bounds that keep a slip of the finger from exhausting sockets, processes or memory.
_MOST_CONNECTIONS = 256
_MOST_DOWNLOADS = 10_000
_MOST_WORKERS = 64
_MOST_GB = 1e6
_MOST_MEMORY_MB = 1e5
#: Seconds; less would fail on an ordinary network.
_LEAST_TIMEOUT = 0.1
_MOST_CLIENTS = 1_000_000
#: Seconds between two times at which the same is fetched ahead.
_LEAST_EVERY = 60.0
#: Bytes; less refuses ordinary clients.
_LEAST_HEAD = 4096


def _reach(listed: Iterable[Network | str]) -> Reach:
    hosts = frozenset(item for item in listed if isinstance(item, str))
    return Reach(networks=tuple(i for i in listed if not isinstance(i, str)), hosts=hosts)


_TIMEOUTS = Record(
    "a mapping",
    Timeouts,
    tuple(Key(name, duration(_LEAST_TIMEOUT)) for name in ("connect", "header", "silence")),
)

_CA_FILE = Key("ca_file", Made(scalars.file, str))
#: Whom an upstream's certificate must be of, and what is shown to an upstream that asks.
_TRUST = (
    _CA_FILE,
    Key("client_cert", Made(scalars.file, str)),
    Key("client_key", Made(scalars.file, str)),
)

_TLS = Record(
    "a mapping",
    Tls,
    (Key("cert", scalars.file, required=True), Key("key", scalars.file, required=True)),
)

_LIMITS = Record(
    "a mapping",
    Limits,
    (
        Key("connections", integer(1, _MOST_CLIENTS)),
        Key("client_connections", integer(0, _MOST_CLIENTS, "; 0 for no limit")),
        Key("client_rate", number(0, 1e6)),
        Key("requests", integer(1, 1_000_000_000)),
        Key("head_size", Made(scalars.size, lambda size: max(_LEAST_HEAD, size))),
        Key("body_size", scalars.size),
        *(
            Key(name, duration(_LEAST_TIMEOUT))
            for name in ("head_time", "body_silence", "silence", "keep_alive", "stop_time")
        ),
    ),
)


def _check_served_name(name: ServedName) -> None:
    if not name.root and not name.registry:
        raise Conflict("registry", "missing", "a registry, or a root")


_SERVED_NAME = Record(
    "a mapping",
    ServedName,
    (
        Key("host", scalars.registry_host, required=True),
        Key("root", Made(scalars.path_prefix, lambda path: path.rstrip("/"))),
        Key("registry", scalars.registry_host),
    ),
    _check_served_name,
)

_SERVER = Record(
    "a mapping",
    Server,
    (
        Key("host", scalars.bind_host),
        Key("port", integer(0, 65535, "; 0 takes any free port")),
        Key("upstream_proxy", scalars.proxy),
        Key("no_proxy", Many(scalars.bypass)),
        _CA_FILE,
        Key("tls", _TLS),
        Key("trusted_proxies", Many(scalars.network)),
        Key("public_host", scalars.public_host),
        Key("max_concurrent_downloads", integer(1, _MOST_DOWNLOADS)),
        Key("workers", integer(0, _MOST_WORKERS, "; 0 for one per CPU, at least 2")),
        Key("connections_per_host", integer(1, _MOST_CONNECTIONS)),
        Key("allow_private", Made(Many(scalars.network_or_host), _reach)),
        Key("timeouts", _TIMEOUTS),
        Key("allow", Many(scalars.network)),
        Key("deny", Many(scalars.network)),
        Key("users", scalars.no_file),
        Key("limits", _LIMITS),
        Key("names", Many(_SERVED_NAME)),
    ),
)

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
        Key("allow", Many(scalars.host_or_network)),
        Key("deny", Many(scalars.host_or_network)),
        Key("ports", Many(integer(1, 65535))),
        Key("intercept", scalars.flag),
        Key("pinned", Many(scalars.host_pattern)),
        Key("ca_dir", scalars.own_folder),
        Key("users", scalars.no_file),
        Key("idle_timeout", duration(_LEAST_TIMEOUT)),
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
        Key("hosts", Many(scalars.network)),
        Key("host", scalars.bind_host),
        Key("port", integer(0, 65535, "; 0 takes any free port")),
    ),
    _check_admin,
)

_CLUSTER = Record(
    "a mapping",
    Cluster,
    (
        Key("key_file", scalars.no_file),
        Key("peers", Many(scalars.peer, or_one=True)),
        Key("self", scalars.node_or_none, "own"),
    ),
)

_TIER = Record(
    "a mapping",
    Tier,
    (
        Key("url", scalars.s3_url, required=True),
        Key("endpoint", scalars.url_or_none),
        Key("region", scalars.region),
        Key("max_size", scalars.size_or_none),
        Key("uploads", integer(1, 64)),
        Key("rate_limit", scalars.rate),
    ),
)

_PATH_REWRITE = Record(
    "a mapping",
    PathRewrite,
    (
        Key("search", scalars.text, required=True),
        Key("replace", scalars.anything, required=True),
    ),
)

_CONTENT_REWRITE = Record(
    "a mapping",
    ContentRewrite,
    (
        Key("content_types", Many(scalars.text)),
        Key("targets", Many(scalars.url)),
        Key("members", Many(scalars.text)),
    ),
)

_CACHE_POLICY = Record(
    "a mapping",
    CachePolicy,
    (
        Key("ttl", duration()),
        Key("stale_if_error", duration()),
        Key("stale_while_revalidate", duration()),
        Key("negative_ttl", duration()),
        Key("ignore_upstream", scalars.flag),
        Key("ignore_no_store", scalars.flag),
        Key("obey_clients", scalars.flag),
        Key("private_grace", duration()),
    ),
)


def _named(ecosystem: str) -> str:
    return "" if ecosystem == NONE else ecosystem


def _check_digest(source: DigestSource) -> None:
    in_path = source.source is Source.PATH
    if in_path and source.pattern is None:
        raise Conflict("pattern", "missing", scalars.pattern.allowed)
    if not in_path and not source.name:
        raise Conflict("name", "missing", f"the name of the {source.source.value} field")


_DIGEST = Record(
    "a mapping",
    DigestSource,
    (
        Key("algorithm", scalars.member(*ALGORITHMS), required=True),
        Key("from", one_of(Source), "source", required=True),
        Key("pattern", scalars.pattern),
        Key("name", scalars.text),
    ),
    _check_digest,
)


def _check_rule(rule: Rule) -> None:
    if rule.max_size is not None and rule.min_size > rule.max_size:
        raise Conflict(
            "max_size", f"{rule.max_size} is not allowed", f"at least min_size, {rule.min_size}"
        )
    if not rule.upstreams and not rule.allow:
        raise Conflict("allow", "missing", "the hosts that upstream '*' may reach")
    if rule.upstreams and rule.allow:
        raise Conflict("allow", "of no use", 'hosts only with upstream "*"')
    if rule.strip_prefix and not rule.path_prefix:
        raise Conflict("strip_prefix", "nothing to strip", "true only with a path_prefix")
    _check_shown(rule.client_cert, rule.client_key)


_FLAG_OR_PATTERN = Either[bool, re.Pattern[str]](bool, scalars.flag, scalars.pattern)

_RULE = Record(
    "a mapping",
    Rule,
    (
        Key("name", scalars.text, required=True),
        Key("upstream", Many(scalars.upstream, or_one=True, least=1), "upstreams", required=True),
        Key("allow", Many(scalars.allowed_host)),
        Key("strategy", one_of(Strategy)),
        Key("pattern", scalars.pattern),
        Key("path_prefix", scalars.path_prefix),
        Key("strip_prefix", scalars.flag),
        Key("min_size", scalars.size),
        Key("max_size", scalars.size_or_none),
        Key("concurrency", integer(1, _MOST_CONNECTIONS)),
        Key("chunk_size", scalars.chunk),
        Key("cache_key_source", one_of(KeySource)),
        Key("path_rewrite", Many(_PATH_REWRITE)),
        Key("content_rewrite", _CONTENT_REWRITE),
        Key("handler", scalars.module_name),
        Key("ecosystem", Made(scalars.member("", NONE, *ECOSYSTEMS), _named)),
        Key("head_meta_headers", Many(scalars.header_name)),
        Key("immutable", _FLAG_OR_PATTERN),
        Key("digest", Many(_DIGEST, or_one=True), "digests"),
        Key("public", scalars.flag),
        Key("credentials", one_of(Credentials)),
        Key("on_missing", one_of(OnMissing)),
        Key("names", Many(scalars.text)),
        Key("request_headers", Many(scalars.header_name)),
        Key("credential_headers", Many(scalars.header_name)),
        Key("reject_types", Many(scalars.text)),
        Key("rate_limit", scalars.rate),
        Key("cache", _CACHE_POLICY),
        Key("cooldown", duration()),
        Key("xet", one_of(Xet)),
        Key("upstream_proxy", scalars.proxy),
        *_TRUST,
        Key("tier", scalars.flag),
        Key("cors", scalars.flag),
    ),
    _check_rule,
)


def _check_shown(cert: str, key: str) -> None:
    if key and not cert:
        raise Conflict("client_cert", "missing", "the certificate that client_key is of")


def _check_registry(registry: Registry) -> None:
    _check_shown(registry.client_cert, registry.client_key)
    if registry.password_file and registry.token_file:
        raise Conflict("token_file", "of no use beside password_file", "one of the two")
    if registry.password_file and not registry.username:
        raise Conflict("username", "missing", "the name that the password is of")
    if registry.username and not (registry.password_file or registry.token_file):
        raise Conflict("password_file", "missing", "the file that holds the password")


_REGISTRY = Record(
    "a mapping",
    Registry,
    (
        Key("upstream", Many(scalars.url, or_one=True, least=1), "upstreams"),
        Key("aliases", Many(scalars.registry_host)),
        Key("anonymous", scalars.flag),
        Key("keep_deleted", scalars.flag),
        Key("username", scalars.text),
        Key("password_file", Made(scalars.file, str)),
        Key("token_file", Made(scalars.file, str)),
        Key("share", scalars.flag),
        *_TRUST,
    ),
    _check_registry,
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
        Key("index", scalars.path_prefix),
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
            Key("server", _SERVER),
            Key("cache", _CACHE, default={}),
            Key("rules", Rules(_RULE, least=1), required=True),
            Key("forward", _FORWARD),
            Key("admin", _ADMIN),
            Key("logging", _LOGGING),
            Key("cluster", _CLUSTER),
            Key("tier", _TIER),
            Key("content_rewrite", _CONTENT_REWRITE),
            Key("rate_limit", scalars.rate),
            Key("rate_schedule", Many(_HOURS)),
            Key("prefetch", Many(_PREFETCH)),
            Key("registries", Made(Named(scalars.registry_host, _REGISTRY), merged), default={}),
        ),
        _check_config,
    )
