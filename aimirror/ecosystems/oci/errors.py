"""Errors as clients of registries understand them (OCI Distribution Specification 1.1)."""

from __future__ import annotations

import json

from aimirror.http.headers import Headers
from aimirror.http.json_text import member
from aimirror.registries.paths import Kind

_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"}
_UNKNOWN = {Kind.MANIFEST: "MANIFEST_UNKNOWN", Kind.BLOB: "BLOB_UNKNOWN"}
#: Of an upstream's answer, what tells a client when to come again.
_KEPT = ("retry-after", "ratelimit-limit", "ratelimit-remaining", "docker-ratelimit-source")
#: Which API this is; older clients look for it.
API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")


def error_code(status: int, kind: Kind | None = None) -> str:
    """The code that fits a status."""
    if status == 404:
        return _UNKNOWN.get(kind, "NAME_UNKNOWN") if kind is not None else "NAME_UNKNOWN"
    return _CODES.get(status, "UNAVAILABLE" if status >= 500 else "UNKNOWN")


#: Bytes of a registry's own error that are passed on.
MOST_ERROR = 64 << 10


def own_words(content_type: str, body: bytes) -> bool:
    """Whether a registry's error is in the format that clients read, and says more than a code."""
    if "json" not in content_type.lower() or not body or len(body) > MOST_ERROR:
        return False
    return bool(member(body, "errors"))


def error_body(code: str, message: str) -> bytes:
    """The JSON body of an error."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode() + b"\n"


def error_fields(upstream: Headers | None = None) -> Headers:
    """The header of an error; of an upstream's only what says when to come again."""
    kept = upstream.only(*_KEPT) if upstream is not None else ()
    return Headers(
        [("Content-Type", "application/json"), ("Cache-Control", "no-store"), API_VERSION, *kept]
    )
