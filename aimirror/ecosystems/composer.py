"""Composer, for PHP: metadata says where archives are, and of some what they hash to.

Source: the Composer documentation, "Repositories".  Packagist leads to GitHub's archives of a
commit, whose bytes GitHub does not promise: there the path names the commit.  Other repositories
(Satis) put archives beside their metadata, with a SHA-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.json_text import members
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings import json_file
from aimirror.settings.setting import Address, Setting

#: ``…/vendor/name/archive``, as Satis and others lay them out.
_ARCHIVE = re.compile(r".*/([a-z0-9_.-]+)/([a-z0-9_.-]+)/([^/]+\.(?:zip|tar|tar\.gz|tgz))")


def _places(url: str) -> Places:
    match = _ARCHIVE.fullmatch(url)
    if match is None:
        return
    for form in ("", "~dev"):
        yield f"/p2/{match[1]}/{match[2]}{form}.json", match[3]
    yield "/packages.json", match[3]


def digests(document: bytes) -> dict[str, Digest]:
    """What metadata says of archives, by file name."""
    table = {}
    for dist in _dists(members(document, "packages")):
        name = str(dist.get("url", "")).partition("?")[0].rpartition("/")[2]
        digest = parse("sha1", str(dist.get("shasum") or ""))
        if name and digest is not None:
            table[name] = digest
    return table


def _dists(packages: dict[str, Any]) -> Iterator[dict[str, object]]:
    """The versions of a package are a list, or an object by version."""
    for versions in packages.values():
        each = versions.values() if isinstance(versions, dict) else versions
        for version in each if isinstance(versions, dict | list) else ():
            dist = version.get("dist") if isinstance(version, dict) else None
            if isinstance(dist, dict):
                yield dist


_PRESETS = r"""
composer: # repositories: [{type: composer, url: http://MIRROR/composer}, {packagist.org: false}]
  - &composer
    name: -files
    path_prefix: /composer
    strip_prefix: true
    upstream: "https://repo.packagist.org"
    ecosystem: composer # the shasum of metadata, where it has one
    pattern: '\.(zip|tar|tar\.gz|tgz)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *composer
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: # where metadata and archives are
      members: [url, metadata-url, providers-url, providers-lazy-url]
    cache: {ttl: 5m, stale_if_error: 7d}
"""


#: Keeps composer from asking packagist.org as well.
_NO_OTHER = {"packagist.org": False}


def _composer(mirror: Address) -> Setting:
    url = mirror.at("/composer")
    own = {"type": "composer", "url": url}

    def change(document: dict[str, Any]) -> None:
        listed = document.get("repositories") or []
        if isinstance(listed, dict):
            rest = {k: v for k, v in listed.items() if k not in ("aimirror", "packagist.org")}
            document["repositories"] = {"aimirror": own, **rest, "packagist.org": False}
        elif isinstance(listed, list):
            others = [each for each in listed if each not in (own, _NO_OTHER)]
            document["repositories"] = [own, *others, _NO_OTHER]
        else:
            raise ValueError("'repositories' is no list in it")
        if mirror.plain:
            document["config"] = {**(document.get("config") or {}), "secure-http": False}

    merges = json_file.edited(change)
    probe = f"{url}/packages.json"
    return Setting("~/.config/composer/config.json", merges(None), merges, probe=probe)


WORLD = World(
    name="composer",
    package=named_by(
        r".*/p2/(?P<name>[^/]+/[^/~]+)(?:~dev)?\.json",
        r".*/repos/(?P<name>[^/]+/[^/]+)/(?:zip|tar)ball/(?P<version>[^/]+)",
    ),
    presets=_PRESETS,
    clients={"composer": _composer},
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="composer",
        at="`/composer`, archives at `/github-api`",
        checked="sha1 of metadata where it has one; GitHub's archives have none",
        changes="metadata, 5 min",
    ),
)
