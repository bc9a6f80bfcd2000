"""Whether a plain body that broke off can be gone on with, and whether an answer does so."""

from __future__ import annotations

from attrs import frozen

from aimirror.download.tasks import Reason
from aimirror.exchanges.answering import is_part, validator
from aimirror.http.dates import parse_date
from aimirror.http.headers import Headers
from aimirror.http.ranges import ContentRange, parse_content_range
from aimirror.http.validator import Validator

#: Ends of a body after which the same upstream may well send the rest.
BROKEN = frozenset({Reason.RESET, Reason.SHORT, Reason.SILENT, Reason.TLS})
#: Requests for the rest of one body: in a row that brought nothing, and in all.
MOST_IDLE = 3
MOST_REQUESTS = 100

#: Seconds by which Date must be later than a Last-Modified that tells versions apart.
_SETTLED = 1.0


@frozen
class Version:
    """The representation that was being sent: its size in bytes, and what tells it from others."""

    length: int
    validator: Validator


def version(status: int, headers: Headers, length: int | None, now: float) -> Version | None:
    """What a response is a version of; None when it can't be told from others for certain.

    A weak validator or an unknown length would risk bytes of two versions in one file; a coded
    body has no offsets that a later answer is bound to.
    """
    if status != 200 or not length or _coded(headers) or "content-range" in headers:
        return None
    tag = validator(headers)
    if tag.etag:
        return Version(length, tag) if tag.if_range() else None
    modified = parse_date(tag.last_modified, now)
    sent = parse_date(headers.get("date", "") or "", now)
    if modified is None or sent is None or sent - modified < _SETTLED:
        return None  # RFC 9110 section 8.8.2.2: it may have changed within that second
    return Version(length, tag)


def skipped(
    known: Version, position: int, status: int, headers: Headers, length: int | None
) -> int | None:
    """Bytes of an answer to drop, so that it goes on at ``position``; None when it does not.

    A whole answer counts only when it says itself that it is the same version.
    """
    tag = validator(headers)
    if _coded(headers) or not known.validator.agrees(tag):
        return None
    if status == 206:
        said = parse_content_range(headers.joined("content-range") or "")
        if not isinstance(said, ContentRange) or said.total != known.length:
            return None
        fits = said.start == position and length in (None, said.stop - said.start)
        return 0 if fits else None
    same = tag == known.validator and length == known.length and not is_part(status, headers)
    return position if status == 200 and same else None


def _coded(headers: Headers) -> bool:
    return headers.tokens("content-encoding") not in ((), ("identity",))
