"""The head of a request: request line and fields, read strictly (RFC 9112 sections 2 to 6).

Whatever two readers of one message could understand differently is refused, for such differences
are what request smuggling is made of (RFC 9112 section 11.2).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from http import HTTPStatus

from attrs import frozen

from aimirror.bounded import LRU
from aimirror.http.headers import Headers
from aimirror.server.likeness import alike

#: Bytes of a request line: room for signed URLs of a few kilobytes, answered 414 beyond.
MAX_REQUEST_LINE = 16 * 1024
#: Bytes and slashes of the path in it, 414 beyond.  No repository has longer or deeper names, and
#: a rule's ``/.*/name/`` takes time in proportion to both: seconds for 16 KiB of slashes.
MAX_PATH = 8 * 1024
MAX_SLASHES = 256
#: Bytes of a whole head: room for the bearer tokens of registries, answered 431 beyond.
MAX_HEAD = 64 * 1024
#: What ends a head.
END = b"\r\n\r\n"
#: Field lines of a head, answered 431 beyond.
MAX_FIELDS = 128
#: Characters of the reason in a status line: apt takes in 360 of the line.
MAX_WHY = 200
_INVISIBLE = re.compile(r"[^ -~]")

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: method SP target SP version; the target holds visible ASCII only and no fragment.
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([!-\"$-~]+) (HTTP/[0-9]\.[0-9])")
#: No space before the colon, no obs-fold, no control but HTAB in the value (RFC 9112 section 5.1).
_FIELD = re.compile(rf"{_TOKEN}:[\t -~\x80-\xff]*")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?]+")
#: RFC 9110 section 7.2 with the host of RFC 3986 section 3.2.2, without percent-encoding.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_DIGITS = re.compile(r"[0-9]{1,18}")


class BadRequest(Exception):
    """A request that gets an error answer and, its framing being in doubt, a closed connection."""

    def __init__(self, status: int, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        #: Seconds after which the same request may be welcome.
        self.retry_after = retry_after


class Form(enum.Enum):
    """The four forms of a request target (RFC 9112 section 3.2)."""

    ORIGIN = "/path?query"
    ABSOLUTE = "http://host/path?query"
    AUTHORITY = "host:port"
    ASTERISK = "*"


@frozen
class Head:
    """A request without its body."""

    method: str
    #: To the letter as it was sent.
    target: str
    #: "HTTP/1.0" or "HTTP/1.1".
    version: str
    form: Form
    headers: Headers
    #: Bytes of the body, None when it is chunked.
    length: int | None
    #: Whether the client would like to send another request on this connection.
    persistent: bool
    #: Whether the client waits for 100 (Continue) before it sends the body.
    expects_continue: bool
    #: See ``alike``.
    alike: str | None = None

    def likeness(self, origin: bytes = b"") -> bytes | None:
        """What it has in common with requests that get the same answer; None: there are none.

        ``origin`` tells apart where the same fields would mean something else.
        """
        if self.alike is None or self.length != 0 or self.method not in ("GET", "HEAD"):
            return None
        line = f"{self.method} {self.target} {self.version}\n{self.alike}"
        return origin + line.encode("latin-1")


@frozen
class Fields:
    """All of a head but its first line."""

    headers: Headers
    length: int | None
    persistent: bool
    expects_continue: bool
    alike: str | None
    #: What follows the request line in a likeness; None for requests that are like no other.
    like: bytes | None
    #: What the access log is told.
    agent: str
    referer: str


#: Bytes of fields that are remembered as they were read, and how many such: a client sends the
#: same with each of its requests, and reading them costs more than all else of a head.  Not those
#: that are one client's alone: secrets are not kept.
LONGEST_FIELDS = 2048
MOST_FIELDS = 1024
#: By their bytes and those of the version.
_kept_fields: LRU[tuple[bytes, bytes], Fields] = LRU(MOST_FIELDS)


def known_likeness(raw: bytes, origin: bytes) -> tuple[bytes, Fields] | None:
    """What ``Head.likeness`` would say of a head, and its fields, without reading it.

    None where its fields are not remembered, or it is like no other.  A request line that is
    wrong gives a likeness that no request has.
    """
    line, _, block = raw.removesuffix(END).partition(b"\r\n")
    fields = _kept_fields.get((block, line[-8:]))
    if fields is None or fields.like is None:
        return None
    return b"%b%b\n%b" % (origin, line, fields.like), fields


def valid_authority(value: str) -> bool:
    """Whether ``host[:port]`` may be put into a URL (charset only)."""
    return _AUTHORITY.fullmatch(value) is not None


def parse_head(raw: bytes) -> Head:
    """Read a head, with or without its final empty line.

    Raises BadRequest with the status of the answer: 400, 413, 414, 417, 431, 501 or 505.
    """
    line, _, block = raw.removesuffix(END).partition(b"\r\n")
    if len(line) > MAX_REQUEST_LINE:
        raise BadRequest(414, f"request line longer than {MAX_REQUEST_LINE} bytes")
    method, target, version = _request_line(line.decode("latin-1"))
    read = _kept_fields.get((block, line[-8:])) or _read_fields(block, version)
    return Head(
        method,
        target,
        version,
        _form(method, target),
        read.headers,
        read.length,
        read.persistent,
        read.expects_continue,
        read.alike,
    )


def _read_fields(raw: bytes, version: str) -> Fields:
    lines = raw.decode("latin-1").split("\r\n") if raw else []
    if len(lines) > MAX_FIELDS:
        raise BadRequest(431, f"more than {MAX_FIELDS} header fields")
    headers = _fields(lines)
    connection = headers.tokens("connection")
    length, shared = _body_length(headers, version), alike(headers)
    read = Fields(
        _checked_host(headers, version),
        length,
        "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection),
        _expects_continue(headers, version),
        shared,
        shared.encode("latin-1") if shared is not None and length == 0 else None,
        headers.get("user-agent") or "",
        headers.get("referer") or "",
    )
    if shared is not None and len(raw) <= LONGEST_FIELDS:
        _kept_fields.put((raw, version.encode("ascii")), read)
    return read


def _request_line(line: str) -> tuple[str, str, str]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequest(400, "malformed request line")
    method, target, version = match.groups()
    path = target.partition("?")[0]
    if len(path) > MAX_PATH or path.count("/") > MAX_SLASHES:
        raise BadRequest(414, f"path longer than {MAX_PATH} bytes or {MAX_SLASHES} segments")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(505, f"{version} is not spoken here, HTTP/1.1 and HTTP/1.0 are")
    return method, target, version


def _fields(lines: list[str]) -> Headers:
    pairs = []
    match = _FIELD.fullmatch
    for line in lines:
        if match(line) is None:
            raise BadRequest(400, "malformed header field")
        name, _, value = line.partition(":")
        pairs.append((name, value.strip(" \t")))
    return Headers(pairs)


def _form(method: str, target: str) -> Form:
    if method == "CONNECT":
        if not valid_authority(target):
            raise BadRequest(400, "CONNECT wants host:port")
        return Form.AUTHORITY
    if target[0] == "/":
        return Form.ORIGIN
    if target == "*" and method == "OPTIONS":
        return Form.ASTERISK
    if _ABSOLUTE.match(target):
        return Form.ABSOLUTE
    raise BadRequest(400, "malformed request target")


def _checked_host(headers: Headers, version: str) -> Headers:
    hosts = headers.get_all("host")
    if len(hosts) > 1:
        raise BadRequest(400, "more than one Host field")
    if not hosts and version == "HTTP/1.1":
        raise BadRequest(400, "no Host field")
    if hosts and hosts[0] and not valid_authority(hosts[0]):
        raise BadRequest(400, "malformed Host field")
    return headers


def _body_length(headers: Headers, version: str) -> int | None:
    lengths = headers.get_all("content-length")
    codings = headers.get_all("transfer-encoding")
    if not codings and not lengths:
        return 0
    if codings:
        if lengths:
            raise BadRequest(400, "both Content-Length and Transfer-Encoding")
        if version == "HTTP/1.0":
            raise BadRequest(400, "Transfer-Encoding in HTTP/1.0")
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise BadRequest(501, "the only transfer coding understood is chunked")
        return None
    if len(lengths) > 1 or _DIGITS.fullmatch(lengths[0]) is None:
        raise BadRequest(400, "malformed or repeated Content-Length")
    return int(lengths[0])


def _expects_continue(headers: Headers, version: str) -> bool:
    expected = headers.tokens("expect")
    if not expected or version == "HTTP/1.0":  # RFC 9110 section 10.1.1: ignore it in 1.0
        return False
    if expected != ("100-continue",):
        raise BadRequest(417, "the only expectation understood is 100-continue")
    return True


def format_head(status: int, items: Iterable[tuple[str, str]], why: str = "") -> str:
    """Status line and fields of an answer, without the final empty line.

    ``why`` it is an error stands behind the status: most clients show no more than that line.
    Raises ValueError when a name or value would break out of its line (response splitting).
    """
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} "]
    if why:
        lines[0] += f" ({_INVISIBLE.sub('?', why[:MAX_WHY])})"
    lines += [f"{name}: {value}" for name, value in items]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a header field of an answer holds a line break")
    return text + "\r\n"


_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}" for s in HTTPStatus}
