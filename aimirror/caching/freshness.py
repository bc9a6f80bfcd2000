"""How long a response is fresh, how old it is, and whether it may be served stale at all."""

from __future__ import annotations

from hashlib import sha256
from math import floor

from aimirror.caching.directives import (
    LONGEST,
    Directives,
    delta_seconds,
    response_directives,
    split_members,
)
from aimirror.caching.entries import Entry
from aimirror.http.dates import parse_date
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy

#: Statuses that may be given a life without explicit freshness (RFC 9110 section 15.1);
#: 206 is left out, since parts are put together before anything is stored.
HEURISTIC = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
#: Of these, the ones that a rule's ``ttl`` and ``negative_ttl`` are about.
POSITIVE = frozenset({200, 203, 204, 300, 301, 308})
NEGATIVE = frozenset({404, 410})
#: The name of an empty body.
_NOTHING = sha256(b"").hexdigest()
#: The share of its age at receipt that an unmarked response is taken to last (RFC 9111 4.2.2).
HEURISTIC_SHARE = 0.1
#: Seconds: the longest life given by heuristic; an index that is older would be missed by users.
HEURISTIC_LONGEST = 3600.0


def lifetime(status: int, response: Headers, policy: CachePolicy) -> float:
    """Seconds for which a response is fresh, counted in its age; 0 means that it never is.

    The first that applies (RFC 9111 section 4.2.1): the rule's word under ``ignore_upstream``,
    s-maxage, max-age, Expires - Date, the rule's ``negative_ttl`` or ``ttl``, a heuristic.
    ``response`` is as ``prepare`` made it: with a valid Date.
    """
    directives = response_directives(response)
    if policy.ignore_upstream and status in NEGATIVE:
        return policy.negative_ttl
    if policy.ignore_upstream and policy.ttl is not None and status in POSITIVE:
        return policy.ttl
    explicit = explicit_lifetime(response, directives)
    if explicit is not None:
        return explicit
    if status in NEGATIVE:
        return policy.negative_ttl
    if status not in HEURISTIC and "public" not in directives:
        return 0.0
    if policy.ttl is not None and status in POSITIVE:
        return policy.ttl
    return _heuristic(response)


def explicit_lifetime(response: Headers, directives: Directives) -> float | None:
    """Seconds that the origin itself gave, None when it gave none; malformed counts as 0."""
    for name in ("s-maxage", "max-age"):
        seconds = directives.seconds(name)
        if seconds is not None:
            return float(seconds)
    if directives.targeted or "Expires" not in response:
        return None
    ends = [parse_date(text) for text in response.get_all("Expires")]
    date = parse_date(response.get("Date", "") or "")
    if date is None:
        return 0.0
    # An invalid date, "0" above all, is in the past (RFC 9111 section 5.3).
    return max(0.0, min((end - date if end is not None else 0.0) for end in ends))


def age(entry: Entry, now: float) -> float:
    """Seconds since the origin made or validated the response (RFC 9111 section 4.2.3)."""
    date = parse_date(entry.headers.get("Date", "") or "", entry.received_at)
    # Date has whole seconds: what it leaves out is not age.
    apparent = 0.0 if date is None else max(0.0, floor(entry.received_at) - date)
    delay = max(0.0, entry.received_at - entry.requested_at)
    corrected = _age_value(entry.headers) + delay
    return max(apparent, corrected) + max(0.0, now - entry.received_at)


def remaining(entry: Entry, policy: CachePolicy, now: float) -> float:
    """Seconds of freshness left; negative: since when it is stale.  LONGEST for immutable ones.

    Nothing at all is believed no longer than a "not found": mirrors that are being filled, and
    servers in trouble, send empty files with 200.  The path may tell that it is right.
    """
    if entry.blob == _NOTHING and entry.status == 200 and _NOTHING not in entry.key:
        asked = max(0.0, now - entry.received_at)
        left = LONGEST if entry.immutable else _left(entry, policy, now)
        return min(left, policy.negative_ttl - asked)
    return float(LONGEST) if entry.immutable else _left(entry, policy, now)


def _left(entry: Entry, policy: CachePolicy, now: float) -> float:
    return lifetime(entry.status, entry.headers, policy) - age(entry, now)


def holds(entry: Entry, policy: CachePolicy, now: float) -> bool:
    """Whether an entry answers without the upstream, unless a client wishes for another one."""
    return remaining(entry, policy, now) > 0 and not must_validate(entry, policy)


def must_validate(entry: Entry, policy: CachePolicy) -> bool:
    """Whether even a fresh response may not be reused without asking the origin."""
    if entry.invalidated:
        return True
    if entry.immutable or policy.ignore_upstream:
        return False
    return response_directives(entry.headers).whole("no-cache")


def never_stale(entry: Entry, policy: CachePolicy) -> bool:
    """Whether a stale response is forbidden by the origin (RFC 9111 section 4.2.4).

    A rule's stale_* durations do not lift this; ``ignore_upstream`` does.
    """
    if must_validate(entry, policy):
        return True
    if policy.ignore_upstream:
        return False
    directives = response_directives(entry.headers)
    return any(n in directives for n in ("must-revalidate", "proxy-revalidate", "s-maxage"))


def _heuristic(response: Headers) -> float:
    if "Cache-Control" not in response and "no-cache" in response.tokens("Pragma"):
        return 0.0  # what an old origin means by it, though no RFC defines it for responses
    date = parse_date(response.get("Date", "") or "")
    modified = parse_date(response.get("Last-Modified", "") or "")
    if date is None or modified is None:
        return 0.0
    return min(HEURISTIC_LONGEST, max(0.0, (date - modified) * HEURISTIC_SHARE))


def _age_value(response: Headers) -> float:
    """The first member of Age, 0 when it is not a number (RFC 9111 section 5.1)."""
    value = response.joined("Age")
    return 0.0 if value is None else float(delta_seconds(split_members(value)[0]) or 0)
