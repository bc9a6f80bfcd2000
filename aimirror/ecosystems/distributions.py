"""apt and rpm: a signed release names the indexes, and those name the packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from aimirror.ecosystems import debian, rpm
from aimirror.ecosystems.generations import changed_at
from aimirror.ecosystems.indexed import Listed
from aimirror.ecosystems.indexes import Indexes, Reading, is_stored
from aimirror.http.urls import canonical
from aimirror.mirror.ecosystem import Asked, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer

if TYPE_CHECKING:
    from aimirror.exchanges.tools import Tools
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.request import MirrorRequest

_Places = Iterable[tuple[str, str]]


@frozen(kw_only=True)
class Layout:
    """What a kind of repository looks like; all functions take and give URLs.

    ``packages`` gives for a package (folder of indexes, name there), ``releases`` for an index
    (release file, name there), ``signed`` what is renewed together with a release file.
    """

    packages: Callable[[str], _Places]
    lists_packages: Callable[[str], bool]
    releases: Callable[[str], _Places]
    signed: Callable[[str], tuple[str, ...]]
    index: Reading
    release: Reading


_DEBIAN = Layout(
    packages=debian.pool,
    lists_packages=debian.lists_packages,
    releases=debian.releases,
    signed=debian.signed,
    index=Reading(debian.digests, b"\n\n"),
    release=Reading(debian.listed),
)
_RPM = Layout(
    packages=rpm.package,
    lists_packages=rpm.lists_packages,
    releases=rpm.releases,
    signed=rpm.signed,
    index=Reading(rpm.digests, b"</package>"),
    release=Reading(rpm.digests),
)


class Distribution(Listed):
    """Packages are as the indexes say, and those as the release at hand says."""

    def __init__(self, tools: Tools, layout: Layout) -> None:
        super().__init__(tools, layout.index)
        self._layout = layout
        self._releases = Indexes(tools, layout.release)

    async def take(
        self, request: MirrorRequest, found: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """See Ecosystem."""
        kin = self._layout.signed(found.urls[0])
        if not kin or request.head.method not in ("GET", "HEAD"):
            return await super().take(request, found, mirror)
        return await mirror.answer(request, found, not_before=changed_at(mirror, found, kin))

    def finish(self, asked: Asked, answer: Answer) -> Answer:
        """Each request for what changes looks at the release first."""
        return answer if asked.route.immutable else evolve(answer, memo_until=0.0)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Listed."""
        places = tuple(self._layout.packages(found.urls[0]))
        if not places:
            return await self._index(found, mirror)
        if is_stored(self.tools, found):
            return None
        for folder, name in places:
            prefix, wanted = canonical(folder + "/"), self._layout.lists_packages
            digest = await self.indexes.find_below(mirror, name, prefix, wanted)
            if digest is not None:
                return digest
        return None

    async def _index(self, found: Route, mirror: Mirror) -> Digest | None:
        """An index must be of the generation of the release that clients get with it."""
        for release, name in self._layout.releases(found.urls[0]):
            digest = await self._releases.find(mirror, name, [release])
            if digest is None:
                continue
            stored = [e for e in self.tools.store.entries(found.key) if e.status == 200]
            if digest.algorithm == "sha256" and all(e.blob != digest.hex for e in stored):
                self.tools.store.drop_key(found.key)
            return digest
        return None


class Apt(Distribution):
    """apt: InRelease, Packages and the pool."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, _DEBIAN)


class Rpm(Distribution):
    """dnf, yum and zypper: repomd.xml, primary.xml and packages."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, _RPM)
