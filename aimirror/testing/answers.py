"""What a scripted origin answers: from a request and a resource to an answer, without I/O."""

from __future__ import annotations

import gzip
import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from attrs import evolve, frozen

from aimirror.http.headers import Headers
from aimirror.testing.behaviour import MODIFIED, Behaviour, Body, Resource

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


@frozen
class Request:
    """A request as it was received; ``target`` is raw, query included."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""

    @property
    def path(self) -> str:
        """The raw path."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The raw query, "" without one."""
        return self.target.partition("?")[2]


@frozen(kw_only=True)
class Answer:
    """What to send, and what to do wrong while sending it."""

    status: int
    headers: Headers = Headers()
    content: bytes = b""
    start: int = 0
    stop: int = 0
    #: "length", "chunked" or "close".
    framing: str = "length"
    #: Content-Length, where it differs from what is sent.
    announced: int | None = None
    head_only: bool = False
    delay: float = 0.0
    rate: int = 0
    #: "keep" the connection, "reset" it, "close" it, or "hang" (fall silent) after ``stop``.
    ending: str = "keep"
    #: Send no header either (with ending "hang").
    mute: bool = False

    @property
    def size(self) -> int:
        """Bytes of body to send."""
        return 0 if self.head_only else self.stop - self.start

    def head(self) -> bytes:
        """The status line and the header block."""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "length" and self.status not in (204, 304):
            length = self.stop - self.start if self.announced is None else self.announced
            lines.append(f"Content-Length: {length}")
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "close":
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def simple(status: int, text: str = "", *fields: tuple[str, str]) -> Answer:
    """A small honest answer."""
    content = (text or _phrase(status)).encode()
    given = Headers(fields)
    headers = Headers([] if "content-type" in given else [("Content-Type", "text/plain")])
    headers = Headers([*headers, *given])
    return Answer(status=status, headers=headers, content=content, stop=len(content))


def answer(resource: Resource, request: Request, ordinal: int, connection: int) -> Answer:
    """The answer to the ``ordinal``-th GET (from 1) of a resource.

    ``connection`` numbers the connections that asked for it, from 1.
    """
    told = resource.behaviour
    if told.times and ordinal > told.times:
        told = told.without_faults()
    if told.authorization and request.headers.get("Authorization") != told.authorization:
        return simple(401, "", ("WWW-Authenticate", 'Basic realm="origin"'))
    ranged = "Range" in request.headers or told.spends == "any"
    if 0 < told.uses < ordinal and request.method == "GET" and ranged:
        return simple(told.spent)
    if told.silent_header:
        return Answer(status=200, mute=True, ending="hang")
    if told.status != HTTPStatus.OK:
        extra = [("Retry-After", told.retry_after)] if told.retry_after else []
        return evolve(simple(told.status, "", *extra, *told.headers), delay=told.delay)
    version = 1 if 0 < told.changes_at <= ordinal else 0
    body = resource.body(version, request.headers.get("Accept", "") or "")
    honest = _honest(resource, told, body, version, request)
    return _faulty(evolve(honest, head_only=request.method == "HEAD"), told, connection)


def _honest(
    resource: Resource, told: Behaviour, body: Body, version: int, request: Request
) -> Answer:
    fields = [("Content-Type", body.media_type), *told.headers]
    tag = ""
    if told.etag:
        tag = f'{"W/" if told.etag == "weak" else ""}"{body.tag}"'
        fields.append(("ETag", tag))
    date = formatdate(MODIFIED + version, usegmt=True) if told.dated else ""
    if date:
        fields.append(("Last-Modified", date))
    if resource.negotiated:
        fields.append(("Vary", "Accept"))
    if _unchanged(request.headers, tag, date):
        return Answer(status=304, headers=Headers(fields))
    content = body.content
    if told.encoding:
        content = _compressed(content)
        fields.append(("Content-Encoding", told.encoding))
    whole = Answer(
        status=200,
        headers=Headers(fields),
        content=content,
        stop=len(content),
        framing=told.framing,
        ending="close" if told.framing == "close" else "keep",
        delay=told.delay,
        rate=told.rate,
    )
    return _ranged(whole, request.headers, told, (tag, date)) if told.ranges else whole


@lru_cache(maxsize=8)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=1, mtime=0)


def _unchanged(headers: Headers, tag: str, date: str) -> bool:
    """Whether the conditions ask for 304 (RFC 9110 section 13.2.2)."""
    asked = headers.joined("If-None-Match")
    if asked is not None:
        opaque = {each.strip().removeprefix("W/") for each in asked.split(",")}
        return "*" in opaque or (tag != "" and tag.removeprefix("W/") in opaque)
    since = headers.get("If-Modified-Since")
    return since is not None and date != "" and since == date


def _ranged(
    whole: Answer, headers: Headers, told: Behaviour, validators: tuple[str, str]
) -> Answer:
    """The 206 or 416 for a single Range that applies, else the whole (RFC 9110 section 14.2)."""
    whole = evolve(whole, headers=whole.headers.with_("Accept-Ranges", "bytes"))
    match = _RANGE.match(headers.get("Range", "") or "")
    condition = headers.get("If-Range")
    applies = condition is None or (condition in validators and not condition.startswith("W/"))
    if match is None or match.groups() == ("", "") or not applies:
        return whole
    size = len(whole.content)
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        return simple(416, "", ("Content-Range", f"bytes */{size}"))
    total = size if told.range_total is None else told.range_total
    said = f"bytes {start + told.range_shift}-{stop - 1 + told.range_shift}/{total}"
    fields = whole.headers.with_("Content-Range", said)
    return evolve(whole, status=206, headers=fields, start=start, stop=stop)


def _faulty(honest: Answer, told: Behaviour, connection: int) -> Answer:
    """What the script makes of an honest answer's body."""
    if honest.status not in (200, 206) or honest.head_only:
        return honest
    length, stop = honest.stop - honest.start, honest.stop
    ending, rate = honest.ending, honest.rate
    if told.short:
        stop, ending = max(honest.start, stop - told.short), told.ending
    for limit in _silences(told, connection):
        if honest.start + limit < stop:
            stop, ending = honest.start + limit, "hang"
    if told.crawl_every and connection % told.crawl_every == 0:
        rate = told.crawl_rate
    content = honest.content
    if told.extra:
        content = content[: honest.stop] + b"!" * told.extra
        stop += told.extra
    return evolve(honest, content=content, stop=stop, announced=length, ending=ending, rate=rate)


def _silences(told: Behaviour, connection: int) -> list[int]:
    """After how many bytes of body the connection falls silent, for each reason it has to."""
    limits = [] if told.silent_after is None else [told.silent_after]
    if told.die_every and connection % told.die_every == 0:
        limits.append(told.die_after)
    return limits
