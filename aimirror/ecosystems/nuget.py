"""NuGet: what clients are told, and the rules that serve packages, which nuget.org signs."""

from __future__ import annotations

from aimirror.ecosystems.clients import Address, Setting
from aimirror.ecosystems.formats import fresh
from aimirror.ecosystems.world import Row, World

_PRESETS = r"""
nuget: # http://MIRROR/nuget/v3/index.json
  - &nuget
    name: -files
    path_prefix: /nuget
    strip_prefix: true
    upstream: "https://api.nuget.org"
    pattern: '/v3-flatcontainer/[^/]+/[^/]+/[^/]+\.(nupkg|snupkg|nuspec)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *nuget
    name: "" # each document names the next by its whole URL
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: {members: ["@id", packageContent, registration, items, parent, catalogEntry]}
    cache: {ttl: 5m, stale_if_error: 7d}
"""


def _nuget(mirror: Address) -> Setting:
    index = f"{mirror.at('/nuget')}/v3/index.json"
    plain = ' allowInsecureConnections="true"' if mirror.plain else ""
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<configuration>\n  <packageSources>\n'
        f'    <clear />\n    <add key="aimirror" value="{index}"{plain} />\n'
        "  </packageSources>\n</configuration>\n"
    )
    return Setting("~/.nuget/NuGet/NuGet.Config", text, fresh(text), probe=index)


WORLD = World(
    name="nuget",
    presets=_PRESETS,
    clients={"nuget": _nuget},
    row=Row(
        clients="dotnet, nuget",
        at="`/nuget/v3/index.json`",
        checked="the client, by the package's signature",
        changes="all but packages, 5 min; links rewritten",
    ),
)
