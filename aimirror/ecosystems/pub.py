"""pub.dev, for Dart and Flutter: which document names an archive's digest, and what it says.

Source: the Dart repository's "Hosted Pub Repository Specification Version 2".
"""

from __future__ import annotations

import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.json_text import member
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings.setting import Address, Setting, exported

_ARCHIVE = re.compile(r"(.*)/api/archives/(([a-zA-Z0-9_]+)-[^/]+\.tar\.gz)")


def _places(url: str) -> Places:
    match = _ARCHIVE.fullmatch(url)
    return [(f"{match[1]}/api/packages/{match[3]}", match[2])] if match else []


def digests(document: bytes) -> dict[str, Digest]:
    """What a package's document says of its archives, by file name."""
    table = {}
    versions = member(document, "versions")
    for version in versions if isinstance(versions, list) else ():
        release = version if isinstance(version, dict) else {}
        name = str(release.get("archive_url", "")).partition("?")[0].rpartition("/")[2]
        digest = parse("sha256", str(release.get("archive_sha256", "")))
        if name and digest is not None:
            table[name] = digest
    return table


_PRESETS = r"""
pub: # PUB_HOSTED_URL=http://MIRROR/pub
  - &pub
    name: -files
    path_prefix: /pub
    strip_prefix: true
    upstream: "https://pub.dev"
    ecosystem: pub # the archive_sha256 of the package's document
    pattern: '/api/archives/[^/]+\.tar\.gz$'
    strategy: parallel
    immutable: true
    cache_key_source: original
    reject_types: [text/html]
  - <<: *pub
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: {members: [archive_url]}
    cache: {ttl: 5m, stale_if_error: 7d}
"""


def _pub(mirror: Address) -> Setting:
    hosted = mirror.at("/pub")
    return exported(f"{hosted}/api/packages/path", PUB_HOSTED_URL=hosted)


WORLD = World(
    name="pub",
    package=named_by(
        r".*/api/archives/(?P<name>[a-zA-Z0-9_]+)-(?P<version>[^/]+)\.tar\.gz",
        r".*/api/packages/(?P<name>[a-zA-Z0-9_]+)",
    ),
    presets=_PRESETS,
    clients={"dart": _pub, "flutter": _pub},
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="dart, flutter",
        at="`/pub`",
        checked="`archive_sha256` of the package's document",
        changes="documents, 5 min",
    ),
)
