"""Helm: index.yaml names the charts of a repository, where they are and what they hash to.

Source: the Helm documentation, "The Chart Repository Guide".
"""

from __future__ import annotations

import re
from typing import Any

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest
from aimirror.settings import yaml
from aimirror.settings.setting import Address, Setting

_CHART = re.compile(r".+/[^/]+\.tgz")
#: Folders above a chart that may have the index.
_MOST_ABOVE = 4
_ITEM = re.compile(r"^( *)- (?=\S)")
_DIGEST = re.compile(r"^ *(?:- )?digest: ['\"]?(?:sha256:)?([0-9a-f]{64})['\"]?\s*$")
_URL = re.compile(r"^ *- ['\"]?([^\s'\"?]+\.tgz)(?:\?[^\s'\"]*)?['\"]?\s*$")


def _places(url: str) -> Places:
    if _CHART.fullmatch(url) is None:
        return
    folder, _, name = url.rpartition("/")
    for _ in range(_MOST_ABOVE):
        if folder.endswith(":/") or not folder:
            return
        yield f"{folder}/index.yaml", name
        folder = folder.rpartition("/")[0]


def digests(index: bytes) -> dict[str, Digest]:
    """What index.yaml, as Helm and others write it, says of charts, by file name.

    A chart's version is an item of a list, its digest and its URLs are below that.
    """
    table: dict[str, Digest] = {}
    names: list[str] = []
    digest, depth = "", 0
    for line in [*index.decode("utf-8", "replace").splitlines(), "- "]:
        item = _ITEM.match(line)
        if line == "- " or (item is not None and (not depth or len(item[1]) + 1 <= depth)):
            table |= {name: Digest("sha256", digest) for name in names if digest}
            digest, names, depth = "", [], len(item[1]) + 1 if item is not None else 0
        match = _DIGEST.match(line)
        if match is not None:
            digest = match[1]
        url = _URL.match(line)
        if url is not None:
            names.append(url[1].rpartition("/")[2])
    return table


_PRESETS = r"""
helm: # helm repo add NAME http://MIRROR/helm; another upstream and path_prefix for each repository
  - &helm
    name: -files
    path_prefix: /helm
    strip_prefix: true
    upstream: "https://charts.jetstack.io"
    ecosystem: helm # the digests in index.yaml
    pattern: '\.tgz(\.prov)?$'
    strategy: parallel
    immutable: '\.tgz$'
    reject_types: [text/html]
  - <<: *helm
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: # where charts are
      content_types: [yaml, json, text/plain, octet-stream]
      members: [urls]
    cache: {ttl: 5m, stale_if_error: 7d}
"""


#: The repository that the preset stands for: what it is called, and where it is.
_NAME, _UPSTREAM = "jetstack", "https://charts.jetstack.io"


def _helm(mirror: Address) -> Setting:
    url = mirror.at("/helm")

    def change(document: Any) -> None:
        document.setdefault("apiVersion", "")
        document.setdefault("generated", "0001-01-01T00:00:00Z")
        repositories = yaml.listed(document, "repositories")
        for each in repositories:
            named = each.get("name") if isinstance(each, dict) else None
            if named == _NAME or (
                named and str(each.get("url", "")).rstrip("/") in (_UPSTREAM, url)
            ):
                each["url"] = url
                return
        repositories.append({"name": _NAME, "url": url})

    text = (
        'apiVersion: ""\ngenerated: "0001-01-01T00:00:00Z"\nrepositories:\n'
        f"  - name: {_NAME}\n    url: {url}\n"
    )
    return Setting(
        "~/.config/helm/repositories.yaml",
        text,
        yaml.edited(change),
        "then helm repo update; each further repository is a rule and an entry of its own",
        probe=f"{url}/index.yaml",
        instead=("~/Library/Preferences/helm/repositories.yaml",),
    )


WORLD = World(
    name="helm",
    package=named_by(
        r".*/(?P<name>[^/]+?)-(?P<version>v?[0-9]+\.[^/]+)\.tgz",
    ),
    presets=_PRESETS,
    clients={"helm": _helm},
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="helm",
        at="`/helm`",
        checked="the digests in index.yaml",
        changes="index.yaml, its `urls` rewritten",
    ),
)
