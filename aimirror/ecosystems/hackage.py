"""Hackage, for cabal: the index has a file of targets for each package, with its digests.

Source: the hackage-security project, "The index".  The index of hackage.haskell.org is larger than
what is read of any (``indexes.MOST_STORED``), so its packages are checked by cabal alone.
"""

from __future__ import annotations

import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest
from aimirror.settings.merging import fresh
from aimirror.settings.setting import Address, Setting

_PACKAGE = re.compile(r"(.*)/package/(?:[^/]+/)?([^/]+-[0-9.]+\.tar\.gz)")
#: Targets are canonical JSON: a line without blanks.
_TARGET = re.compile(rb'"<repo>/package/([^"/\n]{1,256})":\{"hashes":\{([^{}\n]{1,512})\}')
_SHA256 = re.compile(rb'"sha256":"([0-9a-f]{64})"')


def _places(url: str) -> Places:
    match = _PACKAGE.fullmatch(url)
    if match is None:
        return []
    return [(f"{match[1]}/01-index.{form}", match[2]) for form in ("tar.gz", "tar")]


def digests(index: bytes) -> dict[str, Digest]:
    """What an index, or some of its lines, says of packages, by file name."""
    table = {}
    for name, hashes in _TARGET.findall(index):
        match = _SHA256.search(hashes)
        if match is not None:
            table[name.decode("utf-8", "replace")] = Digest("sha256", match[1].decode("ascii"))
    return table


_PRESETS = r"""
hackage: # repository hackage.haskell.org / url: http://MIRROR/hackage
  - &hackage
    name: -files
    path_prefix: /hackage
    strip_prefix: true
    upstream: "https://hackage.haskell.org"
    ecosystem: hackage # the sha256 of its index, where that is small enough to be read
    pattern: '/package/[^/]+-[0-9.]+(/[^/]+-[0-9.]+)?\.tar\.gz$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *hackage
    name: -index
    pattern: '/[0-9]+-index\.tar(\.gz)?$'
    immutable: false
    cache: &hackage-cache {ttl: 1m, stale_if_error: 7d}
  - <<: *hackage
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: *hackage-cache
"""


def _cabal(mirror: Address) -> Setting:
    url = mirror.at("/hackage")
    text = f"repository hackage.haskell.org\n  url: {url}\n"
    probe = f"{url}/timestamp.json"
    return Setting("~/.config/cabal/config", text, fresh(text), probe=probe)


WORLD = World(
    name="hackage",
    package=named_by(
        r".*/package/(?P<name>[A-Za-z0-9-]+)-(?P<version>[0-9.]+)(?:/.+)?(?:\.tar\.gz)?",
    ),
    presets=_PRESETS,
    clients={"cabal": _cabal},
    knowledge=Files(places=_places, reading=Reading(digests, b"\n")),
    row=Row(
        clients="cabal, stack",
        at="`/hackage`",
        checked="sha256 of an index up to 64 MB; cabal alone at Hackage, whose is larger",
        changes="the index and its signatures",
    ),
)
