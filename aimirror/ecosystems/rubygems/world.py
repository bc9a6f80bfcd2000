"""RubyGems: gems by the compact index, for which the mirror asks where the client does not."""

from __future__ import annotations

import re
from typing import Any

from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.rubygems import index as rubygems
from aimirror.ecosystems.world import Row
from aimirror.http.headers import Headers
from aimirror.http.urls import canonical
from aimirror.indexes.indexed import Indexed
from aimirror.indexes.reading import Files, Reading
from aimirror.interfaces import ILibrary, UpstreamError
from aimirror.mirror.ecosystem import ClientRequest, Desk, Untaken
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer
from aimirror.settings import lines, yaml
from aimirror.settings.setting import Address, Setting

#: Bytes of a gem's file of the compact index: a line for each version.
MOST_INFO = 2 << 20

_FILES = Files(places=rubygems.gem, reading=Reading(rubygems.digests, b"\n"), asks=MOST_INFO)


class RubyGems(Indexed):
    """RubyGems: the checksum in the gem's file of the compact index, which gem does not look at."""

    def __init__(self, library: ILibrary) -> None:
        super().__init__(library, _FILES)

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem.

        gem looks for the repository's front page to decide which index to use.  Nobody stores
        that page, so while the upstream is down, a stored index of the new form speaks for it.
        """
        if request.method != "HEAD" or not route.urls[0].endswith("/"):
            return await super().take(request, route, mirror)
        try:
            return await mirror.answer(request, route)
        except UpstreamError:
            if any(True for _ in self.library.stored_below(canonical(route.urls[0] + "info/"))):
                return Answer(
                    status=200, headers=Headers([("Cache-Control", "no-store")]), body=b""
                )
            raise


_PRESETS = r"""
rubygems: # gem sources --add http://MIRROR/rubygems/
  - &rubygems
    name: -files
    path_prefix: /rubygems
    strip_prefix: true
    upstream: "https://rubygems.org"
    ecosystem: rubygems # sha256 of the compact index, where it was asked for
    pattern: '/(gems/[^/]+\.gem|quick/Marshal\.4\.8/[^/]+\.rz)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *rubygems
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


_OFFICIAL = re.compile(r"https?://rubygems\.org/?")


def _rubygems(mirror: Address) -> Setting:
    own = f"{mirror.at('/rubygems')}/"

    def change(document: Any) -> None:
        listed = yaml.listed(document, ":sources")
        if own in listed:
            return
        official = [n for n, each in enumerate(listed) if _OFFICIAL.fullmatch(str(each))]
        for number in reversed(official):
            del listed[number]
        listed.insert(official[0] if official else 0, own)

    note = "for Bundler: aimirror setup bundler"
    text = f":sources:\n- {own}\n"
    return Setting("~/.gemrc", text, yaml.edited(change), note, probe=f"{own}names")


def _bundler(mirror: Address) -> Setting:
    own = mirror.at("/rubygems")
    values = {"BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/": f'"{own}"'}
    merges = lines.keys(values, separator=": ", comments="#-")
    text = "---\n" + merges(None)
    return Setting(
        "~/.bundle/config",
        text,
        lambda before: merges(before) if before and before.strip() else text,
        "Gemfiles stay as they are",
        probe=f"{own}/names",
    )


WORLD = Coded(
    name="rubygems",
    package=named_by(
        r".*/gems/(?P<name>[^/]+?)-(?P<version>[0-9][^/-]*)(?:-[^/]+)?\.gem",
        r".*/info/(?P<name>[^/]+)",
    ),
    presets=_PRESETS,
    clients={"rubygems": _rubygems, "bundler": _bundler},
    make=lambda edges: RubyGems(edges.library),
    row=Row(
        clients="gem, Bundler",
        at="`/rubygems`",
        checked=("sha256 of the compact index, for which the mirror asks if the client did not"),
        changes="versions, info, the old indexes",
    ),
)
