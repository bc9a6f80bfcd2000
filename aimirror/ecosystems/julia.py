"""Julia's package server: paths name git trees, which Pkg checks."""

from __future__ import annotations

from aimirror.ecosystems.clients import Address, Setting, exported
from aimirror.ecosystems.world import Row, World

_PRESETS = r"""
julia: # JULIA_PKG_SERVER=http://MIRROR/julia
  - &julia
    name: -files
    path_prefix: /julia
    strip_prefix: true
    upstream: "https://pkg.julialang.org"
    pattern: '/(registry/[0-9a-f-]{36}|package/[0-9a-f-]{36}|artifact)/[0-9a-f]{40}$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *julia
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


def _julia(mirror: Address) -> Setting:
    url = mirror.at("/julia")
    return exported(f"{url}/registries", JULIA_PKG_SERVER=url)


WORLD = World(
    name="julia",
    presets=_PRESETS,
    clients={"julia": _julia},
    row=Row(
        clients="julia",
        at="`/julia`",
        checked="Pkg, by the git tree that each path names",
        changes="`registries`, `meta`",
    ),
)
