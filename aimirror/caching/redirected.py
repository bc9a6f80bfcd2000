"""What the redirects that were followed say of the answer at their end.

An answer is stored under the URL that was asked for, so it may not live longer, or be given to more
people, than each step of the way to it (RFC 9111 section 4.2 and 3.5, applied to the whole): a
file behind "/latest" is for a year what it is, but "/latest" may lead elsewhere tomorrow; and what
a signed address gives to anybody was shown only to the one who got that address.
"""

from __future__ import annotations

from collections.abc import Iterable

from aimirror.caching.directives import delta_seconds, response_directives, split_members
from aimirror.caching.freshness import explicit_lifetime
from aimirror.http.dates import format_date, parse_date
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy

#: Redirects that stay, unless they say for how long (RFC 9110 section 15.4).
_PERMANENT = frozenset({301, 308})
#: What lets the answer to one credential be given to others (see ``storing.storable``).
_SHARING = "public"


def restrained(
    response: Headers, hops: Iterable[tuple[int, Headers]], policy: CachePolicy, now: float
) -> Headers:
    """The fields of a final answer, with no more freshness and audience than its redirects allow.

    ``hops`` are the redirects' statuses and fields; ``now`` is in epoch seconds.
    """
    hops = tuple(hops)
    if not hops:
        return response
    lives = [life for status, h in hops if (life := _life(status, h, policy, now)) is not None]
    shared = all(_shared(h) for _, h in hops)
    dated = _dated(response, now)
    own = explicit_lifetime(dated, response_directives(response))
    bound = min(lives, default=None)
    shortened = bound is not None and (own is None or bound < own - _age(response))
    if not shortened and shared:
        return response
    return _limited(response, bound if shortened else None, own, shared=shared)


def _limited(response: Headers, bound: float | None, own: float | None, *, shared: bool) -> Headers:
    """The same answer, its caching fields replaced by one Cache-Control that says it all."""
    directives = response_directives(response)
    dropped = {"max-age", "s-maxage"} if bound is not None else set()
    if bound is not None:
        dropped |= {"immutable", "stale-while-revalidate"}
    if not shared:
        dropped.add(_SHARING)
    members = [
        name if value is None else f'{name}="{value}"' if "," in value else f"{name}={value}"
        for name, values in directives.values.items()
        if name not in dropped
        for value in values
    ]
    if bound is not None:
        members.append(f"max-age={int(bound + _age(response)) if bound > 0 else 0}")
    elif own is not None and "max-age" not in directives:
        members.append(f"max-age={int(own)}")
    return response.without("expires", "cdn-cache-control").with_(
        "Cache-Control", *([", ".join(members)] if members else [])
    )


def _life(status: int, headers: Headers, policy: CachePolicy, now: float) -> float | None:
    """Seconds for which a redirect holds, None for good."""
    directives = response_directives(headers)
    if directives.whole("no-cache") or directives.whole("private") or "no-store" in directives:
        return 0.0  # it is asked for again each time
    explicit = explicit_lifetime(_dated(headers, now), directives)
    if explicit is not None:
        return max(0.0, explicit - _age(headers))
    if status in _PERMANENT:
        return None
    return policy.ttl or 0.0


def _shared(headers: Headers) -> bool:
    directives = response_directives(headers)
    return not directives.whole("private") and _SHARING in directives


def _dated(headers: Headers, now: float) -> Headers:
    if parse_date(headers.get("Date", "") or "", now) is None:
        return headers.with_("Date", format_date(now))
    return headers


def _age(headers: Headers) -> float:
    value = headers.joined("Age")
    return 0.0 if value is None else float(delta_seconds(split_members(value)[0]) or 0)
