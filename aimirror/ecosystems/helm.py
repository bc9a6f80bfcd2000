"""Helm: index.yaml names the charts of a repository, where they are and what they hash to.

Source: the Helm documentation, "The Chart Repository Guide".
"""

from __future__ import annotations

import re

from aimirror.ecosystems.world import Files, Places, Reading, Row, World
from aimirror.routing.digests import Digest

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
    found: dict[str, Digest] = {}
    names: list[str] = []
    digest, depth = "", 0
    for line in [*index.decode("utf-8", "replace").splitlines(), "- "]:
        item = _ITEM.match(line)
        if line == "- " or (item is not None and (not depth or len(item[1]) + 1 <= depth)):
            found |= {name: Digest("sha256", digest) for name in names if digest}
            digest, names, depth = "", [], len(item[1]) + 1 if item is not None else 0
        told = _DIGEST.match(line)
        if told is not None:
            digest = told[1]
        url = _URL.match(line)
        if url is not None:
            names.append(url[1].rpartition("/")[2])
    return found


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

WORLD = World(
    name="helm",
    presets=_PRESETS,
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="helm",
        at="`/helm`",
        checked="the digests in index.yaml",
        changes="index.yaml, its `urls` rewritten",
    ),
)
