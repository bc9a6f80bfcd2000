"""The keys of ``server``: its address, its clients, its limits, and how it goes upstream."""

from __future__ import annotations

from collections.abc import Iterable

from aimirror.config import addresses, scalars
from aimirror.config.model import Server, Tls
from aimirror.config.rule_tables import CA_FILE, MOST_CONNECTIONS
from aimirror.config.scalars import duration, integer, number
from aimirror.config.schema import Conflict, Key, Made, Many, Record
from aimirror.http.egress import Network, Reach, Timeouts
from aimirror.routing.served_names import ServedName
from aimirror.server.access import Limits

#: Bounds that keep a slip of the finger from exhausting sockets, processes or memory.
_MOST_DOWNLOADS = 10_000
_MOST_WORKERS = 64
_MOST_CLIENTS = 1_000_000
#: Seconds; less would fail on an ordinary network.
LEAST_TIMEOUT = 0.1
#: Bytes; less refuses ordinary clients.
_LEAST_HEAD = 4096


def _reach(listed: Iterable[Network | str]) -> Reach:
    hosts = frozenset(item for item in listed if isinstance(item, str))
    return Reach(networks=tuple(i for i in listed if not isinstance(i, str)), hosts=hosts)


_TIMEOUTS = Record(
    "a mapping",
    Timeouts,
    tuple(Key(name, duration(LEAST_TIMEOUT)) for name in ("connect", "header", "silence")),
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
            Key(name, duration(LEAST_TIMEOUT))
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
        Key("host", addresses.registry_host, required=True),
        Key("root", Made(addresses.path_prefix, lambda path: path.rstrip("/"))),
        Key("registry", addresses.registry_host),
    ),
    _check_served_name,
)

SERVER = Record(
    "a mapping",
    Server,
    (
        Key("host", addresses.bind_host),
        Key("port", integer(0, 65535, "; 0 takes any free port")),
        Key("upstream_proxy", addresses.proxy),
        Key("no_proxy", Many(addresses.bypass)),
        CA_FILE,
        Key("tls", _TLS),
        Key("trusted_proxies", Many(addresses.network)),
        Key("public_host", addresses.public_host),
        Key("max_concurrent_downloads", integer(1, _MOST_DOWNLOADS)),
        Key("workers", integer(0, _MOST_WORKERS, "; 0 for one per CPU, at least 2")),
        Key("connections_per_host", integer(1, MOST_CONNECTIONS)),
        Key("allow_private", Made(Many(addresses.network_or_host), _reach)),
        Key("timeouts", _TIMEOUTS),
        Key("allow", Many(addresses.network)),
        Key("deny", Many(addresses.network)),
        Key("users", scalars.no_file),
        Key("limits", _LIMITS),
        Key("names", Many(_SERVED_NAME)),
    ),
)
