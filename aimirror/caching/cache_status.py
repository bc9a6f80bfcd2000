"""What a client is told: the fields of a stored response, and how the cache came to answer."""

from __future__ import annotations

from math import floor

from attrs import frozen

from aimirror.caching.directives import LONGEST
from aimirror.caching.entries import Entry
from aimirror.caching.freshness import age
from aimirror.caching.reuse import Forward
from aimirror.http.headers import Headers

#: Our name in Cache-Status.
CACHE_NAME = "aimirror"
#: Characters of a detail; it is for people who read logs.
_LONGEST_DETAIL = 200


@frozen(kw_only=True)
class Handling:
    """How a request was answered (RFC 9211 section 2): a hit, or forwarded and why."""

    #: None for an answer without waiting for the upstream, stale or not.
    forward: Forward | None = None
    #: Status of the upstream's answer, where it is not the one that the client gets.
    forward_status: int | None = None
    stored: bool = False
    #: The request was joined to another one that was under way.
    collapsed: bool = False
    #: Seconds of freshness left (negative: stale since), None where it means nothing.
    ttl: float | None = None
    detail: str = ""


def cache_status(handling: Handling) -> str:
    """Our member of Cache-Status; it goes after those that the response brought along."""
    parts = [CACHE_NAME]
    if handling.forward is None:
        parts.append("hit")
    else:
        parts.append(f"fwd={handling.forward.value}")
        if handling.forward_status is not None:
            parts.append(f"fwd-status={handling.forward_status}")
    if handling.ttl is not None:
        parts.append(f"ttl={floor(handling.ttl)}")
    if handling.stored:
        parts.append("stored")
    if handling.collapsed:
        parts.append("collapsed")
    if handling.detail:
        parts.append(f"detail={_quoted(handling.detail)}")
    return "; ".join(parts)


def serve(entry: Entry, now: float) -> Headers:
    """The stored fields with their one Age (RFC 9111 sections 4 and 5.1)."""
    return entry.headers.with_("Age", str(min(LONGEST, floor(age(entry, now)))))


def _quoted(text: str) -> str:
    """A string item of a structured field (RFC 8941 section 3.3.3); what it can't hold is "?"."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in text[:_LONGEST_DETAIL])
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
