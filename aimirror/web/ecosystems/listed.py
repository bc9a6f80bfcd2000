"""Package worlds whose indexes say what each file hashes to: npm, conda, CRAN, apt, cargo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.core import cargo, conda, cran, debian, digests, npm
from aimirror.core.digests import Digest
from aimirror.core.rules import Route, route
from aimirror.core.urls import canonical, join
from aimirror.web.answers import Answer
from aimirror.web.asked import UNTAKEN, Asked, Declined, General, Untaken
from aimirror.web.ecosystems.generations import changed_at
from aimirror.web.ecosystems.indexes import Indexes, is_stored

if TYPE_CHECKING:
    from aimirror.downloads.tools import Tools
    from aimirror.web.mirror import Mirror
    from aimirror.web.request import MirrorRequest


class Listed(General):
    """Checks a file that is fetched by what the stored indexes say of it."""

    def __init__(self, tools: Tools, read: Callable[[bytes], Mapping[str, Digest]]) -> None:
        self.tools = tools
        self.indexes = Indexes(tools, read)

    async def take(
        self, request: MirrorRequest, found: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """See Ecosystem."""
        if request.head.method != "GET" or found.digest is not None:
            return UNTAKEN
        digest = await self.digest(request, found, mirror)
        if digest is None:
            return UNTAKEN
        return await mirror.answer(request, evolve(found, digest=digest))

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """What a file that is about to be fetched must hash to."""
        raise NotImplementedError


class Npm(Listed):
    """npm, yarn and pnpm: ``dist.integrity`` of the package's document, or what npm says itself."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, npm.digests)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Listed."""
        name = npm.tarball(found.urls[0])
        if not name or is_stored(self.tools, found):
            return None
        known = await self.indexes.find(mirror, name, npm.indexes(found.urls[0]))
        return known or npm.integrity(request.headers.get("pacote-integrity", "") or "")


class Conda(Listed):
    """conda: the sha256 that the client expects, else that of a stored repodata.json."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, conda.digests)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Listed.

        A stored file that is not what the client expects is asked for again: one of the two, or
        the client's index, is out of date.
        """
        name = conda.package(found.urls[0])
        if not name:
            return None
        said = digests.parse("sha256", request.headers.get(conda.EXPECTED, "") or "")
        stored = self.tools.store.entries(found.key)
        if stored:
            if said is not None and all(e.blob != said.hex for e in stored if e.status == 200):
                self.tools.store.invalidate(found.key)
            return None
        return await self.indexes.find(mirror, name, conda.indexes(found.urls[0])) or said


class Cran(Listed):
    """CRAN: MD5 of PACKAGES, one generation of its forms, and the Archive for older versions."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, cran.digests)

    async def take(
        self, request: MirrorRequest, found: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """See Ecosystem."""
        if request.head.method not in ("GET", "HEAD"):
            return UNTAKEN
        if _is_form(found):
            since = changed_at(mirror, found, cran.indexes(found.urls[0]))
            return await mirror.answer(request, found, not_before=since)
        if not cran.package(found.urls[0]):
            return UNTAKEN
        digest = await self.digest(request, found, mirror)
        first = found if digest is None else evolve(found, digest=digest)
        elsewhere = route(mirror.rules, cran.archived(found.path), "")
        if "/Archive/" in found.path or not isinstance(elsewhere, Route):
            return await mirror.answer(request, first)
        try:
            return await mirror.answer(request, first, declines=frozenset({404, 410}))
        except Declined:
            return await mirror.answer(request, elsewhere)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Listed."""
        name = cran.package(found.urls[0])
        if is_stored(self.tools, found):
            return None
        return await self.indexes.find(mirror, name, cran.indexes(found.urls[0]))

    def finish(self, asked: Asked, answer: Answer) -> Answer:
        """Each request for a form looks at the other ones first."""
        return evolve(answer, memo_until=0.0) if _is_form(asked.route) else answer


def _is_form(found: Route) -> bool:
    """Whether it is PACKAGES in one of its forms."""
    return found.urls[0] in cran.indexes(found.urls[0])


class Apt(Listed):
    """apt: packages as the Packages files say, indexes as the InRelease at hand says."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, debian.digests)
        self._releases = Indexes(tools, debian.listed)

    async def take(
        self, request: MirrorRequest, found: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """See Ecosystem."""
        kin = debian.signed(found.urls[0])
        if not kin or request.head.method not in ("GET", "HEAD"):
            return await super().take(request, found, mirror)
        return await mirror.answer(request, found, not_before=changed_at(mirror, found, kin))

    def finish(self, asked: Asked, answer: Answer) -> Answer:
        """Each request for an index looks at the release first."""
        return evolve(answer, memo_until=0.0) if debian.changes(asked.route.path) else answer

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Listed."""
        base, path = debian.pool(found.urls[0])
        if not path:
            return await self._index(found, mirror)
        if is_stored(self.tools, found):
            return None
        return await self.indexes.find_below(
            mirror, path, canonical(base + "/dists/"), debian.lists_packages
        )

    async def _index(self, found: Route, mirror: Mirror) -> Digest | None:
        """An index must be of the generation of the InRelease that clients get with it."""
        for release, name in debian.releases(found.urls[0]):
            digest = await self._releases.find(mirror, name, [release])
            if digest is None:
                continue
            stored = self.tools.store.entries(found.key)
            if stored and all(e.blob != digest.hex for e in stored if e.status == 200):
                self.tools.store.drop_key(found.key)
            return digest
        return None


class Cargo(Listed):
    """Cargo: the checksum in the crate's file of the index."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, cargo.digests)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Listed."""
        name, version = cargo.crate(found.urls[0])
        if not name or is_stored(self.tools, found):
            return None
        return await self.indexes.find(
            mirror, version, self._indexes(mirror, cargo.index_path(name))
        )

    def _indexes(self, mirror: Mirror, path: str) -> Iterable[str]:
        for rule in mirror.rules:
            if rule.ecosystem == "cargo":
                yield from (join(upstream, path, "") for upstream in rule.upstreams)
