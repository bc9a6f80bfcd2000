"""Alpine packages: what apk is told, and the rules that serve it."""

from __future__ import annotations

from aimirror.ecosystems.clients import Setting, whole
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


def _alpine(url: str) -> Setting:
    text = f"{url}/alpine/latest-stable/main\n{url}/alpine/latest-stable/community\n"
    return Setting("/etc/apk/repositories", text, whole(text))


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
