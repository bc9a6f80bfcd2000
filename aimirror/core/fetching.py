"""The words in which a request to an upstream is described: tasks, outcomes, limits of reach."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from attrs import field, frozen

from aimirror.core.headers import Headers

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Zone(enum.Enum):
    """The kind of network that an address belongs to."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    #: Link-local (cloud metadata included), multicast, unspecified, reserved: never dialled.
    FORBIDDEN = "forbidden"


@frozen
class Reach:
    """Which addresses may be dialled, judged on the resolved address that is then used."""

    zones: frozenset[Zone] = frozenset({Zone.PUBLIC})
    #: Networks and hosts that the configuration lists beside those zones.
    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    #: Networks that are refused whatever else permits them.
    refused: tuple[Network, ...] = ()


#: For a rule's own upstream, which the administrator wrote down: all but the forbidden zone.
ANYWHERE = Reach(zones=frozenset({Zone.PUBLIC, Zone.PRIVATE, Zone.LOOPBACK}))


@frozen
class Egress:
    """How a request leaves: directly or through an upstream proxy, and to which addresses."""

    #: "" for direct, else http://, https://, socks5:// or socks5h://[user:password@]host:port.
    proxy: str = field(default="", repr=lambda value: repr("***" if value else ""))
    reach: Reach = Reach()
    #: Hosts reached directly although there is a proxy (see ``proxies.bypassed``).
    no_proxy: tuple[str, ...] = ()
    #: The proxy for http:// targets where it is another, None where it is the same.
    plain_proxy: str | None = field(default=None, repr=lambda value: repr(value and "***"))


@frozen
class Timeouts:
    """Seconds: to connect (TLS included), to the response header, and of silence in a body."""

    connect: float = 10.0
    header: float = 30.0
    silence: float = 30.0


@frozen
class Outgoing:
    """One request to an upstream, without its body."""

    method: str
    url: str
    headers: Headers
    egress: Egress = Egress()
    timeouts: Timeouts = Timeouts()


@frozen
class Validator:
    """What tells one version of a file from another (RFC 9110 section 8.8)."""

    etag: str = ""
    last_modified: str = ""

    def if_range(self) -> str:
        """The value for If-Range: a strong ETag, else a date, else "" (RFC 9110 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return "" if self.etag else self.last_modified

    def agrees(self, other: Validator) -> bool:
        """Whether two answers may be of one version: what both carry must be equal."""
        if self.etag and other.etag:
            return self.etag == other.etag
        if self.last_modified and other.last_modified:
            return self.last_modified == other.last_modified
        return True


@frozen
class FetchTask:
    """One piece for a worker: GET ``[start, stop)`` of a file of ``total`` bytes into a part file.

    The worker follows no redirect, checks status, Content-Range, total, validator and
    Content-Encoding before the first byte is written, and writes byte k at offset k of ``path``.
    """

    id: int
    url: str
    headers: Headers
    start: int
    stop: int
    total: int
    path: str
    validator: Validator = Validator()
    egress: Egress = Egress()
    timeouts: Timeouts = Timeouts()
    #: Bytes per second, 0 = unlimited (enforced in the worker by pausing the socket).
    rate_limit: int = 0


class Reason(enum.Enum):
    """How an attempt to fetch ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    RESOLVE = "name not resolved"
    CONNECT = "connection refused or timed out"
    FORBIDDEN = "address not allowed"
    TLS = "TLS failure"
    SILENT = "upstream fell silent"
    RESET = "connection lost"
    SHORT = "body shorter than announced"
    STATUS = "unexpected status"
    WHOLE = "the range was ignored"
    CHANGED = "the file changed"
    BAD_RANGE = "wrong Content-Range"
    ENCODED = "unasked Content-Encoding"
    PROTOCOL = "not HTTP"
    REDIRECTS = "too many or bad redirects"
    DISK_FULL = "disk full"
    DISK = "disk failure"
    WORKER_LOST = "worker process lost"


@frozen
class FetchResult:
    """How a piece ended; bytes ``[task.start, stop)`` are written whatever the reason."""

    reason: Reason
    stop: int
    #: Set with Reason.STATUS; and Retry-After in seconds where the upstream sent one.
    status: int = 0
    retry_after: float | None = None
    detail: str = ""
    #: Seconds from sending the request to its response header, 0 when none came.
    latency: float = 0.0


@frozen
class HashTask:
    """Digest ``[0, stop)`` of a part file; asked again with a larger ``stop`` it continues.

    ``key`` names the running state in the worker; a worker that does not know it starts at 0.
    """

    key: str
    path: str
    algorithms: tuple[str, ...]
    stop: int
