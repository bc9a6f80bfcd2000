"""Hex, for Elixir and Erlang: which registry file names a tarball's digest, and what it says.

Source: github.com/hexpm/specifications, "registry-v2": a gzip file of a signed protocol buffer,
whose payload lists releases; ``outer_checksum`` is the SHA-256 of the tarball.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest
from aimirror.settings.setting import Address, Setting, exported

_TARBALL = re.compile(r"(.*)/tarballs/([a-z0-9_]+)-([^/]+)\.tar")
#: Field numbers of Signed, Package and Release.
_PAYLOAD = _RELEASES = _VERSION = 1
_OUTER_CHECKSUM = 5
_SHA256 = 32
#: How a field's bytes follow: a number, eight bytes, a length and bytes, four bytes.
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def _places(url: str) -> Places:
    match = _TARBALL.fullmatch(url)
    return [(f"{match[1]}/packages/{match[2]}", match[3])] if match else []


def digests(signed: bytes) -> dict[str, Digest]:
    """What a package's registry file, unpacked, says of its tarballs, by version."""
    table = {}
    try:
        for payload in _fields(signed, _PAYLOAD):
            for release in _fields(payload, _RELEASES):
                version = next(_fields(release, _VERSION), b"").decode("utf-8", "replace")
                checksum = next(_fields(release, _OUTER_CHECKSUM), b"")
                if version and len(checksum) == _SHA256:
                    table[version] = Digest("sha256", checksum.hex())
    except (IndexError, ValueError):
        return {}
    return table


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """The byte fields of a number in a message; IndexError or ValueError for what is none."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        size = {_EIGHT: 8, _FOUR: 4}.get(kind, 0)
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
        elif not size:
            raise ValueError("an unknown kind of field")
        if at + size > len(message):
            raise ValueError("a field is longer than its message")
        if kind == _BYTES and number == wanted:
            yield message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


_PRESETS = r"""
hex: # HEX_MIRROR=http://MIRROR/hex for mix, HEX_CDN for rebar3
  - &hex
    name: -files
    path_prefix: /hex
    strip_prefix: true
    upstream: "https://repo.hex.pm"
    ecosystem: hex # the outer checksum in the package's registry file
    pattern: '/(tarballs/[^/]+\.tar|docs/[^/]+\.tar\.gz)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *hex
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


def _hex(mirror: Address) -> Setting:
    url = mirror.at("/hex")
    return exported(f"{url}/packages/jason", HEX_MIRROR=url, HEX_CDN=url)  # mix; rebar3


WORLD = World(
    name="hex",
    package=named_by(
        r".*/tarballs/(?P<name>[a-z0-9_]+)-(?P<version>[^/]+)\.tar",
        r".*/packages/(?P<name>[a-z0-9_]+)",
    ),
    presets=_PRESETS,
    clients={"hex": _hex},
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="mix, rebar3 (Hex)",
        at="`/hex`",
        checked="the outer checksum of the package's registry file",
        changes="`names`, `versions`, `packages/`",
    ),
)
