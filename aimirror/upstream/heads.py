"""The strict reading of a response header, before anything else looks at it (RFC 9112)."""

from __future__ import annotations

import re

from attrs import frozen

from aimirror.http.headers import Headers

#: Bytes of one response header; signed cookies and policies take a few KiB, nobody needs more.
MAX_HEAD = 64 * 1024
#: Fields of one response header.
MAX_FIELDS = 256

_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?\r?")
#: A line of its own, so that one which is no field lets their number be less than that of lines.
_FIELD = re.compile(r"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)\r?$", re.MULTILINE)
_BLANK = (" ", "\t")
#: As many digits as a 64-bit offset has.
_LENGTH = re.compile(r"[0-9]{1,18}")


class Malformed(Exception):
    """The peer does not speak HTTP/1.1 as it should."""


@frozen
class Head:
    """A response header: fields in wire order and spelling, and what they say about framing."""

    status: int
    phrase: str
    headers: Headers
    #: Content-Length, None without one.
    length: int | None
    chunked: bool
    #: Whether the connection may carry another request (RFC 9112 section 9.3).
    persistent: bool


def take(buffer: bytes | bytearray) -> tuple[Head, int] | None:
    """The header at the start of ``buffer`` and where it ends, None while it is incomplete.

    Raises Malformed for all that two parsers could read in two ways: Transfer-Encoding beside
    Content-Length, lengths that differ, folded lines, stray control characters (RFC 9112
    sections 5.2, 6.3 and 11); and for more than MAX_HEAD bytes or MAX_FIELDS fields.
    """
    end = _END.search(buffer, 0, MAX_HEAD)
    if end is None:
        if len(buffer) >= MAX_HEAD:
            raise Malformed(f"the response header is longer than {MAX_HEAD} bytes")
        return None
    return _head(buffer[: end.start()].decode("latin-1")), end.end()


def _head(text: str) -> Head:
    first, newline, block = text.partition("\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Malformed("not an HTTP/1.x status line")
    lines = block.count("\n") + len(newline)
    if lines > MAX_FIELDS:
        raise Malformed(f"the response header has more than {MAX_FIELDS} fields")
    fields = _FIELD.findall(block)
    if len(fields) != lines:
        raise Malformed("the response header has a malformed field")
    if [value for _, value in fields if value[-1:] in _BLANK]:
        fields = [(name, value.rstrip(" \t")) for name, value in fields]
    headers = Headers(fields)
    old = status[1] == "0"
    chunked, length = _framing(headers, old)
    tokens = headers.tokens("connection")
    code = int(status[2])
    persistent = "keep-alive" in tokens if old else "close" not in tokens
    if code == 204 and (chunked or length):  # what follows would be read as the next answer
        persistent = False
    return Head(
        status=code,
        phrase=status[3] or "",
        headers=headers,
        length=length,
        chunked=chunked,
        persistent=persistent,
    )


def _framing(headers: Headers, old: bool) -> tuple[bool, int | None]:
    lengths = {text.strip() for v in headers.get_all("content-length") for text in v.split(",")}
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(text) for text in lengths):
        raise Malformed("the response has a bad Content-Length")
    length = int(lengths.pop()) if lengths else None
    if "transfer-encoding" not in headers:
        return False, length
    if old or length is not None or headers.tokens("transfer-encoding") != ("chunked",):
        raise Malformed("the response has a Transfer-Encoding that leaves its length in doubt")
    return True, None
