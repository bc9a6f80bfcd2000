"""Where a channel says that its files are: ``base_url`` (CEP 15), ``shards_base_url`` (CEP 16).

Whole URLs there lead clients past the mirror; those relative to the index do not.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Callable

import zstandard

#: The index of shards; the forms of repodata, the plain ones first.
SHARDS = "repodata_shards.msgpack.zst"
PLAIN = frozenset({"repodata.json", "current_repodata.json"})
PACKED = frozenset(f"{name}{form}" for name in PLAIN for form in (".zst", ".bz2"))
#: Bytes of an index's start, as stored and unpacked, that its ``info`` is looked for in.
HEAD = 64 << 10
_INFO = 4 << 10
#: Bytes of an unpacked index of shards.
MOST_SHARDS = 64 << 20

_BASE = re.compile(rb'"base_url"\s{0,8}:\s{0,8}"(https?://[^"\\]{1,2048})"')
#: The members as MessagePack has them: a text begins with its length, in one of three forms.
_MEMBERS = (
    re.compile(rb"(?:\xa8|\xd9\x08|\xda\x00\x08)base_url"),
    re.compile(rb"(?:\xaf|\xd9\x0f|\xda\x00\x0f)shards_base_url"),
)
_SHORT, _TEXT_8, _TEXT_16 = 0xA0, 0xD9, 0xDA

#: Gives where the mirror serves a URL, None where it does not.
Lead = Callable[[str], str | None]


def whole_base(head: bytes) -> str:
    """The whole URL that a repodata's ``info`` names, of its first bytes, packed or not; or ""."""
    try:
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            head = zstandard.ZstdDecompressor().decompressobj().decompress(head)
        elif head.startswith(b"BZh"):
            head = bz2.BZ2Decompressor().decompress(head, _INFO)
    except (OSError, ValueError, zstandard.ZstdError):
        return ""
    match = _BASE.search(head[:_INFO])
    return match[1].decode("utf-8", "replace") if match else ""


def led(index: bytes, lead: Lead) -> bytes | None:
    """An index of shards whose whole URLs lead to the mirror; None when one can't be led there.

    ``index`` itself where there is none, or where it is not understood.
    """
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(index, read_across_frames=True)
        unpacked = reader.read(MOST_SHARDS)
    except zstandard.ZstdError:
        return index
    changed = unpacked
    for member in _MEMBERS:
        base = _text(changed, member)
        if base is None or not base[0].startswith(("http://", "https://")):
            continue
        new = lead(base[0])
        if new is None:
            return None
        changed = changed[: base[1]] + _packed(new) + changed[base[2] :]
    return index if changed is unpacked else zstandard.ZstdCompressor().compress(changed)


def _text(packed: bytes, member: re.Pattern[bytes]) -> tuple[str, int, int] | None:
    """The text that is a member's value, and where it starts and stops."""
    match = member.search(packed)
    start = match.end() if match is not None else len(packed)
    head = packed[start : start + 3]
    if len(head) < 3:
        return None
    if head[0] & 0xE0 == _SHORT:
        at, size = start + 1, head[0] & 0x1F
    elif head[0] == _TEXT_8:
        at, size = start + 2, head[1]
    elif head[0] == _TEXT_16:
        at, size = start + 3, head[1] << 8 | head[2]
    else:
        return None
    return packed[at : at + size].decode("utf-8", "replace"), start, at + size


def _packed(text: str) -> bytes:
    data = text.encode()
    return bytes([_TEXT_16]) + len(data).to_bytes(2, "big") + data
