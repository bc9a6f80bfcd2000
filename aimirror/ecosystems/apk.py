"""Alpine packages: what apk is told, and the rules that serve it."""

from __future__ import annotations

from aimirror.ecosystems.clients import Address, Machine, Setting, as_text
from aimirror.ecosystems.formats import sources
from aimirror.ecosystems.world import Row, World

_PRESETS = r"""
alpine: # http://MIRROR/alpine/v3.20/main in /etc/apk/repositories
  - &alpine
    name: -files
    path_prefix: /alpine
    strip_prefix: true
    upstream: "https://dl-cdn.alpinelinux.org/alpine"
    pattern: '/[^/]+-r[0-9]+\.apk$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *alpine
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


_OFFICIAL = r"https?://dl-(cdn|\d+)\.alpinelinux\.org/alpine"


def _alpine(mirror: Address) -> Setting:
    base = mirror.at("/alpine")

    def on(machine: Machine) -> Setting:
        version = ".".join(machine.get("VERSION_ID", "").split(".")[:2])
        branch = f"v{version}" if version and machine.get("ID") == "alpine" else "latest-stable"
        text = as_text([f"{base}/{branch}/{name}" for name in ("main", "community")])
        return Setting(
            "/etc/apk/repositories",
            text,
            sources.apk(_OFFICIAL, base, text),
            probe=f"{base}/{branch}/main/x86_64/APKINDEX.tar.gz",
            on=on,
        )

    return on({})


WORLD = World(
    name="apk",
    presets=_PRESETS,
    clients={"apk": _alpine},
    row=Row(
        clients="apk",
        at="`/alpine`",
        checked="the client: APKINDEX tells a digest of a part of the package only",
        changes="APKINDEX",
    ),
)
