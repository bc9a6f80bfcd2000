"""JSR, for Deno: each version's manifest names the digests of its files.

Source: jsr.io/docs/api, "Registry API".
"""

from __future__ import annotations

import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.json_text import members
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings.setting import Address, Setting, exported

_FILE = re.compile(r"(.*/@[^/]+/[^/]+)/([0-9][^/]*)(/.+)")


def _places(url: str) -> Places:
    match = _FILE.fullmatch(url)
    return [(f"{match[1]}/{match[2]}_meta.json", match[3])] if match else []


def digests(document: bytes) -> dict[str, Digest]:
    """What a version's manifest says of its files, by path."""
    table = {}
    for path, file in members(document, "manifest").items():
        checksum = str(file.get("checksum", "")) if isinstance(file, dict) else ""
        digest = parse("sha256", checksum.removeprefix("sha256-"))
        if digest is not None:
            table[path] = digest
    return table


_PRESETS = r"""
jsr: # JSR_URL=http://MIRROR/jsr/
  - &jsr
    name: -files # a version is there for good, and so is its manifest
    path_prefix: /jsr
    strip_prefix: true
    upstream: "https://jsr.io"
    ecosystem: jsr # sha256 of the version's manifest
    pattern: '/@[^/]+/[^/]+/[0-9][^/]*(/.+|_meta\.json)$'
    strategy: parallel
    immutable: true
  - <<: *jsr
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    cache: {ttl: 5m, stale_if_error: 7d}
"""


def _deno(mirror: Address) -> Setting:
    jsr, npm = mirror.at("/jsr"), mirror.at("/registry/npm")
    return exported(f"{jsr}/@std/path/meta.json", JSR_URL=f"{jsr}/", NPM_CONFIG_REGISTRY=f"{npm}/")


WORLD = World(
    name="jsr",
    package=named_by(
        r".*/(?P<name>@[^/]+/[^/]+)/(?P<version>[0-9][^/_]*)(?:_meta\.json|/.+)",
        r".*/(?P<name>@[^/]+/[^/]+)/meta\.json",
    ),
    presets=_PRESETS,
    clients={"deno": _deno},
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="deno (JSR)",
        at="`/jsr`",
        checked="sha256 of the version's manifest",
        changes="`meta.json`",
    ),
)
