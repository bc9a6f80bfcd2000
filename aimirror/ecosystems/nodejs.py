"""Node.js itself: releases and headers, for nvm, fnm, node-gyp and whoever loads archives."""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.indexes.sums import sha256_sums
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
nodejs: # NVM_NODEJS_ORG_MIRROR=http://MIRROR/nodejs
  - &nodejs
    name: -files
    path_prefix: /nodejs
    strip_prefix: true
    upstream: "https://nodejs.org/dist"
    ecosystem: nodejs # sha256 of SHASUMS256.txt
    pattern: '/v[0-9.]+/.+\.(gz|xz|zip|7z|exe|msi|pkg|lib)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *nodejs
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 10m, stale_if_error: 7d}
"""


def _places(url: str) -> Places:
    folder, _, name = url.rpartition("/")
    yield f"{folder}/SHASUMS256.txt", name


def _node(mirror: Address) -> Setting:
    dist = mirror.at("/nodejs")
    return exported(
        f"{dist}/index.json",
        NVM_NODEJS_ORG_MIRROR=dist,
        FNM_NODE_DIST_MIRROR=dist,
        npm_config_disturl=dist,
    )


WORLD = World(
    name="nodejs",
    package=named_by(
        r".*/(?P<version>v[0-9]+\.[0-9.]+)/(?P<name>node)-.+",
    ),
    presets=_PRESETS,
    clients={"node": _node},
    knowledge=Files(places=_places, reading=Reading(sha256_sums, b"\n")),
    row=Row(
        clients="nvm, fnm, node-gyp",
        at="`/nodejs`",
        checked="sha256 of SHASUMS256.txt",
        changes="index.json, index.tab, `latest`",
    ),
)
