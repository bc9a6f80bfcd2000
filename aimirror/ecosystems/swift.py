"""Swift package registries: the document of a release names the digest of its archive.

Source: the Swift Package Registry Service Specification, sections 4.2.1 and 4.4.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.json_text import member
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings import json_file
from aimirror.settings.setting import Address, Setting

_ARCHIVE = re.compile(r"(.*/[A-Za-z0-9-]+/[A-Za-z0-9_-]+/[0-9][^/]*)\.zip")
#: The resource that is a release's archive.
_SOURCE = "source-archive"


def _places(url: str) -> Places:
    match = _ARCHIVE.fullmatch(url)
    return [(f"{match[1]}{form}", _SOURCE) for form in ("", ".json")] if match else []


def digests(document: bytes) -> dict[str, Digest]:
    """What the document of a release says of its archive."""
    resources = member(document, "resources")
    for each in resources if isinstance(resources, list) else ():
        if isinstance(each, dict) and each.get("name") == _SOURCE:
            digest = parse("sha256", str(each.get("checksum", "")))
            return {_SOURCE: digest} if digest is not None else {}
    return {}


_PRESETS = r"""
swift: # swift package-registry set http://MIRROR/swift --allow-insecure-http
  - &swift
    name: -files
    path_prefix: /swift
    strip_prefix: true
    upstream: "https://tuist.dev/api/registry/swift"
    ecosystem: swift # the checksum in the document of the release
    pattern: '/[A-Za-z0-9-]+/[A-Za-z0-9_-]+/[0-9][^/]*\.zip$'
    strategy: parallel
    immutable: true
    cache_key_source: original # registries lead to addresses that are signed anew each time
    reject_types: [text/html]
  - <<: *swift
    name: -manifests
    pattern: '/[0-9][^/]*/Package\.swift$'
    strategy: proxy
  - <<: *swift
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: {members: [url]}
    cache: {ttl: 5m, stale_if_error: 7d}
"""


def _swift(mirror: Address) -> Setting:
    url = mirror.at("/swift")

    def change(document: dict[str, Any]) -> None:
        registries = document.setdefault("registries", {})
        if not isinstance(registries, dict):
            raise ValueError("'registries' is no object in it")
        default = registries.get("[default]")
        known = default if isinstance(default, dict) else {"supportsAvailability": False}
        registries["[default]"] = {**known, "url": url}
        document.setdefault("version", 1)

    entry = {"[default]": {"supportsAvailability": False, "url": url}}
    text = json.dumps({"registries": entry, "version": 1}, indent=2) + "\n"
    return Setting(
        "~/.swiftpm/configuration/registries.json",
        text,
        json_file.edited(change),
        "for packages named by URLs, too: swift build --replace-scm-with-registry",
        probe=f"{url}/apple/swift-log",
    )


WORLD = World(
    name="swift",
    package=named_by(
        r".*/(?P<name>[A-Za-z0-9-]+/[A-Za-z0-9_-]+)/(?P<version>[0-9][^/]*?)(?:\.zip|\.json|/.+)?",
    ),
    presets=_PRESETS,
    clients={"swift": _swift},
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="swift (SwiftPM)",
        at="`/swift`",
        checked="the checksum in the document of a release, and the registry's `Digest`",
        changes="releases, 5 min",
    ),
)
