"""Whether a response may be stored, for whom, and which of its fields (RFC 9111 section 3)."""

from __future__ import annotations

import enum

from attrs import frozen

from aimirror.caching.directives import Directives, request_directives, response_directives
from aimirror.caching.freshness import HEURISTIC, explicit_lifetime, lifetime
from aimirror.http.dates import format_date, parse_date
from aimirror.http.headers import CREDENTIALS, Headers
from aimirror.routing.policies import CachePolicy

#: Statuses that are never stored here: about a part (206, 416), about a condition (304, 412),
#: or about one client's right (401, 407).
UNSTORABLE = frozenset({206, 304, 401, 407, 412, 416})
#: Statuses whose caching rules this code knows, for must-understand (RFC 9111 section 5.2.2.3).
UNDERSTOOD = HEURISTIC | {201, 202, 302, 303, 307, 400, 403, 409, 451, 500, 502, 503, 504}
#: Left out of what is stored beside the hop-by-hop fields: a cookie is one client's, and Warning
#: is obsolete (RFC 9111 section 5.5).
_NOT_STORED = ("set-cookie", "warning")


class Audience(enum.Enum):
    """Who may be given a stored response."""

    NOBODY = "nobody"
    #: Only requests that carry the same credential as the one that fetched it.
    SCOPED = "scoped"
    ANYONE = "anyone"


@frozen
class Storing:
    """A verdict on storing; ``reason`` says in words why not, or why not for everybody."""

    audience: Audience
    reason: str = ""

    @property
    def store(self) -> bool:
        """Whether it may be stored at all."""
        return self.audience is not Audience.NOBODY

    @property
    def public(self) -> bool:
        """Whether anyone may be given it."""
        return self.audience is Audience.ANYONE


_CREDENTIALS = frozenset(CREDENTIALS)


def storable(
    method: str,
    request: Headers,
    status: int,
    response: Headers,
    policy: CachePolicy,
    *,
    immutable: bool = False,
    personal: bool = False,
    obey_client: bool = True,
) -> Storing:
    """Whether a complete response may be stored, and for whom (RFC 9111 sections 3 and 3.5).

    What a credential opened is for anyone only where the origin says ``public``.  The RFC permits
    it for ``must-revalidate`` and ``s-maxage``, too, as each reuse is then validated; but rules
    may lift that duty (``ignore_upstream``, ``immutable``), and the sharing would stay.

    ``response`` is as received (before ``prepare``).  ``immutable`` is the rule's word that the
    URL names its bytes: such a response needs no freshness, and ``private`` makes it scoped.  A
    client's no-store is about its own cache then, and where ``obey_client`` is false.
    ``personal`` says that the request carries a credential, whatever its field.
    """
    directives = response_directives(response)
    reason = _refusal(method, status, response, directives, policy)
    if obey_client and not immutable and "no-store" in request_directives(request):
        reason = "no-store of the request"
    if not reason and not immutable:
        reason = _personal(response, directives, policy) or _useless(
            status, response, directives, policy
        )
    if reason:
        return Storing(Audience.NOBODY, reason)
    credential = personal or request.has_any(_CREDENTIALS)
    if directives.whole("private"):
        if credential:
            return Storing(Audience.SCOPED, "Cache-Control: private")
        return Storing(Audience.NOBODY, "Cache-Control: private")
    if credential and "public" not in directives:
        return Storing(Audience.SCOPED, "request with credentials")
    return Storing(Audience.ANYONE)


def prepare(response: Headers, received_at: float) -> Headers:
    """The fields to store (RFC 9111 section 3.1), with a valid Date (RFC 9110 section 6.6.1)."""
    directives = response_directives(response)
    named = (*directives.fields("no-cache"), *directives.fields("private"))
    kept = response.end_to_end().without(*_NOT_STORED, *named)
    if parse_date(kept.get("Date", "") or "", received_at) is None:
        kept = kept.with_("Date", format_date(received_at))
    return kept


def _refusal(
    method: str, status: int, response: Headers, directives: Directives, policy: CachePolicy
) -> str:
    if method != "GET":
        return "method"
    if not 200 <= status <= 599 or status in UNSTORABLE:
        return f"status {status}"
    if "must-understand" in directives:
        # It replaces no-store for caches that know it (RFC 9111 section 5.2.2.3).
        if status not in UNDERSTOOD:
            return f"must-understand, status {status}"
    elif "no-store" in directives and not policy.ignore_no_store:
        return "no-store"
    return "Vary: *" if "*" in response.tokens("Vary") else ""


def _personal(response: Headers, directives: Directives, policy: CachePolicy) -> str:
    if directives.whole("private"):
        return "private"
    named = {*directives.fields("private"), *directives.fields("no-cache")}
    meant = policy.ignore_upstream or "public" in directives or "s-maxage" in directives
    if "Set-Cookie" in response and "set-cookie" not in named and not meant:
        # An origin that sets cookies carelessly may have made the body for one user, too.
        return "Set-Cookie"
    return ""


def _useless(status: int, response: Headers, directives: Directives, policy: CachePolicy) -> str:
    """Why the response could never be reused, neither fresh, nor validated, nor in an outage."""
    validator = 200 <= status < 300 and ("ETag" in response or "Last-Modified" in response)
    if directives.whole("no-cache") and not policy.ignore_upstream:
        return "" if validator else "no-cache without a validator"
    if lifetime(status, response, policy) > 0 or status == 200:
        return ""
    explicit = explicit_lifetime(response, directives) is not None
    permitted = explicit or "public" in directives or status in HEURISTIC
    return "" if permitted and validator else "never fresh"
