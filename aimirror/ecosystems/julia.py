"""Julia's package server: each path names the git tree that is in its archive.

Source: the Pkg documentation, "Package and Storage Server Protocol".
"""

from __future__ import annotations

import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files
from aimirror.routing.digests import GIT_TREE, Digest
from aimirror.settings.setting import Address, Setting, exported

_TREE = re.compile(r".*/(?:(?:registry|package)/[0-9a-f-]{36}|artifact)/([0-9a-f]{40})")


def digest_of(url: str) -> Digest | None:
    """What the name of an archive says that it holds."""
    match = _TREE.fullmatch(url)
    return Digest(GIT_TREE, match[1]) if match else None


_PRESETS = r"""
julia: # JULIA_PKG_SERVER=http://MIRROR/julia
  - &julia
    name: -files
    path_prefix: /julia
    strip_prefix: true
    upstream: "https://pkg.julialang.org"
    ecosystem: julia # the git tree that a path names
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
    package=named_by(
        r".*/package/(?P<name>[0-9a-f-]{36})/(?P<version>[0-9a-f]+)",
    ),
    presets=_PRESETS,
    clients={"julia": _julia},
    knowledge=Files(of_url=digest_of),
    row=Row(
        clients="julia",
        at="`/julia`",
        checked="the git tree that each path names",
        changes="`registries`, `meta`",
    ),
)
