"""What requests have in common that get the same answer."""

from __future__ import annotations

from aimirror.http.headers import CREDENTIALS, Headers

#: Requests with one of these are answered for one client only, or depend on who sent them.
PERSONAL = frozenset(
    {
        *CREDENTIALS,
        "proxy-authorization",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-request-id",
    }
)
#: Fields that tell of the client and choose nothing, unless Vary names them.
NEUTRAL = frozenset(
    {
        "user-agent",
        "referer",
        "accept-language",
        "cdn-loop",
        "traceparent",
        "tracestate",
        "npm-command",
        "npm-session",
        "pacote-pkg-id",
        "pacote-req-type",
        "pacote-version",
    }
)


def alike(headers: Headers) -> str | None:
    """The fields that can matter to an answer; None where it is for one client alone."""
    index = headers.by_name
    if "host" not in index or not PERSONAL.isdisjoint(index):
        return None
    parts = []
    for name in sorted(index):
        if name not in NEUTRAL:
            parts += [f"{name}:{value}" for value in index[name]]  # as no name holds a colon
    return "\n".join(parts)  # nor any part a line break
