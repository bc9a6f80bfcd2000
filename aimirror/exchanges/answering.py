"""What an upstream's first answer means for the way a miss is filled."""

from __future__ import annotations

import enum

from attrs import frozen

from aimirror.caching.cache_status import CACHE_NAME
from aimirror.http.headers import Headers
from aimirror.http.ranges import ContentRange, parse_content_range
from aimirror.http.validator import Validator

#: Bytes: larger totals are taken for nonsense.
LARGEST_FILE = 1 << 50
#: Answers that say that this upstream can't, so that another one is asked.
UNABLE = frozenset({429, 500, 502, 503, 504})
#: How some servers refuse a Range, which is nothing that a client can't do without.
RANGE_REFUSED = frozenset({400, 405, 406, 412, 416, 501})
#: How upstreams answer where a credential is missing; some hide what is private behind a 404.
WITHHELD = frozenset({401, 403, 404, 410})
#: What is no success, and no refusal either: it leads strangers elsewhere.
REDIRECTS = frozenset(range(300, 400))


class Kind(enum.Enum):
    """How to go on after the header of a first answer."""

    #: The stored entry still holds.
    NOT_MODIFIED = "not modified"
    #: A true 206: the rest can be fetched in ranges.
    RANGED = "ranged"
    #: Any other answer, whole as it comes.
    WHOLE = "whole"
    #: The answer makes no sense for a range: ask again without one.
    ASK_PLAINLY = "ask plainly"
    #: A part where the whole was asked for: of no use to anybody.
    PART = "part"


@frozen
class Meaning:
    """The meaning of a first answer; the span and total are set for ``RANGED``."""

    kind: Kind
    start: int = 0
    stop: int = 0
    total: int = 0


def validator(headers: Headers) -> Validator:
    """What tells this version of a file from others."""
    return Validator(headers.get("etag", "") or "", headers.get("last-modified", "") or "")


def still_fills(headers: Headers) -> bool:
    """Whether it is another mirror's answer that has only begun to fetch the file itself.

    Its nearest member of Cache-Status (RFC 9211) says so; ranges of a file that grows there are
    slower than its one stream, and would have the mirror fetch out of order.
    """
    lines = headers.get_all("cache-status")
    name, _, rest = lines[-1].rpartition(", ")[2].partition("; ") if lines else ("", "", "")
    words = rest.split("; ")
    return name == CACHE_NAME and words[0].startswith("fwd=") and "fwd-status=304" not in words


def meaning(
    status: int, headers: Headers, asked: tuple[int, int | None] | None, conditional: bool
) -> Meaning:
    """Judge an answer to a GET; ``asked`` is the half-open span of its Range, if it had one.

    A span without an end is one to the end of the file.
    """
    if status == 304 and conditional:
        return Meaning(Kind.NOT_MODIFIED)
    if asked is not None and status in RANGE_REFUSED:
        return Meaning(Kind.ASK_PLAINLY)
    if status not in (206, 416) and not is_part(status, headers):
        return Meaning(Kind.WHOLE)
    if asked is None:
        return Meaning(Kind.WHOLE if status == 416 else Kind.PART)
    if status != 206 or _media_type(headers) == "multipart/byteranges":
        return Meaning(Kind.ASK_PLAINLY)
    content_range = parse_content_range(headers.joined("content-range") or "")
    encoded = headers.tokens("content-encoding") not in ((), ("identity",))
    if not isinstance(content_range, ContentRange) or content_range.total is None or encoded:
        return Meaning(Kind.ASK_PLAINLY)
    start, stop = asked
    expected = content_range.total if stop is None else min(stop, content_range.total)
    if (
        content_range.start != start
        or content_range.stop > expected
        or content_range.total > LARGEST_FILE
    ):
        return Meaning(Kind.ASK_PLAINLY)
    return Meaning(Kind.RANGED, content_range.start, content_range.stop, content_range.total)


def is_part(status: int, headers: Headers) -> bool:
    """Whether a 200 is not the whole that it seems to be: some servers mean 206 by it."""
    if status != 200 or "content-range" not in headers:
        return False
    content_range = parse_content_range(headers.joined("content-range") or "")
    return not (
        isinstance(content_range, ContentRange)
        and (content_range.start, content_range.stop) == (0, content_range.total)
    )


def _media_type(headers: Headers) -> str:
    return (headers.get("content-type") or "").partition(";")[0].strip().lower()


def as_whole(headers: Headers, total: int) -> Headers:
    """The header that a 200 would have had, from that of a 206."""
    return headers.with_all(
        {"content-range": None, "Content-Length": str(total), "Accept-Ranges": "bytes"}
    )
