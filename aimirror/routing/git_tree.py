"""The digest that git gives to the tree of files in a tar, by which Julia names its archives.

Source: git's own format of trees and blobs; Julia's Tar.jl (``tree_hash``) for what of a tar is in
its tree: empty folders are, modes are 100755 and 100644.
"""

from __future__ import annotations

import hashlib
from typing import Any

from attrs import define, field

from aimirror.routing.unpacking import BAD, Plain, Streams, unpacker

#: Bytes of a tar's own record of a long name; files and folders in a tar, one within the other.
MOST_RECORD = 1 << 20
MOST_MEMBERS = 1_000_000
MOST_DEEP = 200

#: A folder of a git tree: by name, the mode and SHA-1 of a file, or a folder.
_Folder = dict[bytes, "tuple[bytes, bytes] | _Folder"]
_BLOCK = 512
_FILE, _HARD, _LINK, _DIRECTORY = b"0", b"1", b"2", b"5"
_LONG_NAME, _LONG_LINK, _PAX = b"L", b"K", b"x"
_KINDS = {b"\0": _FILE, b"7": _FILE}


@define
class _Member:
    """A file of a tar whose content comes."""

    kind: bytes
    name: bytes
    link: bytes
    mode: int
    size: int
    left: int
    #: The git blob's hash; None for what is read as a record.
    blob: Any = None
    record: list[bytes] = field(factory=list)


