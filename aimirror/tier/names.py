"""The names of objects in the store, and the entries in them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from attrs import evolve, frozen

from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.http.json_text import parse_json
from aimirror.tier.keys import Keys

#: Objects are spread over folders named by this many leading characters.
FAN_OUT = 2
#: Bytes of an entry's object; larger ones are not ours.
LARGEST_ENTRY = 1 << 20


@frozen
class Pointer:
    """In place of an entry: the answers at this key are chosen by these request fields.

    ``newest`` is the variant that was left last.
    """

    vary: tuple[str, ...]
    newest: str = ""


def blob_name(blob: str) -> str:
    """Where the bytes with this sha256 are."""
    return f"blobs/{blob[:FAN_OUT]}/{blob}"


def entry_name(key: str, variant: str = "") -> str:
    """Where the entry of a key is, or, for a key with variants, the pointer to them."""
    name = sha256(json.dumps([key, variant]).encode()).hexdigest()
    return f"entries/{name[:FAN_OUT]}/{name}.json"


def packed(entry: Entry, record: str, keys: Keys) -> bytes:
    """An entry's object: its record, signed together with where it lies."""
    return sealed(entry_name(entry.key, entry.variant), {"entry": record}, keys)


def pointing(key: str, vary: tuple[str, ...], newest: str, keys: Keys) -> bytes:
    """The object that leads to the variants of a key."""
    return sealed(entry_name(key), {"key": key, "vary": list(vary), "newest": newest}, keys)


def unpacked(name: str, data: bytes, keys: Keys) -> str | Pointer | None:
    """The record or pointer in the object of this name; None when we have not signed it."""
    value = opened(name, data, keys)
    if value is None:
        return None
    if "vary" in value:
        return Pointer(tuple(str(field) for field in value["vary"]), str(value.get("newest", "")))
    return str(value.get("entry", ""))


def shareable(entry: Entry) -> bool:
    """Whether an entry may leave this node: a good answer, and for anybody."""
    return bool(entry.blob) and not entry.scope and entry.status == 200 and not entry.invalidated


def bare(entry: Entry) -> Entry:
    """Without what concerns this node alone."""
    return evolve(entry, pinned=False, rule="", selecting=Headers(entry.selecting))


def opened(name: str, data: bytes, keys: Keys) -> dict[str, Any] | None:
    """What is in a sealed object; None when we have not sealed it, or not for this place."""
    try:
        document = parse_json(data)
        said, mac = document["said"], document["mac"]
        if not isinstance(said, str) or not keys.right(f"{name}\n{said}", str(mac)):
            return None
        value = parse_json(said)
    except (ValueError, TypeError, KeyError):
        return None
    return value if isinstance(value, dict) else None


def sealed(name: str, value: dict[str, Any], keys: Keys) -> bytes:
    """An object that says something, signed together with where it lies."""
    said = json.dumps(value, separators=(",", ":"))
    return json.dumps({"said": said, "mac": keys.sign(f"{name}\n{said}")}).encode("ascii")
