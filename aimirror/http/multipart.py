"""The framing of multipart/byteranges (RFC 9110 section 14.6): several ranges in one body."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

from aimirror.http.ranges import format_content_range

#: RFC 2046 section 5.1.1, without the characters that would need quoting or end in a space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'+_.-]{1,70}")


@frozen
class Part:
    """The bytes to send before ``[start, stop)`` of the file."""

    header: bytes
    start: int
    stop: int


@frozen
class Multipart:
    """A body: each part's header and bytes in turn, then ``closing``; ``length`` counts all."""

    content_type: str
    parts: tuple[Part, ...]
    closing: bytes
    length: int


def multipart(
    spans: Iterable[tuple[int, int]], content_type: str | None, total: int, boundary: str
) -> Multipart:
    """Frame half-open spans of a file of ``total`` bytes and of ``content_type``.

    ``boundary`` has to be unguessable, for it must not occur in the file.  Raises ValueError for
    one that is not made of up to 70 letters, digits and ``'+_.-``.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError(f"not usable as a boundary: {boundary!r}")
    kind = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    parts = tuple(
        Part(
            (
                f"\r\n--{boundary}\r\n{kind}"
                f"Content-Range: {format_content_range(start, stop, total)}\r\n\r\n"
            ).encode("latin-1"),
            start,
            stop,
        )
        for start, stop in spans
    )
    closing = f"\r\n--{boundary}--\r\n".encode("latin-1")
    return Multipart(
        content_type=f"multipart/byteranges; boundary={boundary}",
        parts=parts,
        closing=closing,
        length=sum(len(part.header) + part.stop - part.start for part in parts) + len(closing),
    )
