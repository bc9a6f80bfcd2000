"""The METADATA of a wheel, read by ranges: where it is, without the rest of the archive.

A wheel is a zip file: a directory at its end says where each member is (APPNOTE.TXT 4.3).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from attrs import frozen

#: Bytes to read from the end first: room for the end record and the directories of most wheels.
TAIL = 64 << 10
#: Bytes of a directory, and of an unpacked METADATA: larger ones are no ordinary wheel's.
MOST_DIRECTORY = 8 << 20
MOST_METADATA = 16 << 20
#: Bytes that a member's own header may be longer than the directory says: its extra fields.
_SLACK = 1 << 10

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
#: Values that stand for "see the zip64 record".
_ELSEWHERE = 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8

_METADATA = re.compile(rb"[^/]+\.dist-info/METADATA")


class BadWheel(ValueError):
    """The bytes are no wheel, or one that is written in a way that this code does not know."""


@frozen
class Member:
    """A file in an archive: where its header begins, its sizes in bytes, and how it is packed."""

    offset: int
    packed: int
    size: int
    method: int
    crc: int

    @property
    def span(self) -> tuple[int, int]:
        """What to read for ``unpack``; it may reach beyond the end of the archive."""
        return self.offset, self.offset + _LOCAL.size + _SLACK + self.packed


def directory(tail: bytes, total: int) -> tuple[int, int]:
    """The span of the directory, told by the last bytes of an archive of ``total`` bytes."""
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) - end < _END.size:
        raise BadWheel("it has no directory")
    *_, length, start, _comment = _END.unpack_from(tail, end)
    if _ELSEWHERE in (length, start):
        end = tail.rfind(b"PK\6\6", 0, end)
        if end < 0 or len(tail) - end < _END_64.size:
            raise BadWheel("its directory is too far from its end")
        *_, length, start = _END_64.unpack_from(tail, end)
    if length > MOST_DIRECTORY or start + length > total:
        raise BadWheel("its directory is too large")
    return start, start + length


def metadata(text: bytes) -> Member:
    """The METADATA in a directory."""
    members = [m for name, m in _members(text) if _METADATA.fullmatch(name)]
    if len(members) != 1:
        raise BadWheel(f"it has {len(members)} METADATA files")
    if members[0].size > MOST_METADATA or members[0].packed > MOST_METADATA:
        raise BadWheel("its METADATA is too large")
    return members[0]


def unpack(data: bytes, member: Member) -> bytes:
    """The content of a member, whose ``span`` was read."""
    if len(data) < _LOCAL.size or not data.startswith(b"PK\3\4"):
        raise BadWheel("its METADATA is not where its directory says")
    *_, name, extra = _LOCAL.unpack_from(data)
    start = _LOCAL.size + name + extra
    packed = data[start : start + member.packed]
    if len(packed) != member.packed or member.method not in (_STORED, _DEFLATED):
        raise BadWheel("its METADATA can't be read")
    content = packed if member.method == _STORED else _inflated(packed, member.size)
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise BadWheel("its METADATA is damaged")
    return content


def _inflated(packed: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    except zlib.error as error:
        raise BadWheel("its METADATA is damaged") from error


def _members(data: bytes) -> Iterator[tuple[bytes, Member]]:
    position = 0
    while len(data) - position >= _ENTRY.size:
        fields = _ENTRY.unpack_from(data, position)
        if fields[0] != b"PK\1\2":
            break
        method, crc, packed, size = fields[4], fields[7], fields[8], fields[9]
        lengths, offset = fields[10:13], fields[16]
        start = position + _ENTRY.size
        name = data[start : start + lengths[0]]
        if _ELSEWHERE in (packed, size, offset):
            extra = data[start + lengths[0] : start + lengths[0] + lengths[1]]
            size, packed, offset = _large(extra, size, packed, offset)
        yield name, Member(offset, packed, size, method, crc)
        position = start + sum(lengths)


def _large(extra: bytes, *values: int) -> tuple[int, int, int]:
    """Sizes and offset, those that don't fit 32 bits taken from the zip64 field (4.5.3)."""
    field, at = b"", 0
    while len(extra) - at >= 4:
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
        at += 4 + length
    numbers = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
    size, packed, offset = (next(numbers, v) if v == _ELSEWHERE else v for v in values)
    return size, packed, offset
