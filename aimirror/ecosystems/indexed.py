"""Worlds whose indexes say what each file hashes to (``world.Files``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.ecosystems.indexes import Indexes, is_stored
from aimirror.ecosystems.world import Files
from aimirror.http.urls import join
from aimirror.mirror.ecosystem import UNTAKEN, General, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer

if TYPE_CHECKING:
    from aimirror.exchanges.tools import Tools
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.request import MirrorRequest


class Proven(General):
    """Checks a file that is fetched by what is known of it."""

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


class Indexed(Proven):
    """Files are as the index that is at hand says, or as the client expects.

    A stored file that is not what the client expects is asked for again: one of the two, or the
    client's index, is out of date.
    """

    def __init__(self, tools: Tools, files: Files) -> None:
        self.tools = tools
        self._files = files
        self._indexes = Indexes(tools, files.reading)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Proven."""
        places = tuple(self._files.places(found.urls[0]))
        if not places:
            return None
        expected = self._files.expected(request.headers)
        if is_stored(self.tools, found):
            self._replace(found, expected)
            return None
        return await self._named(found, mirror, places) or expected

    async def _named(
        self, found: Route, mirror: Mirror, places: tuple[tuple[str, str], ...]
    ) -> Digest | None:
        for name in dict.fromkeys(name for _, name in places):
            indexes = [
                url
                for index, named in places
                if named == name
                for url in _urls(index, found.rule.ecosystem, mirror)
            ]
            digest = await self._indexes.find(mirror, name, indexes)
            if digest is not None:
                return digest
        return None

    def _replace(self, found: Route, expected: Digest | None) -> None:
        if expected is None or expected.algorithm != "sha256":
            return
        stored = self.tools.store.entries(found.key)
        if all(e.blob != expected.hex for e in stored if e.status == 200):
            self.tools.store.invalidate(found.key)


def _urls(index: str, world: str, mirror: Mirror) -> Iterator[str]:
    """An index's URL; that of a path below each upstream of the world's rules."""
    if not index.startswith("/"):
        yield index
        return
    for rule in mirror.rules:
        if rule.ecosystem == world:
            yield from (join(upstream, index, "") for upstream in rule.upstreams)
