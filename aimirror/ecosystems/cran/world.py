"""CRAN: packages by PACKAGES, whose forms are of one generation, and the Archive."""

from __future__ import annotations

from attrs import evolve

from aimirror.ecosystems.cran import packages as cran
from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row
from aimirror.indexes.generations import changed_at
from aimirror.indexes.indexed import Indexed
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Declined, Desk, Lookup, Untaken
from aimirror.routing.rules import Route, route_of
from aimirror.server.answers import Answer
from aimirror.settings import lines
from aimirror.settings.setting import Address, Setting


def _places(url: str) -> Places:
    name = cran.package(url)
    return ((index, name) for index in cran.indexes(url)) if name else ()


_FILES = Files(places=_places, reading=Reading(cran.digests))


class Cran(Indexed):
    """CRAN: MD5 of PACKAGES, one generation of its forms, and the Archive for older versions."""

    def __init__(self, library: ILibrary) -> None:
        super().__init__(library, _FILES)

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        if request.method not in ("GET", "HEAD"):
            return UNTAKEN
        chosen = cran.chosen_by_client(route.path)
        if chosen:
            route = evolve(route, vary=("user-agent",))
        if _is_form(route):
            since = changed_at(mirror, route, cran.indexes(route.urls[0]))
            return await mirror.answer(request, route, not_before=since)
        if chosen:
            return await mirror.answer(request, route)
        if not cran.package(route.urls[0]):
            return UNTAKEN
        digest = await self.digest(request, route, mirror)
        first = route if digest is None else evolve(route, digest=digest)
        elsewhere = route_of(mirror.rules, cran.archived(route.path), "")
        if "/Archive/" in route.path or not isinstance(elsewhere, Route):
            return await mirror.answer(request, first)
        try:
            return await mirror.answer(request, first, declines=frozenset({404, 410}))
        except Declined:
            return await mirror.answer(request, elsewhere)

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """Each request for a form looks at the other ones first."""
        if _is_form(lookup.route):
            return evolve(answer, memo_until=0.0)
        return super().finish(lookup, answer)


def _is_form(route: Route) -> bool:
    """Whether it is PACKAGES in one of its forms."""
    return route.urls[0] in cran.indexes(route.urls[0])


_PRESETS = r"""
cran: # options(repos = "http://MIRROR"); with a path_prefix the paths below that
  - &index
    name: -index
    pattern: '^/(src|bin/[a-z]+)/(.+/)?(PACKAGES|Meta/)'
    upstream: "https://cran.r-project.org"
    ecosystem: cran # one generation of PACKAGES*; Archive
    cache: &cran-cache {ttl: 10m, stale_if_error: 7d}
  - &package
    <<: *index
    name: -package
    pattern: '^/(src/contrib|bin/(windows|macosx|linux))/.+'
    strategy: parallel
    immutable: '/[A-Za-z][A-Za-z0-9.]*_[0-9][^/]*\.(tar\.gz|zip|tgz)$'
    reject_types: [text/html]

bioconductor: # options(BioC_mirror = "http://MIRROR/bioconductor")
  - &bioc-index
    <<: *index
    path_prefix: /bioconductor
    strip_prefix: true
    upstream: "https://bioconductor.org"
    pattern: '/(src|bin/[a-z]+)/(.+/)?(PACKAGES|Meta/)'
  - &bioc-package
    <<: *package
    path_prefix: /bioconductor
    strip_prefix: true
    upstream: "https://bioconductor.org"
    pattern: '/(src/contrib|bin/[a-z]+)/.+'
  - <<: *bioc-index
    name: "" # config.yaml, which says which release is for which R
    pattern: "^/"

r-universe: # options(repos = "http://MIRROR/r-universe"); another upstream for another universe
  - &universe {<<: *bioc-index, path_prefix: /r-universe, upstream: "https://ropensci.r-universe.dev"}
  - {<<: *bioc-package, path_prefix: /r-universe, upstream: "https://ropensci.r-universe.dev"}
  - {<<: *universe, name: "", pattern: "^/"}

ppm: # options(repos = "http://MIRROR/ppm/cran/__linux__/jammy/latest")
  - &ppm {<<: *bioc-index, path_prefix: /ppm, upstream: "https://packagemanager.posit.co"}
  - {<<: *bioc-package, path_prefix: /ppm, upstream: "https://packagemanager.posit.co"}
  - {<<: *ppm, name: "", pattern: "^/"}
"""


def _r(mirror: Address) -> Setting:
    own = f'local({{r <- getOption("repos"); r["CRAN"] <- "{mirror.url}"; options(repos = r)}})'
    return Setting(
        "~/.Rprofile",
        f'options(repos = c(CRAN = "{mirror.url}"))\n',
        lines.marked(own),  # other repositories stay, whatever stands above
        probe=f"{mirror.url}/src/contrib/PACKAGES.gz",
    )


WORLD = Coded(
    name="cran",
    package=named_by(
        r".*/(?P<name>[A-Za-z][A-Za-z0-9.]*)_(?P<version>[0-9][^/_]*)\.(?:tar\.gz|zip|tgz)",
    ),
    presets=_PRESETS,
    clients={"r": _r},
    make=lambda edges: Cran(edges.library),
    row=Row(
        clients="R",
        at="`/src/contrib`, `/bin/windows`, `/bin/macosx`",
        checked="MD5 of PACKAGES, which names it for source packages",
        changes="PACKAGES, one generation of its forms",
    ),
)
