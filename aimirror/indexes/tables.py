"""An index's bytes, unpacked in pieces, become a table of digests; read apart from the service."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Protocol

import zstandard

from aimirror.indexes.digest_table import DigestTable

#: Bytes of an index that is read for its digests, once it is unpacked.
MOST_UNPACKED = 512 << 20
#: Bytes of an unpacked index, or of a piece of it, that are in memory at once.
MOST_AT_ONCE = 64 << 20
#: Bytes of memory that unpacking zstd may take: what its own tool allows without being asked.
MOST_WINDOW = 128 << 20
#: Bytes of an index that are read at a time.
PIECE = 1 << 20

_MAGIC: tuple[tuple[bytes, Callable[[BytesIO], SupportsRead]], ...] = (
    (b"\x1f\x8b", lambda packed: gzip.GzipFile(fileobj=packed)),
    (b"\xfd7zXZ", lzma.LZMAFile),
    (b"BZh", bz2.BZ2File),
    (b"\x28\xb5\x2f\xfd", lambda p: _zstd().stream_reader(p, read_across_frames=True)),
)
#: What decompressors raise on bytes that they don't understand.
_BAD = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class SupportsRead(Protocol):
    """What unpacks an index."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, b"" at the end."""


def table(data: bytes, reader: str, boundary: str) -> bytes:
    """A dumped DigestTable; ``reader`` is "module:function", ``boundary`` a ``Reading``'s, latin-1.

    An index that can't be understood says nothing.
    """
    module, _, name = reader.partition(":")
    read = getattr(importlib.import_module(module), name)
    try:
        made = DigestTable(read(piece) for piece in pieces(data, boundary.encode("latin-1")))
    except _BAD:
        made = DigestTable(())
    return made.dump()


def unpacked(data: bytes) -> bytes:
    """A small index as it is read, b"" for one that can't be understood."""
    try:
        return b"".join(pieces(data, b""))
    except _BAD:
        return b""


def pieces(data: bytes, boundary: bytes) -> Iterator[bytes]:
    """An index, unpacked, in pieces that end behind a boundary; whole where there is none.

    Raises ValueError when one of them is too large: packed, it may be a thousandth of that.
    """
    unpacked: SupportsRead = BytesIO(data)
    for magic, unpack in _MAGIC:
        if data.startswith(magic):
            unpacked = unpack(BytesIO(data))
    held: list[bytes] = []
    total = waiting = 0
    while total < MOST_UNPACKED and (more := unpacked.read(PIECE)):
        total += len(more)
        cut = more.rfind(boundary) + len(boundary) if boundary and boundary in more else 0
        if cut:
            yield b"".join([*held, more[:cut]])
            held, waiting = [], 0
        held.append(more[cut:])
        waiting += len(more) - cut
        if waiting > MOST_AT_ONCE:
            raise ValueError("a piece is too large")
    yield b"".join(held)


def _zstd() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW)
