"""Go modules: what go is told, and the rules that serve it."""

from __future__ import annotations

import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
go: # GOPROXY=http://MIRROR/goproxy
  - &go
    name: -files
    path_prefix: /goproxy
    strip_prefix: true
    upstream: "https://proxy.golang.org"
    pattern: '/@v/v[0-9]+\.[0-9]+\.[0-9]+[^/]*\.(info|mod|zip)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *go
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


def _go(mirror: Address) -> Setting:
    proxy = mirror.at("/goproxy")
    return exported(f"{proxy}/golang.org/x/text/@v/list", GOPROXY=f"{proxy},direct")


def _spelled(name: str) -> str:
    """A module's path; in URLs "!x" stands for "X"."""
    return re.sub(r"!([a-z])", lambda match: match[1].upper(), name)


WORLD = World(
    name="go",
    package=named_by(
        r"https?://[^/]+/(?P<name>.+)/@v/(?P<version>[^/]+)\.(?:zip|mod|info)",
        r"https?://[^/]+/(?P<name>.+)/@(?:v/list|latest)",
        tidy=_spelled,
    ),
    presets=_PRESETS,
    clients={"go": _go},
    row=Row(
        clients="go",
        at="`/goproxy`",
        checked=(
            "go itself: go.sum and the checksum database, which passes through, speak of "
            "what is inside the zip"
        ),
        changes="`list`, `latest`, branches",
    ),
)
