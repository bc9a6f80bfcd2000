"""apt and rpm (``world.Repository``): a signed release names the indexes, those the packages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import evolve

from aimirror.bounded import LRU
from aimirror.forward.routes import served
from aimirror.http.forwarding import asked_for_storing
from aimirror.http.urls import canonical
from aimirror.indexes.bringing import AGAIN, Bringing
from aimirror.indexes.generations import changed_at
from aimirror.indexes.indexes import Indexes, Naming, at_hand, credential
from aimirror.indexes.proving import Proving
from aimirror.indexes.reading import Repository
from aimirror.indexes.tables import unpacked
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import ClientRequest, Desk, Lookup, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer
from aimirror.single_flight import SingleFlight

#: Bases whose indexes at other nodes are kept in mind.
MOST_BASES = 100
_WORD = re.compile(r"[^/_.-]+")


class Distribution(Proving):
    """Packages are as the indexes say, and those as the release at hand says."""

    def __init__(self, library: ILibrary, repository: Repository) -> None:
        super().__init__(library)
        self._repository = repository
        self._indexes = Indexes(library, repository.index)
        self._releases = Indexes(library, repository.release)
        self._bringing = Bringing(library)
        self._flights = SingleFlight()
        #: By base: the indexes that other nodes have, and until when that is not asked again.
        self._kin: LRU[str, tuple[float, Sequence[str]]] = LRU(MOST_BASES)

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        kin = self._repository.signed(route.urls[0])
        if not kin or request.method not in ("GET", "HEAD"):
            return await super().take(request, route, mirror)
        return await mirror.answer(request, route, not_before=changed_at(mirror, route, kin))

    async def digest(self, request: ClientRequest, route: Route, mirror: Desk) -> Digest | None:
        """See Proving.  The index that names a package may be at another node."""
        digest = await super().digest(request, route, mirror)
        scope = credential(request, route)
        wants = request.method == "GET" and self._bringing.helps and self.is_named(route)
        if digest is not None or not wants or self.copies(route, scope):
            return digest

        async def known() -> Digest | None:
            return await super(Distribution, self).digest(request, route, mirror)

        digest = await self._bringing.borrow(await self._others(route, mirror), known)
        if digest is not None:
            return digest
        leads = self._repository.led_by(route.urls[0])
        releases = [r for url in leads if (r := served(mirror.rules, url)) is not None]
        fields = asked_for_storing(request.headers, compressed=True, more=route.request_headers)

        async def led() -> Digest | None:
            """By the index that a release names."""
            indexes = [(i, fields) for r in releases for i in await self._led(r, mirror, scope)]
            return await self._bringing.ask(indexes, scope, known)

        return await self._bringing.ask([(r, fields) for r in releases], scope, led)

    async def _led(self, release: Route, mirror: Desk, scope: str) -> list[Route]:
        """The indexes of packages that a release names which is here."""
        text = await at_hand(self.library, release, scope)
        named = () if text is None else self._repository.release.read(unpacked(text))
        base = release.urls[0].rpartition("/")[0].rpartition("/")[0]
        urls = (f"{base}/{name}" for name in named)
        routes = (served(mirror.rules, u) for u in urls if self._repository.lists_packages(u))
        return [route for route in routes if route is not None]

    async def _others(self, route: Route, mirror: Desk) -> list[Route]:
        """Indexes that other nodes have, and that may name a package: the likeliest first.

        That is the one whose URL shares the most words with the package's (its architecture, its
        part of the archive); of equal ones the newest.
        """
        base = route.rule.upstreams[0]
        kept = self._kin.get(base)
        if kept is None or kept[0] < self.library.now():
            keys = await self._flights.do(base, lambda: self.library.indexes(route.rule))
            kept = self.library.now() + AGAIN, keys
            self._kin.put(base, kept)
        prefixes = {canonical(prefix) for prefix, _ in self._repository.packages(route.urls[0])}
        words = _words(route.urls[0])
        near = [key for key in kept[1] if any(key.startswith(each) for each in prefixes)]
        near.sort(key=lambda key: -len(words & _words(key)))
        routes = (served(mirror.rules, key) for key in near)
        return [index for index in routes if index is not None]

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """Each request for what changes looks at the release first, too."""
        if not lookup.route.immutable:
            return evolve(answer, memo_until=0.0)
        return super().finish(lookup, answer)

    def is_named(self, route: Route) -> bool:
        """See Proving."""
        return any(True for _ in self._repository.packages(route.urls[0]))

    def named_by(self, route: Route, mirror: Desk, scope: str) -> Iterator[tuple[Indexes, Naming]]:
        """See Proving.  An index must be of the generation of the release that clients get."""
        places = tuple(self._repository.packages(route.urls[0]))
        for prefix, name in places:
            wanted = self._repository.lists_packages
            yield self._indexes, self._indexes.below(name, canonical(prefix), wanted, scope)
        if not places:
            for release, name in self._repository.releases(route.urls[0]):
                yield self._releases, self._releases.at(name, [release], scope)


def _words(url: str) -> frozenset[str]:
    return frozenset(_WORD.findall(url))
