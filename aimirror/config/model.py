"""The configuration as frozen values; a field has the name, unit and default of its key."""

from __future__ import annotations

import enum
from pathlib import Path

from attrs import field, frozen

from aimirror.download.hours import Hours
from aimirror.forward.policy import HostPattern, Listed
from aimirror.http.egress import Network, Reach, Timeouts
from aimirror.platform import usable_cores
from aimirror.registries.registry import DEFAULTS, Registry
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.rules import Rule
from aimirror.routing.served_names import ServedName
from aimirror.server.access import Limits
from aimirror.upstream.proxies import Proxies

_GB = 1000**3
_MB = 1000**2
#: Worker processes when the configuration leaves their number open.
_LEAST_WORKERS = 2


class Abandoned(enum.Enum):
    """What becomes of a running download whose clients have all left."""

    FINISH = "finish"
    DROP = "drop"


class AccessFormat(enum.Enum):
    """How answers are logged; AUTO is SHORT on the foreground's standard error, else COMMON."""

    AUTO = "auto"
    SHORT = "short"
    COMMON = "common"
    JSON = "json"
    OFF = "off"


class Level(enum.Enum):
    """The least severe events that are logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@frozen(kw_only=True)
class Tls:
    """The certificate with which we listen, its chain behind it, and its key; PEM files."""

    cert: Path
    key: Path


@frozen(kw_only=True)
class Server:
    """How we listen, and the limits of all downloads together."""

    host: str = "0.0.0.0"
    #: 0 takes any free one.
    port: int = 8081
    #: "" goes directly; may hold a password.
    upstream_proxy: str = field(default="", repr=lambda value: repr("***" if value else ""))
    #: Upstreams that go round it (see ``proxies.bypassed``).
    no_proxy: tuple[str, ...] = ()
    #: A PEM file of authorities that upstreams are believed by beside the system's; "" for none.
    ca_file: str = ""
    #: None listens without TLS.
    tls: Tls | None = None
    #: From whom Forwarded and X-Forwarded-* are believed.
    trusted_proxies: tuple[Network, ...] = ()
    #: "host:port" or a URL without trailing slash; "" derives it from each request's Host.
    public_host: str = ""
    max_concurrent_downloads: int = 100
    #: 0 leaves it open; see ``worker_count``.
    workers: int = 0
    #: Where redirects and their like may lead, beside public addresses.
    allow_private: Reach = Reach()
    #: Connections to one upstream host, over all downloads.
    connections_per_host: int = 64
    timeouts: Timeouts = Timeouts()
    #: Who may connect: nobody of ``deny``, and unless it is empty nobody outside ``allow``.
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    #: User names and bcrypt hashes of clients; None lets everybody in.
    users: Path | None = None
    limits: Limits = Limits()
    #: Names of the mirror that stand for a part of it.
    names: tuple[ServedName, ...] = ()

    def worker_count(self) -> int:
        """The worker processes to run: one per CPU, at least two, unless the file says."""
        return self.workers or max(_LEAST_WORKERS, usable_cores())


@frozen(kw_only=True)
class Cache:
    """Where and how much is stored."""

    dir: Path
    max_size_gb: float = 100.0
    lru_enabled: bool = True
    #: Small hot answers kept in memory; 0 keeps none.
    memory_mb: float = 32.0
    keep_abandoned: Abandoned = Abandoned.FINISH

    @property
    def max_bytes(self) -> int:
        """``max_size_gb`` in bytes (1 GB is 10^9)."""
        return int(self.max_size_gb * _GB)

    @property
    def memory_bytes(self) -> int:
        """``memory_mb`` in bytes (1 MB is 10^6)."""
        return int(self.memory_mb * _MB)


@frozen(kw_only=True)
class Forward:
    """What we do as a forward proxy (HTTP_PROXY, HTTPS_PROXY)."""

    enabled: bool = True
    #: Hosts and networks beside those of the rules; and those that are refused all the same.
    allow: tuple[Listed, ...] = ()
    deny: tuple[Listed, ...] = ()
    #: Ports of tunnels.
    ports: tuple[int, ...] = (443,)
    #: Whether TLS to hosts of the rules ends here, under certificates of our own authority.
    intercept: bool = False
    #: Hosts of rules that are tunnelled all the same.
    pinned: tuple[HostPattern, ...] = ()
    #: Where the authority's certificate and key are.
    ca_dir: Path | None = None
    #: User names and bcrypt hashes; None lets everybody in.
    users: Path | None = None
    #: Seconds without a byte after which a tunnel is closed.
    idle_timeout: float = 600.0


@frozen(kw_only=True)
class Admin:
    """Who may steer the service, beside people on its own machine."""

    #: "" for none.
    token: str = field(default="", repr=lambda value: repr("***" if value else ""))
    token_file: Path | None = None
    hosts: tuple[Network, ...] = ()
    #: An address of its own, so that no browser has dashboard and mirrored pages at one origin;
    #: without a port it is below the mirror's.
    host: str = "127.0.0.1"
    port: int | None = None


@frozen(kw_only=True)
class Logging:
    """What is logged, and where to; no file is standard error."""

    level: Level = Level.INFO
    file: Path | None = None
    access: AccessFormat = AccessFormat.AUTO
    #: None writes it where the rest goes.
    access_file: Path | None = None
    #: Bytes after which a file is put aside, 0 for never, and how many of those are kept.
    max_size: int = 0
    keep: int = 5


@frozen(kw_only=True)
class Cluster:
    """What the nodes of one mirror have in common."""

    #: One or two secrets, a line each: what nodes write for each other is signed with the first.
    key_file: Path | None = None
    #: ``host:port`` of each, or one ``dns://name:port``; none, and each node is alone.
    peers: tuple[str, ...] = ()
    #: ``host:port`` by which the others reach this node.
    own: str = ""


@frozen(kw_only=True)
class Tier:
    """A store behind the caches of all nodes."""

    #: ``s3://bucket/prefix``
    url: str
    #: The URL of a server that speaks S3; "" is Amazon's.
    endpoint: str = ""
    region: str = "us-east-1"
    #: Larger bodies stay on their node; None has no limit.
    max_size: int | None = None
    #: At a time.
    uploads: int = 4
    #: Bytes per second of all uploads, 0 without limit.
    rate_limit: int = 0

    @property
    def base(self) -> str:
        """The URL of the bucket."""
        bucket = self.url.removeprefix("s3://").partition("/")[0]
        if self.endpoint:
            return f"{self.endpoint}/{bucket}"
        return f"https://{bucket}.s3.{self.region}.amazonaws.com"

    @property
    def prefix(self) -> str:
        """How the names of our objects begin: "" or text that ends in a slash."""
        prefix = self.url.removeprefix("s3://").partition("/")[2].strip("/")
        return f"{prefix}/" if prefix else ""


@frozen(kw_only=True)
class Prefetch:
    """What is fetched ahead again and again."""

    what: tuple[str, ...]
    #: Seconds from one time to the next.
    every: float = 86400.0
    #: Seconds after midnight by the machine's clock, None for whenever the service starts.
    at: float | None = None
    #: Bytes per second on average, 0 without limit.
    rate_limit: int = 0
    python: str = ""
    platform: str = ""
    index: str = "/simple"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@frozen(kw_only=True)
class Config:
    """A whole configuration; rules have inherited what the top level gives them."""

    rules: tuple[Rule, ...]
    cache: Cache
    server: Server = Server()
    forward: Forward = Forward()
    admin: Admin = Admin()
    logging: Logging = Logging()
    cluster: Cluster = Cluster()
    #: None keeps all on this node.
    tier: Tier | None = None
    #: The proxies that the environment names, where the file wants them.
    environment: Proxies = Proxies()
    #: What rules without one of their own were given.
    content_rewrite: ContentRewrite | None = None
    #: Bytes per second of all downloads together, 0 without limit.
    rate_limit: int = 0
    #: What takes its place at some times of the day.
    rate_schedule: tuple[Hours, ...] = ()
    #: The registries that OCI clients may reach.
    registries: tuple[Registry, ...] = DEFAULTS
    prefetch: tuple[Prefetch, ...] = ()
    #: The file as messages name it, and the folder where handler modules are looked for first.
    source: str
    folder: Path
