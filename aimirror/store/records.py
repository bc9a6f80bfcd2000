"""Entries as JSON: one record in the index, the same in a sidecar file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as _text
from operator import attrgetter
from pathlib import Path
from typing import Any

import attrs

from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.http.json_text import parse_json
from aimirror.store.layout import FILE_MODE, is_name, make_folder

#: Bytes: a sidecar larger than this is not one of ours.
LARGEST_RECORD = 1 << 20

#: What a record says that it is; the first ones said nothing.  They gave to all what a login had
#: opened where the upstream said ``s-maxage`` or ``must-revalidate``, and don't tell whose it was.
VERSION = 2

#: Fields of an entry and the types of their values.
_TYPES: dict[str, type] = {
    field.name: str if field.default is attrs.NOTHING else type(field.default)
    for field in attrs.fields(Entry)
}


def _pairs(headers: Headers) -> str:
    return "[" + ",".join([f"[{_text(n)},{_text(v)}]" for n, v in headers.items]) + "]"


#: How a value of each type is written: an encoder of JSON that is made anew takes twice as long.
_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: _text,
    int: repr,
    float: repr,
    bool: {True: "true", False: "false"}.__getitem__,
    Headers: _pairs,
}


_WRITERS = tuple(_WRITTEN[kind] for kind in _TYPES.values())
_VALUES = attrgetter(*_TYPES)
_LINE = f'{{"version":{VERSION}' + "".join(f',"{name}":%s' for name in _TYPES) + "}"


def dump(entry: Entry) -> str:
    """An entry as one line of ASCII."""
    return _LINE % tuple([write(v) for write, v in zip(_WRITERS, _VALUES(entry), strict=True)])


def load(text: str | bytes) -> Entry:
    """The entry of a record; ValueError when it is not one, or may not be for all as it says."""
    try:
        values = parse_json(text)
        known: dict[str, Any] = {}
        for name, value in values.items():
            wanted = _TYPES.get(name)
            if wanted is not None:
                known[name] = value if type(value) is wanted else _typed(name, wanted, value)
        made = Entry(**known)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not an entry: {error}") from error
    if not made.scope and values.get("version") != VERSION:
        raise ValueError("an entry for all of a version that did not look who had opened it")
    if made.blob and not is_name(made.blob):
        raise ValueError(f"not a sha256: {made.blob!r}")
    return made


def _typed(name: str, wanted: type, value: Any) -> Any:
    """A field's value that JSON has in another type; ValueError when it can't be of that type."""
    if wanted is Headers:
        return Headers([(str(n), str(v)) for n, v in value])
    if wanted is float and type(value) is int:
        return float(value)
    raise ValueError(f"{name}: not {wanted.__name__}")


def write_sidecar(path: Path, entry: Entry) -> None:
    """Put an entry's sidecar in place, whole or not at all; not synced, as the index is not."""
    write_record(str(path), dump(entry))


def write_record(path: str, record: str, *, new: bool = False) -> None:
    """The same for a record; one that is ``new`` may be torn by a crash, which leaves none."""
    draft = path if new else f"{path}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        fd = os.open(draft, flags, FILE_MODE)
    except FileNotFoundError:
        make_folder(Path(path).parent)
        fd = os.open(draft, flags, FILE_MODE)
    with os.fdopen(fd, "wb", buffering=0) as file:
        data = record.encode("ascii")
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), draft)
    if draft != path:
        Path(draft).replace(path)


def read_sidecar(path: Path) -> Entry:
    """The entry of a sidecar; ValueError when it is damaged, OSError when it cannot be read."""
    with open(path, "rb") as file:
        return load(file.read(LARGEST_RECORD))
