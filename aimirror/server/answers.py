"""What is answered, as a value, and how a request's conditions and ranges shape it.

All of RFC 9110 that depends on the request is decided here, without I/O: method HEAD, conditional
requests (section 13), ranges (section 14), which statuses carry a body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from attrs import evolve, frozen

from aimirror.http.conditions import Condition, evaluate, range_applies
from aimirror.http.headers import Headers
from aimirror.http.multipart import multipart
from aimirror.http.ranges import (
    RangeSet,
    Verdict,
    format_content_range,
    format_unsatisfied,
    parse_range,
)
from aimirror.interfaces import IBody

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

_CONDITIONS = frozenset({"if-none-match", "if-modified-since", "if-match", "if-unmodified-since"})
_EVERYTHING = RangeSet(Verdict.WHOLE)
_ACCEPTED = ("Accept-Ranges", "bytes")
#: Fields about the representation that a 304 need not repeat (RFC 9110 section 15.4.5).
_ABOUT_BODY = frozenset(
    f"content-{what}"
    for what in ("type", "length", "encoding", "language", "range", "disposition", "digest", "md5")
) | {"accept-ranges", "digest", "repr-digest"}

Fields = tuple[tuple[str, str], ...]
#: Bytes as they are, or an interval of the answer's body; an open one goes to the end.
Part = bytes | tuple[int, int | None]


class Wire(Protocol):
    """The way to a client, for a body that is sent as it comes."""

    @property
    def gone(self) -> bool:
        """Whether the client has left."""

    @property
    def begun(self) -> bool:
        """Whether anything was sent."""

    def start(self, status: int, headers: Headers, length: int | None) -> None:
        """Send the head of an answer."""

    def write(self, data: bytes) -> None:
        """Send some of the body."""

    def room(self) -> Deferred[None] | None:
        """Fires when there is room for more; None while there is."""

    def finish(self) -> None:
        """All was written."""

    def abort(self) -> None:
        """Cut the connection."""

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Have a push producer told of the client's pace."""

    def unregisterProducer(self) -> None:
        """It is done."""


class Streamed:
    """A body that has its own way to the client: nothing is known of it beforehand."""

    async def send(self, wire: Wire, answer: Answer) -> None:
        """Send an answer with this body; raises BodyFailed before anything was sent.

        Cancelling cuts it.
        """
        raise NotImplementedError


@frozen(kw_only=True)
class Again:
    """How a repeat of a request is answered by a body that is read from the disk.

    It stands beside an answer with the very fields and body ``beside``: whoever changes those has
    left it behind.  Where that answer has just been stored, its repeat has other fields: a hit's.
    ``read`` is told the time (epoch seconds) and raises OSError or BodyFailed; ``holds`` says
    whether nothing has changed in the store since.
    """

    headers: Headers
    beside: tuple[Headers, bytes]
    read: Callable[[float], bytes]
    holds: Callable[[], bool] = lambda: True
    #: Epoch seconds until which a repeat may get the very answer where it has another shape than
    #: that of the whole body (a 304), 0 for never.
    otherwise: float = 0.0

    @property
    def hit(self) -> bool:
        """Whether the answer's own fields are those of its repeats."""
        return self.headers is self.beside[0]

    def fits(self, answer: Answer) -> bool:
        """Whether it still stands beside this answer."""
        fields, body = self.beside
        return fields is answer.headers and body is answer.body


@frozen(kw_only=True)
class Answer:
    """A response to send.

    ``headers`` hold end-to-end fields; Content-Length, Date (unless the origin's is among them),
    Accept-Ranges, Content-Range and Connection are set when it is sent.  The body is a file with
    readable spans, or bytes at hand, or what has its own way, or nothing.
    """

    status: int
    headers: Headers = Headers()
    body: IBody | bytes | Streamed | None = None
    #: Whether a 200 may be narrowed to what Range asks (it needs a known size, too).
    ranges: bool = True
    #: Whether a 200 gives way to a 304 or 412 as the request's conditions ask.
    conditional: bool = True
    #: Epoch seconds until which a repeat of the request may get the same, 0 for never.  Give it
    #: only to answers that depend on nothing but the request's line and fields, those apart that
    #: the memo calls neutral, and the store: no client address, no credentials, no field that
    #: changes with time but Date and Age.
    memo_until: float = 0.0
    #: The key of the entry that it was made of; it is forgotten when that changes.
    memo_of: str = ""
    #: Further keys on whose entries it depends; one that ends with a slash is for all below it.
    memo_with: tuple[str, ...] = ()
    #: Why it is an error of the mirror's own, for administrators; "" for others.
    why: str = ""
    #: How a repeat is answered until then, where its body need not be held in memory.
    again: Again | None = None


