"""Conditional requests (RFC 9110 section 13): entity tags and the order of preconditions."""

from __future__ import annotations

import enum
import re

from attrs import frozen

from aimirror.http.dates import parse_date
from aimirror.http.headers import Headers

#: One member of a list of tags.  Clients that lose the quotes are common; what stands in quotes
#: may hold commas and blanks, what stands without may not.
_MEMBER = re.compile(
    r"""[ \t]*(?:(?P<weak>W/)?(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s",]+))[ \t]*)?(?:,|\Z)""",
    re.IGNORECASE,
)
_ANY = "*"


@frozen
class ETag:
    """An entity tag (RFC 9110 section 8.8.3); ``opaque`` is what stands between the quotes."""

    opaque: str
    weak: bool = False

    def matches_strongly(self, other: ETag) -> bool:
        """Byte for byte the same representation: equal, and neither is weak."""
        return not self.weak and not other.weak and self.opaque == other.opaque

    def matches_weakly(self, other: ETag) -> bool:
        """As good as the same: equal, weak or not."""
        return self.opaque == other.opaque

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.opaque}"'


class Condition(enum.Enum):
    """What the preconditions of a request come to."""

    PROCEED = "proceed"
    #: Answer 304.
    NOT_MODIFIED = "not modified"
    #: Answer 412.
    FAILED = "failed"


def parse_etags(value: str | None) -> tuple[ETag, ...]:
    """The tags of a list, in order.

    Unquoted tags are taken as meant.  From the first unintelligible member on nothing is read
    (an open quote leaves no way to tell where the next one starts); ``*`` is no tag.
    """
    tags: list[ETag] = []
    position = 0
    text = value or ""
    while position < len(text) and (match := _MEMBER.match(text, position)):
        position = match.end()
        opaque = match["bare"] if match["quoted"] is None else match["quoted"]
        if opaque is not None and match["bare"] != _ANY:
            tags.append(ETag(opaque, weak=match["weak"] is not None))
    return tuple(tags)


def parse_etag(value: str | None) -> ETag | None:
    """The one tag of an ETag field; None when there is none or more than one."""
    tags = parse_etags(value)
    return tags[0] if len(tags) == 1 else None


def evaluate(
    method: str, request: Headers, etag: str | None, last_modified: str | None
) -> Condition:
    """Judge the preconditions of a request against an existing representation.

    ``etag`` and ``last_modified`` are the fields of what would be sent.  The order is that of RFC
    9110 section 13.2.2; invalid dates, and dates where there is no Last-Modified, are ignored.
    """
    tag = parse_etag(etag)
    if "if-match" in request:
        if not _listed(request.joined("if-match"), tag, strong=True):
            return Condition.FAILED
    elif _modified_since(request.joined("if-unmodified-since"), last_modified) is True:
        return Condition.FAILED
    reading = method in ("GET", "HEAD")
    if "if-none-match" in request:
        if _listed(request.joined("if-none-match"), tag, strong=False):
            return Condition.NOT_MODIFIED if reading else Condition.FAILED
    elif reading and _modified_since(request.joined("if-modified-since"), last_modified) is False:
        return Condition.NOT_MODIFIED
    return Condition.PROCEED


def range_applies(request: Headers, etag: str | None, last_modified: str | None) -> bool:
    """Whether If-Range lets the Range of a request count (RFC 9110 section 13.1.5).

    A tag has to be the same strong one as sent; a date has to be exactly the Last-Modified one.
    """
    value = request.joined("if-range")
    if value is None:
        return True
    moment = parse_date(value)
    if moment is not None:
        return last_modified is not None and parse_date(last_modified) == moment
    asked, tag = parse_etag(value), parse_etag(etag)
    return asked is not None and tag is not None and asked.matches_strongly(tag)


def _listed(value: str | None, tag: ETag | None, *, strong: bool) -> bool:
    if value is not None and value.strip() == _ANY:
        return True
    if tag is None:
        return False
    compare = tag.matches_strongly if strong else tag.matches_weakly
    return any(compare(other) for other in parse_etags(value))


def _modified_since(value: str | None, last_modified: str | None) -> bool | None:
    """Whether the representation is newer than a date; None when either can't be read."""
    since = parse_date(value) if value else None
    modified = parse_date(last_modified) if last_modified else None
    return None if since is None or modified is None else modified > since
