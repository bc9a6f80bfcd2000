"""Hackage, for cabal: its index is signed, and cabal checks packages by it."""

from __future__ import annotations

from aimirror.ecosystems.clients import Address, Setting
from aimirror.ecosystems.formats import fresh
from aimirror.ecosystems.world import Row, World

_PRESETS = r"""
hackage: # repository hackage.haskell.org / url: http://MIRROR/hackage
  - &hackage
    name: -files
    path_prefix: /hackage
    strip_prefix: true
    upstream: "https://hackage.haskell.org"
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
    presets=_PRESETS,
    clients={"cabal": _cabal},
    row=Row(
        clients="cabal, stack",
        at="`/hackage`",
        checked="cabal, by the signed index",
        changes="the index and its signatures",
    ),
)
