"""CRAN-like repositories: PACKAGES in its three forms, and the Archive.

Source: R Installation and Administration, "Setting up a package repository"; R Internals,
"Serialization Formats" for the .rds form, which is a character matrix with column names.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

from aimirror.routing.digests import Digest, parse

INDEXES = ("PACKAGES.rds", "PACKAGES.gz", "PACKAGES")
_PACKAGE = re.compile(r"(.*/)(([A-Za-z][A-Za-z0-9.]*)_([0-9][^/]*?)\.(?:tar\.gz|zip|tgz))")
_SOURCE = re.compile(r"(.*/src/contrib/)(([A-Za-z][A-Za-z0-9.]*)_[0-9][^/]*\.tar\.gz)")


def package(url: str) -> str:
    """``NAME_VERSION`` of a package's URL, "" for other URLs."""
    match = _PACKAGE.fullmatch(url)
    return f"{match[3]}_{match[4]}" if match else ""


def indexes(url: str) -> tuple[str, ...]:
    """The URLs of the indexes beside a package or an index, in the order of R's preference."""
    folder = url.rpartition("/")[0]
    return tuple(f"{folder}/{name}" for name in INDEXES)


def chosen_by_client(path: str) -> bool:
    """Whether binaries for the client's R and Linux are given out under the names of sources.

    Posit Package Manager, "Using Linux binary packages": the User-Agent says which R it is.  The
    digest in an index that one client got says nothing of another's files then.
    """
    return "/__linux__/" in path


def archived(path: str) -> str:
    """Where a source package moves when a newer one replaces it; "" for other paths."""
    match = _SOURCE.fullmatch(path)
    return f"{match[1]}Archive/{match[3]}/{match[2]}" if match else ""


def digests(index: bytes) -> dict[str, Digest]:
    """The MD5 of packages in an index, unpacked (text or R serialization), by NAME_VERSION."""
    table = {}
    for name, version, md5 in _matrix(index) if index.startswith(b"X\n") else _paragraphs(index):
        digest = parse("md5", md5)
        if digest is not None:
            table[f"{name}_{version}"] = digest
    return table


#: What is read of each package, in this order.
_FIELDS = ("Package", "Version", "MD5sum")
_LINES = re.compile(rb"^(?:(Package|Version|MD5sum):[ \t]*(\S{1,256})|[ \t\r]*$)", re.MULTILINE)
#: Cells of a matrix that are read: CRAN's has some hundred thousand.
_MOST_CELLS = 4_000_000


def _paragraphs(index: bytes) -> Iterator[tuple[str, str, str]]:
    fields: dict[bytes, bytes] = {}
    for line in _LINES.finditer(index):
        if line[1] is not None:
            fields.setdefault(line[1], line[2])
        elif fields:
            yield _said(fields)
            fields = {}
    if fields:
        yield _said(fields)


def _said(fields: dict[bytes, bytes]) -> tuple[str, str, str]:
    name, version, md5 = (fields.get(n.encode(), b"").decode("utf-8", "replace") for n in _FIELDS)
    return name, version, md5


def _matrix(index: bytes) -> Iterator[tuple[str, str, str]]:
    try:
        cells, attributes = _Serialized(index).read()
        columns = [str(column) for column in attributes["dimnames"][1]]
        rows = len(cells) // len(columns)
        starts = [columns.index(name) * rows for name in _FIELDS]
        for row in range(rows):
            name, version, md5 = (str(cells[start + row] or "") for start in starts)
            yield name, version, md5
    except (struct.error, ValueError, LookupError, TypeError, ZeroDivisionError, RecursionError):
        return


class _Serialized:
    """R's binary XDR serialization, as far as a matrix of texts needs it."""

    _NIL, _GLOBAL_NIL, _REFERENCE = 0, 254, 255
    _SYMBOL, _PAIRS, _CHARS, _INTEGERS, _TEXTS, _LIST = 1, 2, 9, 13, 16, 19
    _HAS_ATTRIBUTES, _HAS_TAG = 1 << 9, 1 << 10

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 2
        self._symbols: list[str] = []
        self._left = _MOST_CELLS
        version = self._integer()
        self._at += 8
        if version == 3:
            self._at += 4 + struct.unpack_from(">i", data, self._at)[0]

    def read(self) -> tuple[list[Any], dict[str, Any]]:
        """The outermost vector and its attributes."""
        flags = self._integer()
        value = self._value(flags)
        return value, self._pairs(self._integer()) if flags & self._HAS_ATTRIBUTES else {}

    def _integer(self) -> int:
        value: int = struct.unpack_from(">i", self._data, self._at)[0]
        self._at += 4
        return value

    def _item(self, flags: int) -> Any:
        """A value within another one; its own attributes, as names of rows have, are left out."""
        value = self._value(flags)
        if flags & self._HAS_ATTRIBUTES and isinstance(value, list):
            self._pairs(self._integer())
        return value

    def _value(self, flags: int) -> Any:
        kind = flags & 0xFF
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many cells")
        if kind in (self._NIL, self._GLOBAL_NIL):
            return None
        if kind == self._CHARS:
            return self._text()
        if kind == self._INTEGERS:
            return self._integers(self._integer())
        if kind in (self._TEXTS, self._LIST):
            return [self._item(self._integer()) for _ in range(self._integer())]
        raise ValueError(f"type {kind}")

    def _integers(self, count: int) -> list[int]:
        self._left -= max(0, count)
        if self._left < 0:
            raise ValueError("too many cells")
        return [self._integer() for _ in range(count)]

    def _text(self) -> str | None:
        length = self._integer()
        if length < 0:
            return None
        self._at += length
        if self._at > len(self._data):
            raise ValueError("cut off")
        return self._data[self._at - length : self._at].decode("utf-8", "replace")

    def _tag(self, flags: int) -> str:
        """The name of a pair.  Nowhere else may a reference be: it costs 4 bytes for any text."""
        if flags & 0xFF == self._REFERENCE:
            return self._symbols[(flags >> 8) - 1]
        if flags & 0xFF != self._SYMBOL or self._integer() & 0xFF != self._CHARS:
            raise ValueError("a pair without a name")
        self._symbols.append(self._text() or "")
        return self._symbols[-1]

    def _pairs(self, flags: int) -> dict[str, Any]:
        items = {}
        while flags & 0xFF == self._PAIRS:
            if not flags & self._HAS_TAG or flags & self._HAS_ATTRIBUTES:
                raise ValueError("a pair without a name")
            name = self._tag(self._integer())
            items[name] = self._item(self._integer())
            flags = self._integer()
        return items
