"""What to do with a request, given what is stored (RFC 9111 section 4, RFC 5861, RFC 8246)."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import field, frozen

from aimirror.caching.directives import Directives, request_directives, response_directives
from aimirror.caching.entries import Entry
from aimirror.caching.freshness import age, must_validate, never_stale, remaining
from aimirror.caching.validation import conditional
from aimirror.caching.variants import select
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy


class Forward(enum.Enum):
    """Why a request goes to the upstream, in the words of Cache-Status (RFC 9211 section 2.2)."""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    REQUEST = "request"
    STALE = "stale"


@frozen
class Fresh:
    """Answer from the entry, which is so for ``left`` seconds more; no upstream is asked."""

    entry: Entry
    left: float = field(default=0.0, eq=False)


@frozen
class StaleWhileRevalidate:
    """Answer from the stale entry at once, and validate it meanwhile with these fields added."""

    entry: Entry
    conditional: Headers


@frozen
class Validate:
    """Ask the upstream with these fields added before the entry is used.

    ``conditional`` is empty when the entry has no validator: then the request is a plain fetch,
    and the entry is what ``on_error`` may fall back to.
    """

    entry: Entry
    conditional: Headers
    forward: Forward


@frozen
class Miss:
    """Nothing stored is of use: fetch."""

    forward: Forward


@frozen
class Unavailable:
    """Only a stored response was wanted and none may be used: 504 (RFC 9111 5.2.1.7)."""


Decision = Fresh | StaleWhileRevalidate | Validate | Miss | Unavailable


def decide(
    method: str,
    request: Headers,
    entries: Sequence[Entry],
    policy: CachePolicy,
    now: float,
    *,
    obey_client: bool = True,
    scope: str = "",
) -> Decision:
    """What to do with a request for whose URL ``entries`` are stored.

    ``scope`` is that of the client's credential.  With ``obey_client`` false the request's wishes
    for something fresher (no-cache, max-age, min-fresh, Pragma) are not heeded; only-if-cached
    and max-stale, which spare the upstream, always are.
    """
    if method not in ("GET", "HEAD"):
        return Miss(Forward.METHOD)
    wishes = request_directives(request)
    entry = select(entries, request, scope)
    if entry is None:
        if "only-if-cached" in wishes:
            return Unavailable()
        known = any(e.scope in ("", scope) for e in entries)
        return Miss(Forward.VARY_MISS if known else Forward.URI_MISS)
    decision = _decide_on(entry, wishes if obey_client else _sparing(wishes), policy, now)
    if isinstance(decision, Validate) and "only-if-cached" in wishes:
        return Unavailable()
    return decision


def on_error(
    entry: Entry, status: int | None, policy: CachePolicy, now: float, request: Headers
) -> bool:
    """Whether the entry may be served although the upstream failed (RFC 5861 section 4).

    ``status`` is None when no answer came; of answers, 429 and 5xx count as failures.  The
    origin's stale-if-error goes before the rule's, except under ``ignore_upstream``; the client's
    can only shorten it, or grant one where neither says anything.  What the origin forbids
    (must-revalidate, proxy-revalidate, s-maxage, no-cache) stays forbidden for every duration
    that a rule sets; ``ignore_upstream`` alone, the administrator's explicit word, lifts it.
    """
    if status is not None and status != 429 and not 500 <= status <= 599:
        return False
    left = remaining(entry, policy, now)
    if left > 0 and not must_validate(entry, policy):
        return True
    if never_stale(entry, policy) or entry.status == 429 or entry.status >= 500:
        return False  # an old failure is no better than a new one
    window = _window(entry, "stale-if-error", policy.stale_if_error, policy)
    asked = request_directives(request).seconds("stale-if-error")
    bounds = [bound for bound in (window, asked) if bound is not None]
    return bool(bounds) and -left <= min(bounds)


def _decide_on(entry: Entry, wishes: Directives, policy: CachePolicy, now: float) -> Decision:
    left = remaining(entry, policy, now)
    validated_first = must_validate(entry, policy)
    if left > 0 and not validated_first:
        if entry.immutable or not _wants_fresher(entry, wishes, left, now):
            return Fresh(entry, left)
        return Validate(entry, conditional(entry), Forward.REQUEST)
    wanted = _wants_fresher(entry, wishes, left, now)
    if not wanted and not never_stale(entry, policy) and -left <= _allowed(entry, wishes, policy):
        return StaleWhileRevalidate(entry, conditional(entry))
    return Validate(entry, conditional(entry), Forward.STALE)


def _wants_fresher(entry: Entry, wishes: Directives, left: float, now: float) -> bool:
    """Whether the client asks for something fresher than this (RFC 9111 section 5.2.1)."""
    if "no-cache" in wishes:
        return True
    if left > 0 and "immutable" in response_directives(entry.headers):
        return False  # a mere reload; the origin says that it can't change (RFC 8246 section 2)
    oldest = wishes.seconds("max-age")
    if oldest is not None and age(entry, now) > oldest:
        return True
    fresh_for = wishes.seconds("min-fresh")
    return fresh_for is not None and left < fresh_for


def _allowed(entry: Entry, wishes: Directives, policy: CachePolicy) -> float:
    """Seconds past freshness for which the entry may be served at once; below 0: never."""
    # A rule's duration is for content: a stale "not found" would hide what is there by now.
    ours = policy.stale_while_revalidate if entry.status < 400 else None
    window = _window(entry, "stale-while-revalidate", ours, policy)
    if wishes.bare("max-stale"):
        return float("inf")
    tolerated = wishes.seconds("max-stale")
    return max((bound for bound in (window, tolerated) if bound), default=-1.0)


def _window(entry: Entry, name: str, ours: float | None, policy: CachePolicy) -> float | None:
    theirs = response_directives(entry.headers).seconds(name)
    if policy.ignore_upstream and ours is not None:
        return ours
    return ours if theirs is None else theirs


def _sparing(wishes: Directives) -> Directives:
    """The wishes without those that cost the upstream a request."""
    dear = ("no-cache", "max-age", "min-fresh")
    return Directives({name: v for name, v in wishes.values.items() if name not in dear})
