"""Cargo's sparse index: where a crate's checksum is written.

Source: The Cargo Book, "Registry Index".
"""

from __future__ import annotations

import re
from typing import Any

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.json_text import parse_json
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings import toml
from aimirror.settings.setting import Address, Setting

_DOWNLOAD = re.compile(r".+/([A-Za-z0-9_-]+)/([^/]+)/download")
_CRATE = re.compile(r".+/([A-Za-z0-9_-]+)/\1-([0-9][^/]*)\.crate")


def crate(url: str) -> tuple[str, str]:
    """Name and version of a crate's URL, else two ""."""
    match = _DOWNLOAD.fullmatch(url) or _CRATE.fullmatch(url)
    return (match[1], match[2]) if match else ("", "")


def index_path(name: str) -> str:
    """The path of a crate's file in an index."""
    lowered = name.lower()
    if len(lowered) < 4:
        middle = f"/{len(lowered)}" + (f"/{lowered[0]}" if len(lowered) == 3 else "")
    else:
        middle = f"/{lowered[:2]}/{lowered[2:4]}"
    return f"{middle}/{lowered}"


def _places(url: str) -> Places:
    name, version = crate(url)
    return [(index_path(name), version)] if name else []


def digests(lines: bytes) -> dict[str, Digest]:
    """What a crate's index file says of its versions."""
    table = {}
    for line in lines.splitlines():
        try:
            value = parse_json(line)
        except ValueError:
            continue
        digest = parse("sha256", str(value.get("cksum", ""))) if isinstance(value, dict) else None
        if digest is not None:
            table[str(value.get("vers", ""))] = digest
    return table


_PRESETS = r"""
cargo: # registry = "sparse+http://MIRROR/crates/"
  - &files
    name: -files
    path_prefix: /crates-files
    strip_prefix: true
    upstream: "https://static.crates.io/crates"
    ecosystem: cargo # the checksum in the index
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - &index
    <<: *files
    name: ""
    path_prefix: /crates
    upstream: "https://index.crates.io"
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: &links # config.json says where files are
      content_types: [json, text/plain, octet-stream]
      targets: ["https://static.crates.io/crates"]
    cache: {ttl: 1m, stale_if_error: 7d}

# Another registry takes both of these, each with an upstream and a path_prefix of its own. Where
# files have another host than the index, content_rewrite.targets of the index names their place.
cargo-files: [*files]
cargo-index:
  - <<: *index
    content_rewrite: {<<: *links, targets: []}
"""


def _cargo(mirror: Address) -> Setting:
    index = f"{mirror.at('/crates')}/"

    def change(document: Any) -> None:
        source = toml.table(document, "source")
        for name, key, value in (
            ("crates-io", "replace-with", "aimirror"),
            ("aimirror", "registry", f"sparse+{index}"),
        ):
            if name not in source:
                source[name] = toml.new_table()
            source[name][key] = value

    text = (
        '[source.crates-io]\nreplace-with = "aimirror"\n\n'
        f'[source.aimirror]\nregistry = "sparse+{index}"\n'
    )
    return Setting(
        "~/.cargo/config.toml",
        text,
        toml.edited(change),
        probe=f"{index}config.json",
        instead=("~/.cargo/config",),
    )


WORLD = World(
    name="cargo",
    package=named_by(
        r".*/(?P<name>[A-Za-z0-9_-]+)/(?P<version>[^/]+)/download",
        r".*/(?P<name>[A-Za-z0-9_-]+)/(?P=name)-(?P<version>[0-9][^/]*)\.crate",
        r"https?://[^/]+/(?:.*/)?(?:[12]|3/[^/]|[^/]{2}/[^/]{2})/(?P<name>[a-z0-9_-]+)",
    ),
    presets=_PRESETS,
    clients={"cargo": _cargo},
    knowledge=Files(places=_places, reading=Reading(digests, b"\n")),
    row=Row(
        clients="cargo",
        at="`/crates` (files at `/crates-files`)",
        checked="sha256 of the index",
        changes="the index, `config.json` rewritten",
    ),
)
