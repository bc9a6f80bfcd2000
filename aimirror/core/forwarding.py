"""What of a client's request goes upstream, and whose request it is."""

from __future__ import annotations

import hashlib

from aimirror.core.headers import CREDENTIALS, Headers

#: About the connection between client and mirror; the upstream has its own.
_OURS = ("host", "expect", "content-length", "forwarded", "x-real-ip")
_OURS_PREFIX = "x-forwarded-"
#: The mirror judges these itself, against what it has stored.
_JUDGED_HERE = (
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
)


def passed_on(request: Headers) -> Headers:
    """The fields of a request that is forwarded as it is; its body is framed anew."""
    kept = request.end_to_end().without(*_OURS)
    return Headers(item for item in kept if not item[0].lower().startswith(_OURS_PREFIX))


def asked_for_storing(request: Headers, *, compressed: bool) -> Headers:
    """The fields of a GET whose answer may be stored and shared.

    Encodings are negotiated between mirror and upstream alone (``compressed``: gzip is taken off
    again), so that one stored body serves all clients.
    """
    kept = passed_on(request).without(*_JUDGED_HERE)
    coding = "gzip" if compressed and accepts_gzip(request) else "identity"
    return kept.with_("Accept-Encoding", coding)


def accepts_gzip(request: Headers) -> bool:
    """Whether a client takes gzip (RFC 9110 section 12.5.3)."""
    for member in request.tokens("accept-encoding"):
        coding, _, weight = member.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def scope_of(request: Headers) -> str:
    """The credential of a request as a hash, "" when it carries none."""
    told = [f"{name}:{value}" for name in CREDENTIALS for value in request.get_all(name)]
    if not told:
        return ""
    return hashlib.sha256("\n".join(told).encode("latin-1")).hexdigest()[:32]
