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
    behaviour = resource.behaviour
    if behaviour.times and ordinal > behaviour.times:
        behaviour = behaviour.without_faults()
    if behaviour.authorization and request.headers.get("Authorization") != behaviour.authorization:
        return simple(401, "", ("WWW-Authenticate", 'Basic realm="origin"'))
    ranged = "Range" in request.headers or behaviour.spends == "any"
    if 0 < behaviour.uses < ordinal and request.method == "GET" and ranged:
        return simple(behaviour.spent)
    if behaviour.silent_header:
        return Answer(status=200, mute=True, ending="hang")
    if behaviour.status != HTTPStatus.OK:
        extra = [("Retry-After", behaviour.retry_after)] if behaviour.retry_after else []
        return evolve(
            simple(behaviour.status, "", *extra, *behaviour.headers), delay=behaviour.delay
        )
    version = 1 if 0 < behaviour.changes_at <= ordinal else 0
    body = resource.body(version, request.headers.get("Accept", "") or "")
    honest = _honest(resource, behaviour, body, version, request)
    return _faulty(evolve(honest, head_only=request.method == "HEAD"), behaviour, connection)


def _honest(
    resource: Resource, behaviour: Behaviour, body: Body, version: int, request: Request
) -> Answer:
    fields = [("Content-Type", body.media_type), *behaviour.headers]
    tag = ""
    if behaviour.etag:
        tag = f'{"W/" if behaviour.etag == "weak" else ""}"{body.tag}"'
        fields.append(("ETag", tag))
    date = formatdate(MODIFIED + version, usegmt=True) if behaviour.dated else ""
    if date:
        fields.append(("Last-Modified", date))
    if resource.negotiated:
        fields.append(("Vary", "Accept"))
    if _unchanged(request.headers, tag, date):
        return Answer(status=304, headers=Headers(fields))
    content = body.content
    if behaviour.encoding:
        content = _compressed(content)
        fields.append(("Content-Encoding", behaviour.encoding))
    whole = Answer(
        status=200,
        headers=Headers(fields),
        content=content,
        stop=len(content),
        framing=behaviour.framing,
        ending="close" if behaviour.framing == "close" else "keep",
        delay=behaviour.delay,
        rate=behaviour.rate,
    )
    return _ranged(whole, request.headers, behaviour, (tag, date)) if behaviour.ranges else whole


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
    whole: Answer, headers: Headers, behaviour: Behaviour, validators: tuple[str, str]
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
    total = size if behaviour.range_total is None else behaviour.range_total
    said = f"bytes {start + behaviour.range_shift}-{stop - 1 + behaviour.range_shift}/{total}"
    fields = whole.headers.with_("Content-Range", said)
    return evolve(whole, status=206, headers=fields, start=start, stop=stop)


def _faulty(honest: Answer, behaviour: Behaviour, connection: int) -> Answer:
    """What the script makes of an honest answer's body."""
    if honest.status not in (200, 206) or honest.head_only:
        return honest
    length, stop = honest.stop - honest.start, honest.stop
    ending, rate = honest.ending, honest.rate
    if behaviour.short:
        stop, ending = max(honest.start, stop - behaviour.short), behaviour.ending
    for limit in _silences(behaviour, connection):
        if honest.start + limit < stop:
            stop, ending = honest.start + limit, "hang"
    if behaviour.crawl_every and connection % behaviour.crawl_every == 0:
        rate = behaviour.crawl_rate
    content = honest.content
    if behaviour.extra:
        content = content[: honest.stop] + b"!" * behaviour.extra
        stop += behaviour.extra
    return evolve(honest, content=content, stop=stop, announced=length, ending=ending, rate=rate)


def _silences(behaviour: Behaviour, connection: int) -> list[int]:
    """After how many bytes of body the connection falls silent, for each reason it has to."""
    limits = [] if behaviour.silent_after is None else [behaviour.silent_after]
    if behaviour.die_every and connection % behaviour.die_every == 0:
        limits.append(behaviour.die_after)
    return limits
