"""What the machine of a download asks its interpreter to do."""

from __future__ import annotations

from attrs import frozen

from aimirror.download.tasks import Reason


@frozen
class Fetch:
    """Have ``[start, stop)`` fetched from a source."""

    id: int
    source: int
    start: int
    stop: int


@frozen
class Trim:
    """Let a flight end earlier."""

    id: int
    stop: int


@frozen
class Cancel:
    """Drop a flight."""

    id: int


@frozen
class Resolve:
    """Ask the original URL of a source again: its redirect has expired."""

    source: int


@frozen
class Refused:
    """The host of a source refused a connection while others worked: it bears no more.

    ``alone``: it left all of several unanswered, so that it bears one at the most.
    """

    source: int
    alone: bool = False


@frozen
class Once:
    """A source gives its file to the first request alone, which brings all of it."""

    source: int


@frozen
class FetchWhole:
    """The upstream has no usable ranges: read the whole file in one stream, from byte 0."""

    id: int
    source: int


@frozen
class Hash:
    """Digest ``[0, stop)``."""

    stop: int


@frozen
class Complete:
    """Every byte is there and proven; ``digests`` maps algorithm to hex."""

    digests: tuple[tuple[str, str], ...]


@frozen
class Restart:
    """Throw all bytes away, cut the readers and begin anew."""

    reason: Reason
    detail: str
    #: The bytes were complete and did not match the digest: keep them apart for inspection.
    quarantine: bool = False


@frozen
class Fail:
    """Give up."""

    reason: Reason
    detail: str
    status: int = 0
    retry_after: float | None = None


@frozen
class Wake:
    """Call ``tick`` at this time (seconds); a later one replaces an earlier one."""

    at: float


Command = (
    Fetch
    | Trim
    | Cancel
    | Resolve
    | Refused
    | Once
    | FetchWhole
    | Hash
    | Complete
    | Restart
    | Fail
    | Wake
)
