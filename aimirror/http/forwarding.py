"""What of a client's request goes upstream, and whose request it is."""

from __future__ import annotations

import hashlib

from aimirror.http.headers import CREDENTIALS, Headers

#: About the connection between client and mirror; the upstream has its own.
_OURS = frozenset({"host", "expect", "content-length", "forwarded", "x-real-ip"})
_OURS_PREFIX = "x-forwarded-"
#: How it may begin.
_XES = ("x-", "X-")
_CREDENTIALS = frozenset(CREDENTIALS)
#: The mirror judges these itself, against what it has stored.
_JUDGED_HERE = frozenset(
    {
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    }
)
#: By these some servers take another path, host or method for the one that is asked for: what one
#: client had made of an answer so would be stored for all.
_OVERRIDING = frozenset(
    {
        "x-original-url",
        "x-rewrite-url",
        "x-original-host",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    }
)
#: Fields of the client's that no request for something to be stored has.
_NOT_FOR_STORING = _OURS | _JUDGED_HERE | _OVERRIDING | {"accept-encoding"}


def passed_on(request: Headers) -> Headers:
    """The fields of a request that is forwarded as it is; its body is framed anew."""
    return _kept(request, _OURS)


def asked_for_storing(request: Headers, *, compressed: bool) -> Headers:
    """The fields of a GET whose answer may be stored and shared.

    Encodings are negotiated between mirror and upstream alone (``compressed``: gzip is taken off
    again), so that one stored body serves all clients.
    """
    coding = "gzip" if compressed and accepts_gzip(request) else "identity"
    return Headers([*_kept(request, _NOT_FOR_STORING), ("Accept-Encoding", coding)])


def _kept(request: Headers, dropped: frozenset[str]) -> Headers:
    kept = request.end_to_end(dropped)
    for name, _ in kept.items:
        if name[:2] in _XES and name.lower().startswith(_OURS_PREFIX):
            return Headers(item for item in kept if not item[0].lower().startswith(_OURS_PREFIX))
    return kept


def accepts_gzip(request: Headers) -> bool:
    """Whether a client takes gzip (RFC 9110 section 12.5.3)."""
    for member in request.tokens("accept-encoding"):
        coding, _, weight = member.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def scope_of(request: Headers) -> str:
    """The credential of a request as a hash, "" when it carries none."""
    if not request.has_any(_CREDENTIALS):
        return ""
    told = [f"{name}:{value}" for name in CREDENTIALS for value in request.get_all(name)]
    return hashlib.sha256("\n".join(told).encode("latin-1")).hexdigest()[:32]
