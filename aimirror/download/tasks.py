"""What a worker is asked to do, and how that ended."""

from __future__ import annotations

import enum

from attrs import frozen

from aimirror.http.egress import Egress, Timeouts
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator


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
    #: Whether its connection is idle now, for the next piece from there.
    kept: bool = False


@frozen
class HashTask:
    """Digest ``[0, stop)`` of a part file; asked again with a larger ``stop`` it continues.

    ``key`` names the running state in the worker; a worker that does not know it starts at 0.
    """

    key: str
    path: str
    algorithms: tuple[str, ...]
    stop: int


@frozen
class SendTask:
    """PUT ``[start, stop)`` of a file to a URL; ``headers`` are signed already."""

    url: str
    headers: Headers
    path: str
    start: int
    stop: int
    egress: Egress = Egress()
    timeouts: Timeouts = Timeouts()
    #: Bytes per second, 0 = unlimited.
    rate_limit: int = 0


@frozen
class SendResult:
    """How that ended: a status, or 0 and why there was none."""

    status: int
    #: What the server calls the bytes.
    etag: str = ""
    detail: str = ""
