"""Worlds whose indexes say what each file hashes to (``world.Files``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.forward.routes import served
from aimirror.http.forwarding import asked_for_storing
from aimirror.http.headers import Headers
from aimirror.http.urls import join
from aimirror.indexes.bringing import Bringing
from aimirror.indexes.indexes import Indexes, Naming, credential, small
from aimirror.indexes.proving import Proving
from aimirror.indexes.reading import Files
from aimirror.indexes.tables import unpacked
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import ClientRequest, Desk, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.mounts import own_bases
from aimirror.routing.rules import Route, route_of

if TYPE_CHECKING:
    from aimirror.server.answers import Answer


#: Seconds for which the upstream's word on a file stands against a client that expects another.
WISH_SECONDS = 60.0
#: Documents that are read for one file, each naming the next.
_MOST_LED = 2


class Indexed(Proving):
    """Files are as the index that is at hand says."""

    def __init__(self, library: ILibrary, files: Files) -> None:
        super().__init__(library)
        self._files = files
        self._indexes = Indexes(library, files.reading)
        self._bringing = Bringing(library)

    def is_named(self, route: Route) -> bool:
        """See Proving."""
        return any(True for _ in self._files.places(route.urls[0]))

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem.

        A client may say what it expects.  That is its wish, and proves nothing to others; but if
        no stored copy is that file, the upstream is asked whether it has another one by now.
        """
        usual = self._files.usual(route.path, route.rule.path_prefix)
        other = route_of(mirror.rules, usual, request.query or "") if usual else None
        if isinstance(other, Route) and request.method in ("GET", "HEAD"):
            return await mirror.answer(request, other)
        form = self._files.form(route.path, request.headers)
        if form and request.method in ("GET", "HEAD"):
            return await _formed(request, route, mirror, form)
        answer = await super().take(request, route, mirror)
        if not isinstance(answer, Untaken) or request.method != "GET":
            return answer
        if not await self._disappoints(request, route):
            return answer
        answer = await mirror.answer(request, route, not_before=self.library.now() - WISH_SECONDS)
        return evolve(answer, memo_until=0.0)  # the upstream is asked again after a while

    async def digest(self, request: ClientRequest, route: Route, mirror: Desk) -> Digest | None:
        """See Proving.  What is not known here may be known to another node."""
        digest = await super().digest(request, route, mirror)
        if digest is not None or self.copies(route, credential(request, route)):
            return digest
        if request.method == "GET" and self._bringing.helps:
            digest = await self._brought(request, route, mirror)
        return (
            digest or self._files.of_url(route.urls[0]) or await self._ask(request, route, mirror)
        )

    async def _ask(self, request: ClientRequest, route: Route, mirror: Desk) -> Digest | None:
        """What an index says that this client did not ask for, or what that leads to."""
        for path, name in self._files.places(route.path) if self._files.asks else ():
            index = route_of(mirror.rules, path, "")
            for _ in range(_MOST_LED):
                if not isinstance(index, Route):
                    break
                stored = await small(mirror, request, index, self._files.asks)
                text = unpacked(stored) if stored is not None else b""
                digest = self._files.reading.read(text).get(name)
                if digest is not None:
                    return digest
                more = self._files.leads(text)
                index = served(mirror.rules, more)
        return None

    async def _disappoints(self, request: ClientRequest, route: Route) -> bool:
        """Whether there are copies, and none of them is what the client expects."""
        expected = self._files.expected(request.headers)
        if expected is None:
            return False
        copies = self.copies(route, credential(request, route))
        for copy in copies:
            if not await self.hashes.differs(copy, expected):
                return False
        return bool(copies)

    async def _brought(self, request: ClientRequest, route: Route, mirror: Desk) -> Digest | None:
        """What indexes say that were not here, or not the newest."""
        places = self._files.places(route.urls[0])
        urls = dict.fromkeys(url for index, _ in places for url in _urls(index, route, mirror))
        indexes = [index for url in urls if (index := served(mirror.rules, url)) is not None]

        async def known() -> Digest | None:
            return await super(Indexed, self).digest(request, route, mirror)

        digest = await self._bringing.borrow(indexes, known)
        if digest is not None or self._files.of_url(route.urls[0]) or self._files.asks:
            return digest
        asks = [(self._formed(index), self._asked(request, index)) for index in indexes]
        return await self._bringing.ask(asks, credential(request, route), known)

    def _form(self, index: Route) -> str:
        return self._files.form(index.path, Headers([("Accept", self._files.accept)]))

    def _formed(self, index: Route) -> Route:
        """The route of an index: one of several forms is kept beside the others."""
        return evolve(index, vary=(*index.vary, "accept")) if self._form(index) else index

    def _asked(self, request: ClientRequest, index: Route) -> Headers:
        """The fields by which the mirror asks for an index with a client's right."""
        fields = asked_for_storing(request.headers, compressed=True, more=index.request_headers)
        return fields.with_("Accept", self._form(index) or self._files.accept)

    def named_by(self, route: Route, mirror: Desk, scope: str) -> Iterator[tuple[Indexes, Naming]]:
        """See Proving."""
        places = tuple(self._files.places(route.urls[0]))
        for name in dict.fromkeys(name for _, name in places):
            urls = [
                url
                for index, named in places
                if named == name
                for url in _urls(index, route, mirror)
            ]
            yield self._indexes, self._indexes.at(name, urls, scope)


async def _formed(request: ClientRequest, route: Route, mirror: Desk, form: str) -> Answer:
    """One form of a document: it is asked for, and found again, by that form alone."""
    route = evolve(route, vary=(*route.vary, "accept"))
    headers = asked_for_storing(request.headers, compressed=True, more=route.request_headers)
    return await mirror.answer(request, route, headers=headers.with_("Accept", form))


def _urls(index: str, route: Route, mirror: Desk) -> Iterator[str]:
    """An index's URL; that of a path below the bases of the file's own indexes."""
    if not index.startswith("/"):
        yield index
        return
    for base in own_bases(mirror.rules, route.rule.ecosystem, route.urls[0]):
        yield join(base, index, "")
