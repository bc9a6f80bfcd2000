"""vcpkg: what it downloads has a SHA-512 in the recipe, which it tells to a cache of assets.

Source: learn.microsoft.com/vcpkg/users/assetcaching.  By ``x-script`` it tells the asset's own URL,
too: the mirror fetches from there where a rule of it serves that host.  By ``x-azurl`` it tells the
digest alone: ``upstream`` is another cache of assets then.
"""

from __future__ import annotations

import re

from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.world import Row
from aimirror.forward.routes import served
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Desk, General, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, holding
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.settings.setting import Address, Setting, exported

#: Proxies on the way may make one slash of two.
_ASSET = re.compile(r"/([0-9a-fA-F]{128})/(https?):/{1,2}(.+)")


class Vcpkg(General):
    """Answers for an asset by its URL, where its bytes are what its digest says."""

    settled = True

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        below = route.path.removeprefix(route.rule.path_prefix)
        if below == "/here":  # for who wants to know whether it is here
            return Answer(status=200, body=b"assets by /SHA512/URL\n")
        match = _ASSET.fullmatch(below)
        if match is None or request.method not in ("GET", "HEAD"):
            return UNTAKEN
        url = f"{match[2]}://{match[3]}" + (f"?{request.query}" if request.query else "")
        home = served(mirror.rules, url)
        if home is None or home.rule.name == route.rule.name:
            return error_answer(404, "asset elsewhere", "no rule of this mirror serves its host")
        digest = Digest("sha512", match[1].lower())
        return await mirror.answer(request, holding(home, digest))


_PRESETS = r"""
vcpkg: # X_VCPKG_ASSET_SOURCES; with an upstream, a cache of assets that is asked by digest alone
  - name: ""
    path_prefix: /vcpkg
    strip_prefix: true
    upstream: "https://vcpkg.invalid" # there is none for all
    ecosystem: vcpkg # /vcpkg/SHA512/URL
    pattern: '/here$|/[0-9a-fA-F]{128}(/https?:/.+)?$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
    digest: {algorithm: sha512, from: path, pattern: '/([0-9a-fA-F]{128})$'}
"""


def _vcpkg(mirror: Address) -> Setting:
    url = f"{mirror.at('/vcpkg')}/{{sha512}}/{{url}}"
    sources = f'"clear;x-script,curl -fsSL {url} -o {{dst}}"'
    return exported(f"{mirror.at('/vcpkg')}/here", X_VCPKG_ASSET_SOURCES=sources)


WORLD = Coded(
    name="vcpkg",
    presets=_PRESETS,
    clients={"vcpkg": _vcpkg},
    make=lambda edges: Vcpkg(),
    row=Row(
        clients="vcpkg (its assets)",
        at="`/vcpkg/SHA512/URL`",
        checked="the SHA-512 in the path",
        changes="nothing",
    ),
)
