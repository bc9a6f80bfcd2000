"""ModelScope: models and datasets of its hub, for the modelscope library.

Source: modelscope_hub, ``config.py`` (MODELSCOPE_ENDPOINT) and ``_legacy_api.py`` (the paths).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.json_text import member
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
modelscope: # MODELSCOPE_ENDPOINT=http://MIRROR
  - &modelscope
    name: -files # the file is named in the query; small ones come with cookies that mean nothing
    upstream: "https://www.modelscope.cn"
    pattern: '^/api/v1/(models|datasets)/[^/]+/[^/]+/repo$'
    strategy: parallel
    ecosystem: modelscope # sha256 of the hub's list of files
    public: true # one copy for users with and without a token
    cache_key_source: original
    cache: {ttl: 1m, ignore_upstream: true, stale_if_error: 7d}
  - <<: *modelscope
    name: -resolved
    pattern: '^/models/[^/]+/[^/]+/resolve/'
  - <<: *modelscope
    name: ""
    pattern: '^/(api/v1|openapi/v1)/'
    strategy: proxy
    cache: {ttl: 1m, stale_if_error: 7d}
"""


def _places(url: str) -> Places:
    """The list of a repository's files, as the library asks for it before it fetches any."""
    address, _, query = url.partition("?")
    parameters = parse_qs(query)
    if address.endswith("/repo") and "FilePath" in parameters:
        revision = parameters.get("Revision", ["master"])[0]
        yield f"{address}/files?Revision={revision}&Recursive=True", parameters["FilePath"][0]


def digests(document: bytes) -> dict[str, Digest]:
    """What a list of files says of them, by path."""
    return dict(_digests(document))


def _digests(document: bytes) -> Iterator[tuple[str, Digest]]:
    files = member(document, "Data", "Files")
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict):
            digest = parse("sha256", str(file.get("Sha256", "")))
            if digest is not None:
                yield str(file.get("Path", "")), digest


def _modelscope(mirror: Address) -> Setting:
    probe = f"{mirror.url}/api/v1/models/Qwen/Qwen2.5-0.5B"
    return exported(probe, MODELSCOPE_ENDPOINT=mirror.url)


WORLD = World(
    name="modelscope",
    package=named_by(
        r".*/(?P<name>[^/]+/[^/]+)/resolve/(?P<version>[^/]+)/.+",
        r".*/api/v1/(?:models|datasets)/(?P<name>[^/]+/[^/]+)(?:/.*)?",
    ),
    presets=_PRESETS,
    clients={"modelscope": _modelscope},
    knowledge=Files(places=_places, reading=Reading(digests)),
    row=Row(
        clients="modelscope",
        at="`/api/v1/models/…`, `/api/v1/datasets/…`",
        checked="sha256 of the hub's list of files",
        changes="files of a branch, asked about again after a minute",
    ),
)
