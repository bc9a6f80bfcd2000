"""NuGet: a package's registration leads to its entry of the catalog, which names its digest.

Source: learn.microsoft.com/nuget/api, "Package Metadata" (registration leaf) and "Catalog"
(package details: ``packageHash``).  Clients read neither, so the mirror asks for both.
"""

from __future__ import annotations

import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.json_text import member, members
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings.setting import Address, Setting

_PACKAGE = re.compile(r"(.*)/v3-flatcontainer/([^/]+)/([^/]+)/\2\.\3\.nupkg")
#: The registrations that have all packages.
_REGISTRATIONS = "v3/registration5-gz-semver2"
#: Bytes of a package's entry of the catalog, which lists the files in it.
MOST_DETAILS = 4 << 20


def _places(url: str) -> Places:
    match = _PACKAGE.fullmatch(url)
    if match is None:
        return []
    name = f"{match[2]}/{match[3]}"
    return [(f"{match[1]}/{_REGISTRATIONS}/{name}.json", name.lower())]


_HASHES = ("sha512", "sha256")


def digests(document: bytes) -> dict[str, Digest]:
    """What the catalog's entry of a package says, by ID and version."""
    details = members(document)
    algorithm = str(details.get("packageHashAlgorithm", "")).lower()
    digest = parse(algorithm, str(details.get("packageHash", ""))) if algorithm in _HASHES else None
    if digest is None:
        return {}
    version = str(details.get("version", "")).partition("+")[0]
    return {f"{details.get('id', '')}/{version}".lower(): digest}


def entry_url(leaf: bytes) -> str:
    """Where the catalog's entry is that a package's registration was made of; "" without one."""
    url = member(leaf, "catalogEntry")
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""


_PRESETS = r"""
nuget: # http://MIRROR/nuget/v3/index.json
  - &nuget
    name: -files
    path_prefix: /nuget
    strip_prefix: true
    upstream: "https://api.nuget.org"
    ecosystem: nuget # the sha512 of the catalog
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


#: The source that dotnet writes into a new file of settings.
_OFFICIAL = re.compile(r'<add\s+key="nuget\.org"[^>]*/>')


def _nuget(mirror: Address) -> Setting:
    index = f"{mirror.at('/nuget')}/v3/index.json"
    plain = ' allowInsecureConnections="true"' if mirror.plain else ""
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<configuration>\n  <packageSources>\n'
        f'    <clear />\n    <add key="aimirror" value="{index}"{plain} />\n'
        "  </packageSources>\n</configuration>\n"
    )
    source = f'<add key="nuget.org" value="{index}" protocolVersion="3"{plain} />'

    def merge(before: str | None) -> str:
        if before is None or not before.strip() or before == text:
            return text
        if not _OFFICIAL.search(before):
            raise ValueError(
                "it has no source nuget.org; add by hand what is printed without --write"
            )
        return _OFFICIAL.sub(lambda _: source, before, count=1)

    return Setting("~/.nuget/NuGet/NuGet.Config", text, merge, probe=index)


WORLD = World(
    name="nuget",
    package=named_by(
        r".*/(?P<name>[^/]+)/(?P<version>[^/]+)/(?P=name)\.(?P=version)\.nupkg",
        r".*/v3(?:-[^/]+)?/[^/]+/(?P<name>[^/]+)/index\.json",
    ),
    presets=_PRESETS,
    clients={"nuget": _nuget},
    knowledge=Files(places=_places, reading=Reading(digests), asks=MOST_DETAILS, leads=entry_url),
    row=Row(
        clients="dotnet, nuget",
        at="`/nuget/v3/index.json`",
        checked="sha512 of the catalog, for which the mirror asks",
        changes="all but packages, 5 min; links rewritten",
    ),
)
