"""What pages that are stored or arriving say of files: the digests by which these are proved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from attrs import evolve

from aimirror.bounded import LRU
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.ecosystems.pypi import names
from aimirror.ecosystems.pypi import pages as pypi
from aimirror.ecosystems.pypi.names import METADATA
from aimirror.forward.routes import served
from aimirror.http import urls
from aimirror.http.forwarding import asked_for_storing
from aimirror.http.headers import Headers
from aimirror.indexes.bringing import Bringing
from aimirror.indexes.digest_table import DigestTable
from aimirror.interfaces import BodyFailed, IBody, ILibrary
from aimirror.mirror.ecosystem import (
    ClientRequest,
    Desk,
)
from aimirror.routing.digests import Digest, expected
from aimirror.routing.mounts import own_bases
from aimirror.routing.rules import Route
from aimirror.single_flight import SingleFlight

#: Bytes of a page that is read here; the largest on PyPI have a few MB.
MOST_PAGE = 64 << 20
#: Bytes of a page up to which asking another process to read it takes longer than reading it; a
#: hostile one of that size takes some milliseconds.
READ_HERE = 8 << 10
#: Pages whose digests are kept in mind, and digests in all of them together.
MOST_PAGES = 1000
MOST_DIGESTS = 200_000


class Said:
    """Reads the pages of one library; what was read last is kept in mind."""

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._flights = SingleFlight()
        self._bringing = Bringing(library)
        self._known: LRU[tuple[str, str], DigestTable] = LRU(
            MOST_PAGES, weigh=len, heaviest=MOST_DIGESTS
        )

    async def expected(
        self, request: ClientRequest, route: Route, mirror: Desk, scope: str, stored: bool
    ) -> Digest | None:
        """What a page says of a file, here, at the node that owns it, or at any other."""
        digest = await self.digest(route, mirror, scope)
        if digest is not None or stored:
            return digest
        digest = await self._library.said(route, scope)
        proved = digest is not None or names_bytes(route)
        if proved or request.method == "HEAD" or not self._bringing.helps:
            return digest

        async def known() -> Digest | None:
            return await self.digest(route, mirror, scope)

        pages = [p for key in _pages(route, mirror) if (p := served(mirror.rules, key)) is not None]
        digest = await self._bringing.borrow(pages, known)
        if digest is not None:
            return digest
        asks = [
            (evolve(page, vary=(*page.vary, "accept")), _asked(request, page)) for page in pages
        ]
        return await self._bringing.ask(asks, scope, known)

    async def digest(self, route: Route, mirror: Desk, scope: str) -> Digest | None:
        """What a page that is stored, or just being stored, says of a file or its sidecar."""
        spellings = [names.name_of(url) for url in route.urls]
        for key in _pages(route, mirror):
            async for known in self._said(key, scope):
                digest = next((d for name in spellings if (d := known.get(name))), None)
                if digest is not None:
                    return digest
        return None

    async def _said(self, key: str, scope: str) -> AsyncIterator[DigestTable]:
        """What the forms of one page say; clients ask for files while it still arrives."""
        held = self._library.at(key, scope)
        for arriving in held.arriving:
            if arriving.entry.status == 200 and tells(arriving.entry, scope):
                yield await self._digests_in(arriving.body, key)
        for entry in sorted(held.entries, key=lambda e: -e.received_at):
            readable = entry.status == 200 and entry.blob and entry.size <= MOST_PAGE
            if readable and tells(entry, scope):
                yield await self._digests_of(entry)

    async def _digests_of(self, entry: Entry) -> DigestTable:
        name = (entry.key, entry.blob)
        kept = self._known.get(name)
        if kept is not None:
            return kept
        body = self._library.body(entry)
        known = DigestTable(()) if body is None else await self._digests_in(body, *name)
        self._known.put(name, known)
        return known

    async def _digests_in(self, body: IBody, url: str, blob: str = "") -> DigestTable:
        """What a page says, read once for all who ask meanwhile; it has no blob while it comes."""

        async def read() -> bytes:
            return await self._library.read(body, MOST_PAGE)

        async def run() -> DigestTable:
            try:
                if body.size is not None and body.size <= READ_HERE:
                    return DigestTable([pypi.digests(await read(), url)])
                return DigestTable.load(await self._library.apart(pypi.table, read, url))
            except (BodyFailed, OSError, ValueError):
                return DigestTable(())

        table: DigestTable = await self._flights.do((url, blob or id(body)), run)
        return table


def _pages(route: Route, mirror: Desk) -> Iterator[str]:
    """The keys of pages that may name a file or its sidecar, the likeliest first."""
    file = route.urls[0].removesuffix(METADATA)
    return names.pages(file, own_bases(mirror.rules, "pypi", file), _root(route, file))


def _asked(request: ClientRequest, page: Route) -> Headers:
    """The fields by which the mirror asks for a page with a client's right."""
    fields = asked_for_storing(request.headers, compressed=True, more=page.request_headers)
    return fields.with_("Accept", pypi.asked(pypi.JSON))


def _root(route: Route, file: str) -> str:
    """The base of the rule that has a file: who answers above it is somebody else."""
    rule = route.rule
    bases = (urls.join(u, rule.upstream_path(rule.path_prefix), "") for u in rule.upstreams)
    return next((base for base in bases if file.startswith(base.rstrip("/") + "/")), "")


def names_bytes(route: Route) -> bool:
    """Whether a path names the bytes of its file, as PyPI's do, or of what it describes."""
    return expected((), route.path.removesuffix(METADATA), "") is not None
