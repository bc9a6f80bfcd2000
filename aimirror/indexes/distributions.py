"""apt and rpm (``world.Repository``): a signed release names the indexes, those the packages."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from aimirror.http.urls import canonical
from aimirror.indexes.generations import changed_at
from aimirror.indexes.indexes import Indexes, Naming
from aimirror.indexes.proving import Proving
from aimirror.indexes.reading import Repository
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import ClientRequest, Desk, Lookup, Untaken
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer


class Distribution(Proving):
    """Packages are as the indexes say, and those as the release at hand says."""

    def __init__(self, library: ILibrary, repository: Repository) -> None:
        super().__init__(library)
        self._repository = repository
        self._indexes = Indexes(library, repository.index)
        self._releases = Indexes(library, repository.release)

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        kin = self._repository.signed(route.urls[0])
        if not kin or request.method not in ("GET", "HEAD"):
            return await super().take(request, route, mirror)
        return await mirror.answer(request, route, not_before=changed_at(mirror, route, kin))

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
