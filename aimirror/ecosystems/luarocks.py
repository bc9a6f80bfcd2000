"""LuaRocks: what luarocks is told, and the rules that serve rocks; no index names digests."""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings.merging import fresh
from aimirror.settings.setting import Address, Setting

_PRESETS = r"""
luarocks: # luarocks install --only-server http://MIRROR/luarocks NAME
  - &luarocks
    name: -files
    path_prefix: /luarocks
    strip_prefix: true
    upstream: "https://luarocks.org"
    pattern: '/[^/]+-[0-9][^/]*-[0-9]+\.(rockspec|[a-z0-9_-]+\.rock)$'
    strategy: parallel
    immutable: '-[0-9]+\.(rockspec|[a-z0-9_-]+\.rock)$'
    reject_types: [text/html]
  - <<: *luarocks
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 5m, stale_if_error: 7d}
"""


def _luarocks(mirror: Address) -> Setting:
    url = mirror.at("/luarocks")
    text = f'rocks_servers = {{ "{url}" }}\n'
    note = "for another Lua than 5.4: the file of its version"
    return Setting(
        "~/.luarocks/config-5.4.lua", text, fresh(text), note, probe=f"{url}/manifest-5.4"
    )


WORLD = World(
    name="luarocks",
    package=named_by(
        r".*/(?P<name>[^/]+)-(?P<version>[^/-]+-[0-9]+)\.(?:rockspec|[^/]+\.rock)",
    ),
    presets=_PRESETS,
    clients={"luarocks": _luarocks},
    row=Row(
        clients="luarocks",
        at="`/luarocks`",
        checked="luarocks, where a rockspec has an `md5`",
        changes="manifests, 5 min",
    ),
)
