"""Nix binary caches: the name of an archive is its digest, and narinfo files tell of it.

Source: the Nix manual, "HTTP Binary Cache Store"; archives are ``nar/FILEHASH.nar.COMPRESSION``,
where the SHA-256 of the file is written in the base 32 of Nix.
"""

from __future__ import annotations

import re

from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files
from aimirror.routing.digests import Digest
from aimirror.settings import lines
from aimirror.settings.setting import Address, Setting

#: Without e, o, t and u, lest words come out.
_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_NAR = re.compile(rf".*/nar/([{_ALPHABET}]{{52}})\.nar(?:\.\w+)?")
_SHA256 = 32


def decoded(text: str) -> bytes | None:
    """The 32 bytes of a SHA-256 in the base 32 of Nix, which starts at the other end."""
    number = 0
    for character in text:
        number = number << 5 | _ALPHABET.index(character)
    if number >> (8 * _SHA256):
        return None
    return number.to_bytes(_SHA256, "little")


def digest_of(url: str) -> Digest | None:
    """What the name of an archive says that it hashes to."""
    match = _NAR.fullmatch(url)
    raw = decoded(match[1]) if match else None
    return Digest("sha256", raw.hex()) if raw is not None else None


_PRESETS = r"""
nix: # substituters = http://MIRROR/nix
  - &nix
    name: -files
    path_prefix: /nix
    strip_prefix: true
    upstream: "https://cache.nixos.org"
    ecosystem: nix # an archive's name is its sha256
    pattern: '/nar/[^/]+$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *nix
    name: "" # narinfo files are signed by the cache, and checked by nix
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1d, negative_ttl: 10m, stale_if_error: 30d}
"""


def _nix(mirror: Address) -> Setting:
    url = mirror.at("/nix")
    merges = lines.leading("substituters", url, "https://cache.nixos.org")
    probe = f"{url}/nix-cache-info"
    return Setting("~/.config/nix/nix.conf", merges(None), merges, probe=probe)


WORLD = World(
    name="nix",
    presets=_PRESETS,
    clients={"nix": _nix},
    knowledge=Files(of_url=digest_of),
    row=Row(
        clients="nix",
        at="`/nix`",
        checked="archives by their name; narinfo by nix, which knows the cache's key",
        changes="narinfo, 1 day",
    ),
)
