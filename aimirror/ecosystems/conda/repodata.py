"""conda channels: where the sha256 of a package is written.

Source: the conda documentation on channels; ``repodata.json`` lists every package of a subdir.
"""

from __future__ import annotations

import re
from typing import Any

from aimirror.http.headers import Headers
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings import toml, yaml
from aimirror.settings.setting import Address, Setting

#: The field in which rattler says what it expects.
EXPECTED = "x-expected-sha256"
_PACKAGES = (".conda", ".tar.bz2")
#: A package's name with the start of its record, or the sha256 in one.  A name has its bound, so
#: that quotes can't make the search long.
_RECORDS = re.compile(
    rb'"([^"\\]{1,256}\.(?:conda|tar\.bz2))"\s{0,16}:\s{0,16}\{'
    rb'|"sha256"\s{0,16}:\s{0,16}"([0-9a-f]{64})"'
)
_INDEXES = (
    "current_repodata.json",
    "repodata.json.zst",
    "current_repodata.json.zst",
    "repodata.json",
    "repodata.json.bz2",
)


def package(url: str) -> str:
    """The file name of a package's URL, "" for other URLs."""
    name = url.partition("?")[0].rpartition("/")[2]
    return name if name.endswith(_PACKAGES) else ""


def indexes(url: str) -> tuple[str, ...]:
    """The URLs of the indexes that may list a package and that can be read here."""
    folder = url.rpartition("/")[0]
    return tuple(f"{folder}/{name}" for name in _INDEXES)


def _places(url: str) -> Places:
    name = package(url)
    return ((index, name) for index in indexes(url)) if name else ()


def _expected(headers: Headers) -> Digest | None:
    return parse("sha256", headers.get(EXPECTED, "") or "")


def digests(repodata: bytes) -> dict[str, Digest]:
    """What a repodata.json, or a piece of it that ends behind a record, says of its packages.

    By file name.  Such a file may hold hundreds of megabytes, so it is searched, not parsed, from
    its start to its end: records are objects, each after its package's name.
    """
    table: dict[str, Digest] = {}
    name = b""
    for record in _RECORDS.finditer(repodata):
        if record[1] is not None:
            name = record[1]
        elif name:
            said = Digest("sha256", record[2].decode("ascii"))
            table[name.decode("utf-8", "replace")] = said
            name = b""
    return table


PRESETS = r"""
conda: # channels: [http://MIRROR/conda-forge]
  - &conda
    name: -files
    path_prefix: /conda-forge
    strip_prefix: true
    upstream: "https://conda.anaconda.org/conda-forge"
    ecosystem: conda
    pattern: '^(?!.*/(blob|resolve)/[^/]+/).*/[^/]+\.(conda|tar\.bz2)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *conda
    name: -shards
    pattern: '/[0-9a-f]{64}\.msgpack\.zst$'
    digest: {algorithm: sha256, from: path, pattern: '/([0-9a-f]{64})\.msgpack'}
  - <<: *conda
    name: -index # compressed by name, so nothing is gained by a coding
    pattern: '^(?!.*/(blob|resolve)/[^/]+/).*\.(zst|bz2|jlap)$'
    immutable: false
    cache: &conda-cache {ttl: 1m, negative_ttl: 1h, stale_if_error: 7d}
  - <<: *conda
    name: ""
    pattern: '^/(?!.*/(blob|resolve)/[^/]+/)'
    strategy: proxy
    immutable: false
    reject_types: []
    cache: *conda-cache
"""


#: Channels of conda.anaconda.org that the default configuration serves under their names.
_CHANNELS = ("conda-forge", "bioconda")
_OFFICIAL = "https://conda.anaconda.org/"


def conda(mirror: Address) -> Setting:
    """The channels of ~/.condarc."""
    packages = mirror.at("/pkgs")
    own = {name: mirror.at(f"/{name}") for name in _CHANNELS}
    defaults = [f"{packages}/main", f"{packages}/r"]

    def change(document: Any) -> None:
        if not document:
            document["channels"] = [own["conda-forge"]]
        for number, channel in enumerate(document.get("channels") or ()):
            name = str(channel).rstrip("/").removeprefix(_OFFICIAL)
            if str(channel).startswith(_OFFICIAL) and name in own:
                document["channels"][number] = own[name]
        document["default_channels"] = defaults
        # other channels go on standing there by name, and these two lead to the mirror
        custom = document.setdefault("custom_channels", {})
        custom.update({name: url.rpartition("/")[0] for name, url in own.items()})

    merges = yaml.edited(change)
    return Setting(
        "~/.condarc",
        merges(None),
        merges,
        probe=f"{own['conda-forge']}/noarch/repodata.json.zst",
        instead=("~/.config/conda/.condarc", "~/.conda/.condarc"),
    )


FILES = Files(places=_places, reading=Reading(digests, b"}"), expected=_expected)


def pixi(mirror: Address) -> Setting:
    """The mirrors of ~/.pixi/config.toml: channels keep their names in projects and lock files."""
    urls = {f"https://conda.anaconda.org/{name}": mirror.at(f"/{name}") for name in _CHANNELS}

    def change(document: Any) -> None:
        if "mirrors" not in document:
            document["mirrors"] = toml.new_table()
        for channel, url in urls.items():
            document["mirrors"][channel] = [url]

    lines = [f'"{channel}" = ["{url}"]' for channel, url in urls.items()]
    text = "\n".join(["[mirrors]", *lines]) + "\n"
    probe = f"{mirror.at('/conda-forge')}/noarch/repodata.json.zst"
    return Setting("~/.pixi/config.toml", text, toml.edited(change), probe=probe)
