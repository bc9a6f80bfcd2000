"""Rust's toolchains, for rustup; crates are ``cargo``.

Source: rustup's book, "Environment variables"; each file has its ``.sha256`` beside it.
"""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.indexes.sums import sha256_sums
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
rust: # RUSTUP_DIST_SERVER=http://MIRROR/rust RUSTUP_UPDATE_ROOT=http://MIRROR/rust/rustup
  - &rust
    name: -files # channels of a day, and releases of rustup
    path_prefix: /rust
    strip_prefix: true
    upstream: "https://static.rust-lang.org"
    ecosystem: rust # the .sha256 beside each file
    pattern: '/dist/\d{4}-\d\d-\d\d/|/rustup/archive/'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *rust
    name: ""
    pattern: "^/"
    immutable: false
    reject_types: []
    cache: {ttl: 5m, stale_if_error: 7d}
"""


def _places(url: str) -> Places:
    if not url.endswith((".sha256", ".asc")):
        yield f"{url}.sha256", url.rpartition("/")[2]


def _rustup(mirror: Address) -> Setting:
    base = mirror.at("/rust")
    return exported(
        f"{base}/rustup/release-stable.toml",
        RUSTUP_DIST_SERVER=base,
        RUSTUP_UPDATE_ROOT=f"{base}/rustup",
    )


WORLD = World(
    name="rust",
    package=named_by(
        r".*/dist/(?:[0-9-]+/)?(?P<name>[a-z-]+?)-(?P<version>[0-9][^/-]*|nightly|beta|stable)-[^/]+",
    ),
    presets=_PRESETS,
    clients={"rustup": _rustup},
    knowledge=Files(places=_places, reading=Reading(sha256_sums, b"\n")),
    row=Row(
        clients="rustup",
        at="`/rust`",
        checked="the `.sha256` beside a file; rustup itself by the channel's manifest",
        changes="channels (`channel-rust-stable.toml`)",
    ),
)