@frozen
class Shape:
    """What goes over the wire for one request."""

    status: int
    headers: Headers
    #: Fields beside those.
    added: Fields
    #: Bytes of the body, None when that is not known.
    length: int | None
    #: What the body consists of, in order.
    parts: tuple[Part, ...] = ()


def body_size(answer: Answer) -> int | None:
    """Bytes of an answer's whole body, None when that is not known."""
    if answer.body is None:
        return 0
    if isinstance(answer.body, Streamed):
        return None
    return len(answer.body) if isinstance(answer.body, bytes) else answer.body.size


def bodiless(status: int) -> bool:
    """Whether an answer of this status never has a body (RFC 9112 section 6.3)."""
    return status in (204, 304) or status < 200


def shape(answer: Answer, method: str, request: Headers, boundary: str) -> Shape | int:
    """How to answer a request; an int is the status of the error answer to give instead.

    ``boundary`` is used if parts have to be told apart; it must be unguessable.
    """
    size = body_size(answer)
    if answer.status != 200 or method not in ("GET", "HEAD"):
        return _whole(answer, method, size)
    if answer.conditional and request.has_any(_CONDITIONS):
        verdict = evaluate(
            method, request, answer.headers.get("etag"), answer.headers.get("last-modified")
        )
        if verdict is Condition.NOT_MODIFIED:
            kept = (item for item in answer.headers if item[0].lower() not in _ABOUT_BODY)
            return _whole(evolve(answer, status=304, headers=Headers(kept), body=None), method, 0)
        if verdict is Condition.FAILED:
            return 412
    if answer.body is None and answer.ranges and answer.headers.get("content-length"):
        return _whole(answer, method, size, (_ACCEPTED,))  # a HEAD, which tells what GET would
    if answer.body is None or size is None or not answer.ranges:
        return _whole(answer, method, size)
    return _ranged(answer, method, request, size, boundary)


def unsatisfied(size: int) -> Headers:
    """The fields of a 416 for a body of ``size`` bytes (RFC 9110 section 15.5.17)."""
    return Headers([("Content-Range", format_unsatisfied(size)), ("Accept-Ranges", "bytes")])


def _whole(answer: Answer, method: str, size: int | None, added: Fields = ()) -> Shape:
    status, headers = answer.status, answer.headers
    if bodiless(status):
        return Shape(status, headers, added, None)
    if answer.body is None and method == "HEAD":
        length = headers.get("content-length")
        return Shape(status, headers, added, int(length) if length and length.isdecimal() else None)
    if answer.body is None or method == "HEAD":
        return Shape(status, headers, added, size)
    part = answer.body if isinstance(answer.body, bytes) else (0, size)
    return Shape(status, headers, added, size, (part,))


def _ranged(answer: Answer, method: str, request: Headers, size: int, boundary: str) -> Shape | int:
    asked = _asked(answer, method, request, size)
    if asked.verdict is Verdict.UNSATISFIABLE:
        return 416
    if asked.verdict is Verdict.WHOLE:
        return _whole(answer, method, size, (_ACCEPTED,))
    if len(asked.spans) == 1:
        start, stop = asked.spans[0]
        content_range = ("Content-Range", format_content_range(start, stop, size))
        part = _cut(answer, start, None if asked.rest else stop)
        return Shape(206, answer.headers, (_ACCEPTED, content_range), stop - start, (part,))
    framed = multipart(asked.spans, answer.headers.get("content-type"), size, boundary)
    parts: list[Part] = []
    for each in framed.parts:
        parts += [each.header, _cut(answer, each.start, each.stop)]
    headers = answer.headers.with_("Content-Type", framed.content_type)
    return Shape(206, headers, (_ACCEPTED,), framed.length, (*parts, framed.closing))


def _asked(answer: Answer, method: str, request: Headers, size: int) -> RangeSet:
    """The ranges to heed: GET alone defines them (RFC 9110 section 14.2)."""
    wanted = request.joined("range") if method == "GET" else None
    if wanted is not None and not range_applies(
        request, answer.headers.get("etag"), answer.headers.get("last-modified")
    ):
        wanted = None
    return _EVERYTHING if wanted is None else parse_range(wanted, size)


def _cut(answer: Answer, start: int, stop: int | None) -> Part:
    return answer.body[start:stop] if isinstance(answer.body, bytes) else (start, stop)
