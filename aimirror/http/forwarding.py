"""What of a client's request goes upstream, and whose request it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from functools import lru_cache

from aimirror.http import negotiated
from aimirror.http.headers import CREDENTIALS, Headers

#: About the connection between client and mirror; the upstream has its own.
_OURS = frozenset({"host", "expect", "content-length", "forwarded", "x-real-ip"})
_OURS_PREFIX = "x-forwarded-"
#: How it may begin.
_XES = ("x-", "X-")
_CREDENTIALS = frozenset(CREDENTIALS)
#: All that a request whose answer may be stored has of its client's, beside credentials (they make
#: the answer its owner's) and what a rule names (that becomes part of the key).  Whatever else a
#: client sends, one server or another would let it choose the answer, which then is everybody's:
#: another host, path, method, language, or a text that it repeats.
SHARED = frozenset({"accept", "user-agent", "cache-control", "pragma"})
#: What follows a redirect to another host.
ELSEWHERE = (
    *sorted(SHARED),
    "accept-encoding",
    "range",
    "if-range",
    "if-none-match",
    "if-modified-since",
    "cdn-loop",
)
#: git's word on its protocol, where a repository's references are asked for: part of the key there.
GIT = "git-protocol"

#: Characters of a value that is passed on, and values of each field whose form is remembered.
_LONGEST = 1024
_REMEMBERED = 512
_ACCEPT = re.compile(r"""[!#$%&'*+.^_`|~0-9A-Za-z/;=, \t"-]*""")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"
_PRODUCT = re.compile(rf"[ \t]*({_TOKEN}(?:/{_TOKEN})?)(?=[ \t]|$)")
#: Products of a User-Agent that are named.
_MOST_PRODUCTS = 3
_WISH = re.compile(r"(no-cache|no-store|no-transform|only-if-cached|max-stale)")
_TIMED = re.compile(r"(max-age|min-fresh|max-stale|stale-if-error)=(.*)")
_FRESH = frozenset({"no-cache", "max-age=0"})
_DIGITS = re.compile(r'"?([0-9]{1,10})"?')


def passed_on(request: Headers) -> Headers:
    """The fields of a request that is forwarded as it is; its body is framed anew."""
    kept = request.end_to_end(_OURS)
    for name, _ in kept.items:
        if name[:2] in _XES and name.lower().startswith(_OURS_PREFIX):
            return Headers(item for item in kept if not item[0].lower().startswith(_OURS_PREFIX))
    return kept


def asked_for_storing(request: Headers, *, compressed: bool, more: Collection[str] = ()) -> Headers:
    """The fields of a GET whose answer may be stored and shared: those listed, and no other.

    ``more`` names further ones (lower case), which are credentials or in the answer's key: of
    ``User-Agent`` and ``Accept`` less is sent where the key does not have them.
    Encodings are negotiated between mirror and upstream alone (``compressed``: gzip is taken off
    again), so that one stored body serves all clients.
    """
    coding = "gzip" if compressed and accepts_gzip(request) else "identity"
    dropped = request.tokens("connection")
    kept = []
    for name, value in request.items:
        lowered = name.lower()
        if lowered in dropped:
            continue
        if lowered in SHARED:
            value = _harmless(lowered, value) if lowered in more else _alike(lowered, value)
            if value:
                kept.append((name, value))
        elif lowered in _CREDENTIALS or lowered in more:
            kept.append((name, value))
    if "user-agent" not in request:
        kept.append(("User-Agent", negotiated.NOBODY))
    return Headers([*kept, ("Accept-Encoding", coding)])


@lru_cache(_REMEMBERED)
def _alike(name: str, value: str) -> str:
    """A value as all clients of a kind send it."""
    if name == "user-agent":
        return negotiated.agent(value)
    if name == "accept":
        return negotiated.types(value)
    return _harmless(name, value)


@lru_cache(_REMEMBERED)
def _harmless(name: str, value: str) -> str:
    """A value that holds no more than its field is for; "" for none.

    Servers repeat what clients send in pages of theirs, which may be stored.
    """
    if name == "user-agent":
        return _products(value[:_LONGEST])
    if name == "accept":
        fine = len(value) <= _LONGEST and _ACCEPT.fullmatch(value) is not None
        return value if fine else ""
    members = (_wish(member.strip().lower()) for member in value[:_LONGEST].split(","))
    return ", ".join(filter(None, members))


def _products(value: str) -> str:
    """The products that a User-Agent begins with (RFC 9110 section 10.1.5): pip/26.0.

    Servers refuse clients without any; comments and the like tell of the user's machine.
    """
    named: list[str] = []
    at = 0
    while len(named) < _MOST_PRODUCTS and (match := _PRODUCT.match(value, at)) is not None:
        named.append(match[1])
        at = match.end()
    return " ".join(named)


def _wish(member: str) -> str:
    """A directive of RFC 9111 section 5.2.1, "" for any other; malformed seconds are 0."""
    if _WISH.fullmatch(member):
        return member
    timed = _TIMED.fullmatch(member)
    if timed is None:
        return ""
    seconds = _DIGITS.fullmatch(timed[2])
    return f"{timed[1]}={seconds[1] if seconds is not None else 0}"


@lru_cache(_REMEMBERED)
def fresher(headers: Headers) -> Headers:
    """The fields of a request with no other wish than for something fresh.

    Whatever else a client says to caches is for this mirror, which has heeded it by now: an
    upstream that heeds it, too (``only-if-cached``), would answer one client, and that for all.
    """
    wish = next((m for m in headers.tokens("cache-control") if m in _FRESH), "")
    if not wish and "no-cache" in headers.tokens("pragma"):
        wish = "no-cache"
    kept = headers.without("cache-control", "pragma")
    return kept.with_("Cache-Control", wish) if wish else kept


def accepts_gzip(request: Headers) -> bool:
    """Whether a client takes gzip (RFC 9110 section 12.5.3)."""
    for member in request.tokens("accept-encoding"):
        coding, _, weight = member.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def scope_of(request: Headers, more: Collection[str] = ()) -> str:
    """The credential of a request as a hash, "" when it carries none.

    ``more`` names further fields (lower case) that are credentials.
    """
    if not request.has_any(_CREDENTIALS) and not any(name in request for name in more):
        return ""
    names = (*CREDENTIALS, *sorted(set(more) - _CREDENTIALS))
    carried = [f"{name}:{value}" for name in names for value in request.get_all(name)]
    return hashlib.sha256("\n".join(carried).encode("latin-1")).hexdigest()[:32]
