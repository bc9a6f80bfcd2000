"""The words in which a scripted origin is told what to serve and what to do wrong."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from attrs import define, field, frozen

#: Bytes; content repeats with this period except for a running number in each block.
_BLOCK = 1 << 20

#: Epoch seconds: when the first version of every resource was modified.
MODIFIED = 1_700_000_000


@frozen(kw_only=True)
class Behaviour:
    """How a resource is served; the defaults are an honest, fast origin.

    Sizes are bytes, times seconds, rates bytes per second.
    """

    # -- what the resource is
    #: "strong", "weak" or "" for no ETag.
    etag: str = "strong"
    #: Whether there is a Last-Modified.
    dated: bool = True
    #: More header fields, e.g. ``(("Cache-Control", "no-store"),)``.
    headers: tuple[tuple[str, str], ...] = ()
    #: The Authorization that a request needs, else 401.
    authorization: str = ""
    #: Serve the second version from this request (counted from 1) on; 0 = never.
    changes_at: int = 0

    #: GET requests that are answered, 0 = all; later ones get this status.  With ``spends`` "range"
    #: those without a Range are answered always.
    uses: int = 0
    spent: int = 403
    spends: str = "any"

    # -- how it is sent
    #: Whether Range is honoured; otherwise the answer is a whole 200.
    ranges: bool = True
    #: "length", "chunked", or "close" (neither length nor chunks).
    framing: str = "length"
    #: "gzip": the body is compressed whatever the client accepts.
    encoding: str = ""
    #: Wait before the header.
    delay: float = 0.0
    #: Limit of each connection; 0 = none.
    rate: int = 0
    #: Every k-th connection that asks for this crawls at ``crawl_rate``; 0 = none.
    crawl_every: int = 0
    crawl_rate: int = 10_000
    #: Every k-th connection falls silent after ``die_after`` bytes of body; 0 = none.
    die_every: int = 0
    die_after: int = 16_384

    # -- redirects
    #: Answer 302 to this URL.
    redirect: str = ""
    #: Sign the redirect's URL: valid for so many seconds, so many requests; 0 = unlimited.
    signs: bool = False
    signed_for: float = 0.0
    signed_uses: int = 0
    #: Answer 403 unless the URL carries a valid signature.
    needs_signature: bool = False

    # -- faults; those below befall only the first ``times`` GET requests, 0 = all
    times: int = 0
    #: Answer with this status and a small body instead.
    status: int = 200
    retry_after: str = ""
    #: Say a Content-Range that is so many bytes off, or of another total.
    range_shift: int = 0
    range_total: int | None = None
    #: End the body so many bytes early, by "reset" or by a clean "close".
    short: int = 0
    ending: str = "reset"
    #: Send so many bytes after the announced end.
    extra: int = 0
    #: Accept the request and send nothing at all.
    silent_header: bool = False
    #: Fall silent after so many bytes of body.
    silent_after: int | None = None

    def without_faults(self) -> Behaviour:
        """The behaviour once ``times`` is over."""
        kept = {name: getattr(self, name) for name in _LASTING}
        return Behaviour(**kept)


_NAMES = tuple(Behaviour.__annotations__)
_LASTING = _NAMES[: _NAMES.index("times")]


@frozen
class Body:
    """One representation: its bytes, type and entity tag."""

    content: bytes
    media_type: str
    tag: str = field(init=False, repr=False)

    @tag.default
    def _tag(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]


@frozen(kw_only=True)
class Resource:
    """What is served at a path.

    ``versions`` has one or two items; each version has one body per media type, of which the
    request's Accept chooses; the last is the one for clients that name none.
    """

    path: str
    versions: tuple[tuple[Body, ...], ...]
    behaviour: Behaviour = Behaviour()

    def body(self, version: int, accept: str) -> Body:
        """The representation for an Accept value."""
        bodies = self.versions[min(version, len(self.versions) - 1)]
        return next((b for b in bodies if b.media_type in accept), bodies[-1])

    @property
    def negotiated(self) -> bool:
        """Whether Accept matters."""
        return len(self.versions[0]) > 1


@define
class Count:
    """What was asked of a path, and how many body bytes really went into sockets."""

    requests: int = 0
    heads: int = 0
    ranged: int = 0
    not_modified: int = 0
    connections: int = 0
    body_bytes: int = 0


@cache
def pattern(size: int, seed: int = 0) -> bytes:
    """``size`` reproducible bytes that do not compress and of which no two MiB are equal."""
    block = random.Random(seed).randbytes(_BLOCK - 8)
    made = bytearray(size)
    for start in range(0, size, _BLOCK):
        piece = (start // _BLOCK).to_bytes(8, "big") + block
        made[start : start + _BLOCK] = piece[: size - start]
    return bytes(made)


def resource(
    path: str,
    content: bytes,
    *,
    next_content: bytes | None = None,
    media_type: str = "application/octet-stream",
    **behaviour: Any,
) -> Resource:
    """A resource of one or two versions; the remaining arguments are those of Behaviour."""
    versions = [content] if next_content is None else [content, next_content]
    return Resource(
        path=path,
        versions=tuple((Body(each, media_type),) for each in versions),
        behaviour=Behaviour(**behaviour),
    )


def scripted(path: str, script: Mapping[str, Any]) -> Resource:
    """A resource from JSON: ``size`` and ``seed`` or ``text``, ``media_type``, and behaviour.

    ``next_seed`` or ``next_text`` give the second version.
    """
    rest = dict(script)
    size, seed = rest.pop("size", 0), rest.pop("seed", 0)
    text, next_text = rest.pop("text", None), rest.pop("next_text", None)
    next_seed = rest.pop("next_seed", None)
    content = pattern(size, seed) if text is None else text.encode()
    following: bytes | None = None
    if next_text is not None:
        following = next_text.encode()
    elif next_seed is not None:
        following = pattern(size, next_seed)
    if "headers" in rest:
        rest["headers"] = tuple((name, value) for name, value in rest["headers"])
    return resource(path, content, next_content=following, **rest)
