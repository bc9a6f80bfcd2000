"""Homebrew: what brew is told, and the rules that serve it."""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
homebrew: # HOMEBREW_ARTIFACT_DOMAIN=http://MIRROR/homebrew HOMEBREW_API_DOMAIN=http://MIRROR/homebrew-api
  - &homebrew
    name: -bottles # the path holds the sha256
    path_prefix: /homebrew
    strip_prefix: true
    upstream: "https://ghcr.io"
    strategy: parallel
    cache: &homebrew-cache {ttl: 5m, stale_if_error: 7d}
  - name: -api
    path_prefix: /homebrew-api
    strip_prefix: true
    upstream: "https://formulae.brew.sh/api"
    cache: *homebrew-cache
"""


def _brew(mirror: Address) -> Setting:
    api = mirror.at("/homebrew-api")
    return exported(
        f"{api}/formula/wget.json",
        HOMEBREW_ARTIFACT_DOMAIN=mirror.at("/homebrew"),
        HOMEBREW_API_DOMAIN=api,
    )


WORLD = World(
    name="homebrew",
    package=named_by(
        r".*/v2/homebrew/[^/]+/(?P<name>.+)/manifests/(?P<version>[^/:]+)",
        r".*/v2/homebrew/[^/]+/(?P<name>.+)/(?:manifests|blobs)/[^/]+",
    ),
    presets=_PRESETS,
    clients={"homebrew": _brew},
    row=Row(
        clients="Homebrew",
        at="`/homebrew`, `/homebrew-api`",
        checked="bottles by their path",
        changes="the API",
    ),
)
