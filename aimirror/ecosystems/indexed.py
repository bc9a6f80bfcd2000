"""Worlds of languages whose indexes say what each file hashes to: npm, conda, CRAN, cargo, gems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.ecosystems import cargo, conda, cran, npm, rubygems
from aimirror.ecosystems.generations import changed_at
from aimirror.ecosystems.indexes import Indexes, Reading, is_stored, small
from aimirror.http.headers import Headers
from aimirror.http.urls import canonical, join
from aimirror.interfaces import UpstreamError
from aimirror.mirror.ecosystem import UNTAKEN, Asked, Declined, General, Untaken
from aimirror.routing import digests
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, route
from aimirror.server.answers import Answer

if TYPE_CHECKING:
    from aimirror.exchanges.tools import Tools
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.request import MirrorRequest


#: Bytes of a gem's file of the compact index: a line for each version.
MOST_INFO = 2 << 20


class Listed(General):
    """Checks a file that is fetched by what the stored indexes say of it."""

    def __init__(self, tools: Tools, reading: Reading) -> None:
        self.tools = tools
        self.indexes = Indexes(tools, reading)

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
        super().__init__(tools, Reading(npm.digests))

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
        super().__init__(tools, Reading(conda.digests, b"}"))

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
        super().__init__(tools, Reading(cran.digests))

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


class Cargo(Listed):
    """Cargo: the checksum in the crate's file of the index."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, Reading(cargo.digests, b"\n"))

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


class RubyGems(Listed):
    """RubyGems: the checksum in the gem's file of the compact index, which gem does not look at."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, Reading(rubygems.digests, b"\n"))

    async def take(
        self, request: MirrorRequest, found: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """See Ecosystem.

        gem looks for the repository's front page to decide which index to use.  Nobody stores
        that page, so while the upstream is down, a stored index of the new form speaks for it.
        """
        if request.head.method != "HEAD" or not found.urls[0].endswith("/"):
            return await super().take(request, found, mirror)
        try:
            return await mirror.answer(request, found)
        except UpstreamError:
            if any(True for _ in self.tools.store.find(canonical(found.urls[0] + "info/"))):
                return Answer(
                    status=200, headers=Headers([("Cache-Control", "no-store")]), body=b""
                )
            raise

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Listed."""
        if is_stored(self.tools, found):
            return None
        for index, version in rubygems.gem(found.urls[0]):
            digest = await self.indexes.find(mirror, version, [index])
            if digest is not None:
                return digest
        return await self._ask(request, found, mirror)

    async def _ask(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """What an index says that this client did not ask for: there are older ones."""
        for path, version in rubygems.gem(found.path):
            index = route(mirror.rules, path, "")
            if not isinstance(index, Route):
                continue
            told = await small(mirror, request, index, MOST_INFO)
            digest = rubygems.digests(told).get(version) if told is not None else None
            if digest is not None:
                return digest
        return None
