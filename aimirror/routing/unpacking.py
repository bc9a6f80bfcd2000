"""Bytes that come packed by gzip or zstd, unpacked as they come, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

#: zlib's word for one gzip stream.
_GZIP = 31
#: Bytes that one step of unpacking gives.
MOST_AT_ONCE = 1 << 20
#: Bytes of zstd that are unpacked at a time: the worst of them give 32,000 times as many.
ZSTD_STEP = 512
#: Bytes of memory that unpacking zstd may take.
MOST_WINDOW = 128 << 20
#: What unpacking raises on bytes that can't be understood.
BAD = (ValueError, zlib.error, zstandard.ZstdError)


class Streams:
    """Packed streams, one after the other, and zeros behind them."""

    def __init__(self, new: Callable[[], Any]) -> None:
        self._new = new
        self._one: Any = None

    @property
    def ended(self) -> bool:
        """Whether none has begun that has not ended."""
        return self._one is None

    def unpacked(self, piece: bytes) -> Iterator[bytes]:
        """What these bytes give, some of them at a time."""
        while piece:
            if self._one is None:
                piece = piece.lstrip(b"\0")
                self._one = self._new() if piece else None
                continue
            data, piece = self._step(piece)
            if self._one.eof:
                self._one = None
            yield data

    def _step(self, piece: bytes) -> tuple[bytes, bytes]:
        """What the first of these bytes give, and those that are left."""
        data: bytes = self._one.decompress(piece, MOST_AT_ONCE)
        return data, self._one.unconsumed_tail or self._one.unused_data


class _Zstd(Streams):
    """Frames of zstd."""

    def _step(self, piece: bytes) -> tuple[bytes, bytes]:
        data: bytes = self._one.decompress(piece[:ZSTD_STEP])
        return data, self._one.unused_data + piece[ZSTD_STEP:]


class Plain:
    """What is not packed."""

    ended = True

    def unpacked(self, piece: bytes) -> Iterator[bytes]:
        """These bytes."""
        yield piece


def unpacker(head: bytes) -> Streams | Plain:
    """What unpacks bytes that begin so."""
    if head.startswith(b"\x1f\x8b"):
        return Streams(lambda: zlib.decompressobj(_GZIP))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _Zstd(zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW).decompressobj)
    return Plain()