class GitTree:
    """The SHA-1 of the tree in a tar, packed by gzip or zstd or not; fed like a hash of it all.

    ``hexdigest`` is "" for what is no such tar.
    """

    def __init__(self) -> None:
        self._head = b""
        self._unpack: Streams | Plain | None = None
        self._block = bytearray()
        self._member: _Member | None = None
        self._padding = 0
        #: What the next member is really called, linked to, and how large.
        self._longer: dict[bytes, bytes] = {}
        self._root: _Folder = {}
        self._members = 0
        self._over = self._bad = False

    def update(self, piece: bytes) -> None:
        """The next bytes."""
        try:
            if not self._bad:
                self._packed(bytes(piece))
        except BAD:
            self._bad = True

    def _packed(self, piece: bytes) -> None:
        if self._unpack is None:
            self._head += piece
            if len(self._head) < 4:
                return
            piece, self._head = self._head, b""
            self._unpack = unpacker(piece)
        for data in self._unpack.unpacked(piece):
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Bytes of the tar."""
        at = 0
        while at < len(data) and not self._over:
            if self._padding:
                step = min(self._padding, len(data) - at)
                self._padding -= step
            elif self._member is not None:
                step = min(self._member.left, len(data) - at)
                self._content(self._member, data[at : at + step])
            else:
                step = min(_BLOCK - len(self._block), len(data) - at)
                self._block += data[at : at + step]
                if len(self._block) == _BLOCK:
                    self._header(bytes(self._block))
                    self._block.clear()
            at += step
        if any(data[at:]):
            raise ValueError("something behind the end")

    def _header(self, block: bytes) -> None:
        if not any(block):
            self._over = True
            return
        if sum(block[:148]) + 8 * 32 + sum(block[156:]) != _octal(block[148:156]):
            raise ValueError("no header of a tar")
        kind = _KINDS.get(block[156:157], block[156:157])
        size = int(self._longer.pop(b"size", b"") or _octal(block[124:136]))
        if kind in (_HARD, _LINK, _DIRECTORY):
            size = 0
        name = block[:100].partition(b"\0")[0]
        if block[257:263] == b"ustar\0" and block[345]:
            name = block[345:500].partition(b"\0")[0] + b"/" + name
        if kind in (_FILE, _HARD, _LINK, _DIRECTORY):
            name = self._longer.pop(b"path", name)
        if kind == _FILE and name.endswith(b"/"):  # as the oldest tars write a folder
            kind = _DIRECTORY
        link = self._longer.pop(b"linkpath", block[157:257].partition(b"\0")[0])
        member = _Member(kind, name, link, _octal(block[100:108]), size, size)
        if kind == _FILE:
            member.blob = _object(b"blob", size)
        elif size > MOST_RECORD and kind in (_LONG_NAME, _LONG_LINK, _PAX):
            raise ValueError("a record is too large")
        self._member = member
        self._content(member, b"")

    def _content(self, member: _Member, data: bytes) -> None:
        if member.blob is not None:
            member.blob.update(data)
        elif member.kind in (_LONG_NAME, _LONG_LINK, _PAX):
            member.record.append(data)
        member.left -= len(data)
        if not member.left:
            self._member, self._padding = None, -member.size % _BLOCK
            self._end(member)

    def _end(self, member: _Member) -> None:
        record = b"".join(member.record)
        if member.kind == _LONG_NAME:
            self._longer[b"path"] = record.rstrip(b"\0")
        elif member.kind == _LONG_LINK:
            self._longer[b"linkpath"] = record.rstrip(b"\0")
        elif member.kind == _PAX:
            self._longer |= _pax(record)
        elif member.kind == _FILE:
            mode = b"100755" if member.mode & 0o100 else b"100644"
            self._put(member.name, (mode, member.blob.digest()))
        elif member.kind == _LINK:
            blob = _object(b"blob", len(member.link))
            blob.update(member.link)
            self._put(member.name, (b"120000", blob.digest()))
        elif member.kind == _HARD:
            self._put(member.name, self._get(member.link))
        elif member.kind == _DIRECTORY:
            self._folder(_parts(member.name))

    def _put(self, name: bytes, entry: tuple[bytes, bytes]) -> None:
        *folders, last = _parts(name) or [b""]
        if not last:
            raise ValueError("a file without a name")
        self._count()
        self._folder(folders)[last] = entry

    def _count(self) -> None:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise ValueError("too many members")

    def _get(self, name: bytes) -> tuple[bytes, bytes]:
        *folders, last = _parts(name) or [b""]
        entry = self._folder(folders).get(last)
        if not isinstance(entry, tuple):
            raise ValueError("a link to what is not there")
        return entry

    def _folder(self, parts: list[bytes]) -> _Folder:
        folder = self._root
        for part in parts:
            inner = folder.get(part)
            if not isinstance(inner, dict):
                self._count()
                inner = folder[part] = {}
            folder = inner
        return folder

    def hexdigest(self) -> str:
        """See the class."""
        if self._bad or not self._over or self._unpack is None or not self._unpack.ended:
            return ""
        return _tree(self._root).hex()


def _octal(text: bytes) -> int:
    """A number of a tar header: octal digits, or base 256 behind a byte of 0x80."""
    if text[0] & 0x80:
        return int.from_bytes(text, "big") & ((1 << (8 * len(text) - 1)) - 1)
    return int(text.strip(b" \0") or b"0", 8)


def _pax(record: bytes) -> dict[bytes, bytes]:
    """Records of ``LENGTH NAME=VALUE\\n``."""
    records = {}
    while record:
        length = int(record.partition(b" ")[0])
        name, _, value = record[:length].partition(b" ")[2].removesuffix(b"\n").partition(b"=")
        if length < 1:
            raise ValueError("a record without a length")
        records[name] = value
        record = record[length:]
    return {name: records[name] for name in (b"path", b"linkpath", b"size") if name in records}


def _parts(name: bytes) -> list[bytes]:
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts or len(parts) > MOST_DEEP:
        raise ValueError("a name that leads out, or too deep")
    return parts


def _object(kind: bytes, size: int) -> Any:
    hashed = hashlib.sha1(usedforsecurity=False)
    hashed.update(b"%b %d\0" % (kind, size))
    return hashed


def _tree(folder: _Folder) -> bytes:
    """The SHA-1 of a folder; git sorts folders as if their names ended with a slash."""
    entries = []
    for name, entry in folder.items():
        if isinstance(entry, dict):
            entries.append((name + b"/", b"40000 %b\0" % name + _tree(entry)))
        else:
            entries.append((name, b"%b %b\0" % (entry[0], name) + entry[1]))
    content = b"".join(each for _, each in sorted(entries))
    hashed = _object(b"tree", len(content))
    hashed.update(content)
    digest: bytes = hashed.digest()
    return digest
