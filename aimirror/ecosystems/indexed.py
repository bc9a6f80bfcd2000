"""Worlds whose indexes say what each file hashes to (``world.Files``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aimirror.ecosystems.indexes import Indexes, Naming
from aimirror.ecosystems.proving import Proving
from aimirror.ecosystems.world import Files
from aimirror.http.urls import join
from aimirror.interfaces import ILibrary
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route

if TYPE_CHECKING:
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.request import MirrorRequest


class Indexed(Proving):
    """Files are as the index that is at hand says, or as the client expects."""

    def __init__(self, library: ILibrary, files: Files) -> None:
        super().__init__(library)
        self._files = files
        self._indexes = Indexes(library, files.reading)

    def is_named(self, found: Route) -> bool:
        """See Proving."""
        return any(True for _ in self._files.places(found.urls[0]))

    def named_by(self, found: Route, mirror: Mirror) -> Iterator[tuple[Indexes, Naming]]:
        """See Proving."""
        places = tuple(self._files.places(found.urls[0]))
        for name in dict.fromkeys(name for _, name in places):
            urls = [
                url
                for index, named in places
                if named == name
                for url in _urls(index, found.rule.ecosystem, mirror)
            ]
            yield self._indexes, self._indexes.at(name, urls)

    async def digest(self, request: MirrorRequest, found: Route, mirror: Mirror) -> Digest | None:
        """See Proving.

        A stored file that is not what the client expects is asked for again: one of the two, or
        the client's index, is out of date.
        """
        digest = await super().digest(request, found, mirror)
        if digest is not None or not self.is_named(found):
            return digest
        expected = self._files.expected(request.headers)
        if expected is None or not self.copies(found):
            return expected
        for copy in self.copies(found):
            if not await self.hashes.differs(copy, expected):
                return None
        self.library.recheck(found.key)
        return None


def _urls(index: str, world: str, mirror: Mirror) -> Iterator[str]:
    """An index's URL; that of a path below each upstream of the world's rules."""
    if not index.startswith("/"):
        yield index
        return
    for rule in mirror.rules:
        if rule.ecosystem == world:
            yield from (join(upstream, index, "") for upstream in rule.upstreams)
