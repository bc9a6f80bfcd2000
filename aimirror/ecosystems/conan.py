"""Conan 2: what conan is told, and the rules that serve recipes and packages by their revisions."""

from __future__ import annotations

from typing import Any

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings import json_file
from aimirror.settings.setting import Address, Setting

_PRESETS = r"""
conan: # conan remote add mirror http://MIRROR/conan
  - &conan
    name: -files # a revision is the digest of what it holds
    path_prefix: /conan
    strip_prefix: true
    upstream: "https://center2.conan.io"
    pattern: '/revisions/[0-9a-f]{32,64}/files(/[^/]+)?$'
    strategy: parallel
    immutable: '/revisions/[0-9a-f]{32,64}/files/[^/]+$'
    reject_types: [text/html]
  - <<: *conan
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


def _conan(mirror: Address) -> Setting:
    url = mirror.at("/conan")
    remote = {"name": "conancenter", "url": url, "verify_ssl": not mirror.plain}

    def change(document: dict[str, Any]) -> None:
        listed = document.get("remotes") or []
        if not isinstance(listed, list):
            raise ValueError("'remotes' is no list in it")
        names = [each.get("name") for each in listed if isinstance(each, dict)]
        if remote["name"] not in names:
            listed = [{"name": remote["name"]}, *listed]
        document["remotes"] = [
            {**each, **remote}
            if isinstance(each, dict) and each.get("name") == remote["name"]
            else each
            for each in listed
        ]

    merges = json_file.edited(change)
    return Setting("~/.conan2/remotes.json", merges(None), merges, probe=f"{url}/v1/ping")


WORLD = World(
    name="conan",
    package=named_by(
        r".*/v2/conans/(?P<name>[^/]+)/(?P<version>[^/]+)/.+",
    ),
    presets=_PRESETS,
    clients={"conan": _conan},
    row=Row(
        clients="conan 2",
        at="`/conan`",
        checked="the server's `X-Checksum-Sha256`, and conan by the revision's manifest",
        changes="`latest`, searches, lists of files",
    ),
)
