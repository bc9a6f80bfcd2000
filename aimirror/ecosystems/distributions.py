"""apt and rpm (``world.Repository``): a signed release names the indexes, those the packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.ecosystems.generations import changed_at
from aimirror.ecosystems.indexed import Proven
from aimirror.ecosystems.indexes import Indexes, is_stored
from aimirror.ecosystems.world import Repository
from aimirror.http.urls import canonical
from aimirror.mirror.ecosystem import Asked, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer

if TYPE_CHECKING:
    from aimirror.exchanges.tools import Tools
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.request import MirrorRequest


class Distribution(Proven):
    """Packages are as the indexes say, and those as the release at hand says."""

    def __init__(self, tools: Tools, repository: Repository) -> None:
        self.tools = tools
        self.indexes = Indexes(tools, repository.index)
        self._repository = repository
        self._releases = Indexes(tools, repository.release)

    async def take(
        self, request: MirrorRequest, found: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """See Ecosystem."""
        kin = self._repository.signed(found.urls[0])
        if not kin or request.head.method not in ("GET", "HEAD"):
            return await super().take(request, found, mirror)
        return await mirror.answer(request, found, not_before=changed_at(mirror, found, kin))

    def finish(self, asked: Asked, answer: Answer) -> Answer:
        """Each request for what changes looks at the release first."""
        return answer if asked.route.immutable else evolve(answer, memo_until=0.0)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Proven."""
        places = tuple(self._repository.packages(found.urls[0]))
        if not places:
            return await self._index(found, mirror)
        if is_stored(self.tools, found):
            return None
        for folder, name in places:
            prefix, wanted = canonical(folder + "/"), self._repository.lists_packages
            digest = await self.indexes.find_below(mirror, name, prefix, wanted)
            if digest is not None:
                return digest
        return None

    async def _index(self, found: Route, mirror: Mirror) -> Digest | None:
        """An index must be of the generation of the release that clients get with it."""
        for release, name in self._repository.releases(found.urls[0]):
            digest = await self._releases.find(mirror, name, [release])
            if digest is None:
                continue
            stored = [e for e in self.tools.store.entries(found.key) if e.status == 200]
            if digest.algorithm == "sha256" and all(e.blob != digest.hex for e in stored):
                self.tools.store.drop_key(found.key)
            return digest
        return None
