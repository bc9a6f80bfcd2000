"""Asking whether a stored response still holds, and what an answer changes in it.

RFC 9111 sections 3.2 (updates), 4.3 (validation) and 4.4 (invalidation).
"""

from __future__ import annotations

from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

from attrs import evolve

from aimirror.caching.entries import Entry
from aimirror.caching.storing import prepare
from aimirror.http.dates import format_date, parse_date
from aimirror.http.headers import Headers

#: Methods that change nothing (RFC 9110 section 9.2.1 and the IANA registry); all others,
#: unknown ones included, are taken to be unsafe.
SAFE_METHODS = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH"}
)
#: Fields that a 304 never changes: RFC 9111 section 3.2 names Content-Length; the others say how
#: our stored bytes were decoded, typed, combined and selected, and servers are known to send
#: wrong ones with a 304.
_KEPT = ("content-length", "content-encoding", "content-type", "content-range", "vary")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def conditional(entry: Entry) -> Headers:
    """The fields that make a request conditional on the entry (RFC 9111 section 4.3.1).

    Empty when it has no validator, or is no success: an origin evaluates no condition then.
    """
    if not 200 <= entry.status < 300:
        return Headers()
    fields = []
    etag = entry.headers.get("ETag")
    if etag:
        fields.append(("If-None-Match", etag))
    modified = entry.headers.get("Last-Modified")
    if modified and parse_date(modified) is not None:
        fields.append(("If-Modified-Since", modified))
    return Headers(fields)


def proving(entry: Entry) -> Headers:
    """The same for a client that may not have the entry unless the upstream means these very bytes.

    Only a strong ETag tells representations apart (RFC 9110 section 8.8.1): of a date, an upstream
    says 304 of anything that is no newer, and so of another user's page.
    """
    etag = entry.headers.get("ETag") or ""
    return conditional(entry).only("If-None-Match") if etag.startswith('"') else Headers()


def confirms(entry: Entry, not_modified: Headers) -> bool:
    """Whether a 304 is about this entry (RFC 9111 section 4.3.4).

    When not, nothing stored may be updated or served by it: fetch without a condition.
    """
    for name in ("ETag", "Last-Modified"):
        theirs = not_modified.get(name)
        if theirs is not None:
            ours = entry.headers.get(name)
            return ours is not None and _same_validator(name, ours, theirs)
    return True


def freshen(entry: Entry, not_modified: Headers, requested_at: float, received_at: float) -> Entry:
    """The entry as updated by a 304 that ``confirms`` it; times are epoch seconds.

    The caller asks ``storable`` of the result's fields again: a 304 may bring ``no-store``.
    """
    new = not_modified.end_to_end().without(*_KEPT, "set-cookie", "warning")
    # An Age belongs to one message; one that the 304 does not repeat would age us twice.
    merged = entry.headers.without("age", *(name for name, _ in new))
    merged = Headers([*merged, *new])
    if parse_date(new.get("Date", "") or "", received_at) is None:
        merged = merged.with_("Date", format_date(received_at))
    return evolve(
        entry,
        headers=prepare(merged, received_at),
        requested_at=requested_at,
        received_at=received_at,
        invalidated=False,
    )


def head_updates(
    entry: Entry, head_response: Headers, requested_at: float, received_at: float
) -> Entry | None:
    """The entry as updated by a 200 to a HEAD request (RFC 9111 section 4.3.5).

    None when the response tells of another representation: the entry is to be invalidated.
    Answers of any other status say nothing about a stored 200.
    """
    for name in ("ETag", "Last-Modified"):
        theirs, ours = head_response.get(name), entry.headers.get(name)
        if theirs is not None and (ours is None or not _same_validator(name, ours, theirs)):
            return None
    length = head_response.get("Content-Length")
    coded = head_response.joined("Content-Encoding") != entry.headers.joined("Content-Encoding")
    if length is not None and not coded:
        ours = entry.headers.get("Content-Length", str(entry.size))
        if length.strip() != ours:
            return None
    return freshen(entry, head_response, requested_at, received_at)


def invalidated(method: str, status: int, url: str, response: Headers) -> tuple[str, ...]:
    """The URLs whose entries an answer makes invalid (RFC 9111 section 4.4).

    ``url`` is the upstream URL of the request; of Location and Content-Location only those of
    the same origin count, so that no origin can empty another's entries.
    """
    if method.upper() in SAFE_METHODS or not 200 <= status < 400:
        return ()
    urls = [url]
    for name in ("Location", "Content-Location"):
        value = response.get(name)
        target = _resolved(url, value) if value is not None else None
        if target is not None and target not in urls:
            urls.append(target)
    return tuple(urls)


def _same_validator(name: str, ours: str, theirs: str) -> bool:
    if name == "ETag":
        return ours.strip().removeprefix("W/") == theirs.strip().removeprefix("W/")
    return ours == theirs or (
        parse_date(ours) is not None and parse_date(ours) == parse_date(theirs)
    )


def _resolved(base: str, reference: str) -> str | None:
    """The absolute URL of a reference, spelled with the base's origin; None for another origin."""
    try:
        ours = urlsplit(base)
        theirs = urlsplit(urldefrag(urljoin(base, reference.strip())).url)
        same = _origin(ours) == _origin(theirs)
    except ValueError:
        return None
    return theirs._replace(scheme=ours.scheme, netloc=ours.netloc).geturl() if same else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    port = parts.port if parts.port is not None else _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port
