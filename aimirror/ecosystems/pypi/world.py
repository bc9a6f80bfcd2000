"""PyPI and other simple indexes: pages by negotiated type, digests that pages tell, cooldown."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator

from attrs import evolve
from twisted.logger import Logger

from aimirror.bounded import LRU
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.pypi import names
from aimirror.ecosystems.pypi import pages as pypi
from aimirror.ecosystems.pypi.clients import CLIENTS, PRESETS
from aimirror.ecosystems.pypi.names import METADATA
from aimirror.ecosystems.pypi.sidecars import Sidecars
from aimirror.exchanges.answering import UNABLE
from aimirror.forward.routes import served
from aimirror.http import urls
from aimirror.http.forwarding import asked_for_storing
from aimirror.http.headers import Headers
from aimirror.indexes.bringing import Bringing
from aimirror.indexes.digest_table import DigestTable
from aimirror.indexes.indexes import credential, is_stored
from aimirror.indexes.proving import Hashes
from aimirror.interfaces import BodyFailed, IBody, ILibrary, IUpstreamResponse, UpstreamError
from aimirror.mirror.ecosystem import (
    UNTAKEN,
    ClientRequest,
    Declined,
    Desk,
    General,
    Lookup,
    Untaken,
)
from aimirror.routing.digests import Digest, expected
from aimirror.routing.mounts import own_bases
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer, Streamed
from aimirror.server.errors import error_answer
from aimirror.single_flight import SingleFlight

#: Bytes of a page that is read here; the largest on PyPI have a few MB.
MOST_PAGE = 64 << 20
#: Bytes of a page up to which asking another process to read it takes longer than reading it; a
#: hostile one of that size takes some milliseconds.
READ_HERE = 8 << 10
#: Pages whose digests are kept in mind, and digests in all of them together.
MOST_PAGES = 1000
MOST_DIGESTS = 200_000
#: How indexes say that there is no sidecar; object stores say 403.
_NO_SIDECAR = frozenset({403, 404, 410})
#: How an index says that it does not send what is asked for.
_NO_SUCH_FORM = frozenset({406, 415})


class Pypi(General):
    """Knowledge of the simple repository API."""

    log = Logger()

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._sidecars = Sidecars(library)
        self._hashes = Hashes(library)
        self._flights = SingleFlight()
        self._bringing = Bringing(library)
        self._known: LRU[tuple[str, str], DigestTable] = LRU(
            MOST_PAGES, weigh=len, heaviest=MOST_DIGESTS
        )

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        if request.method not in ("GET", "HEAD"):
            return UNTAKEN
        if route.path.endswith(METADATA) and names.is_archive(route.path.removesuffix(METADATA)):
            return await self._sidecar(request, route, mirror)
        if names.is_archive(route.path):
            return await self._file(request, route, mirror)
        page = names.page_path(route.path, route.rule.path_prefix)
        if not page:
            return UNTAKEN
        if page != route.path:
            query = f"?{request.query}" if request.query else ""
            moved = Headers(
                [("Location", urls.reference(page) + query), ("Cache-Control", "max-age=3600")]
            )
            return Answer(status=301, headers=moved, body=b"")
        return await self._page(request, evolve(route, vary=(*route.vary, "accept")), mirror)

    def refused(self, lookup: Lookup, response: IUpstreamResponse) -> Answer | None:
        """A page that may not be stored can't be read for what is too young.

        Object stores say 403 of a page that there is not; clients would think that they have to
        log in, and not look for the project elsewhere.
        """
        page = "accept" in lookup.route.vary
        if response.status == 403 and page and not lookup.scope:
            return error_answer(404, "no project", "the index has none of that name (403)")
        if lookup.rule.cooldown and page and response.status == 200:
            return error_answer(502, "cooldown", "the index does not allow its page to be stored")
        return None

    # -- pages -----------------------------------------------------------------------------

    async def _page(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer:
        accept = pypi.asked(request.headers.joined("accept") or "")
        headers = asked_for_storing(request.headers, compressed=True, more=route.request_headers)
        if route.rule.cooldown:
            return await self._cooled(request, route, mirror, headers, accept)
        others = self._other_forms(route.key, accept)
        declines = UNABLE if others else frozenset()
        if not pypi.takes_json(request.headers.joined("accept") or ""):
            declines |= _NO_SUCH_FORM
        try:
            asked = headers.with_("Accept", accept)
            return await self._formed(request, route, mirror, asked, declines)
        except UpstreamError:
            if not others:
                raise
        except Declined as declined:
            if declined.status in _NO_SUCH_FORM:
                others = [pypi.asked(pypi.JSON)]
        return await self._formed(request, route, mirror, headers.with_("Accept", others[0]))

    def _other_forms(self, key: str, accept: str) -> list[str]:
        """What was asked for the other stored forms of a page, all that a dead index has left."""
        entries = [e for e in self._library.at(key).entries if e.status == 200 and not e.scope]
        forms = [e.selecting.joined("accept") or "" for e in entries]
        return [] if accept in forms else [form for form in forms if form]

    async def _formed(
        self,
        request: ClientRequest,
        route: Route,
        mirror: Desk,
        headers: Headers,
        declines: frozenset[int] = frozenset(),
    ) -> Answer:
        """A page by what is asked of the index, as HTML where the client knows that alone.

        Some indexes send JSON whatever is asked; once a page is known to be HTML, it goes the
        general way.
        """
        accept = request.headers.joined("accept") or ""
        named = "format=" in (request.query or "")  # PEP 691: it decides before Accept
        if named or pypi.takes_json(accept) or self._is_html(route.key, headers):
            return await mirror.answer(request, route, headers=headers, declines=declines)
        whole = evolve(route, exact=True)
        answer = await mirror.answer(request, whole, headers=headers, declines=declines)
        if answer.status != 200 or answer.body is None or isinstance(answer.body, Streamed):
            return answer
        if pypi.JSON in (answer.headers.get("content-type") or ""):
            try:
                data = await self._library.apart(pypi.as_html, await self._data(answer))
            except ValueError:
                return error_answer(502, "no page", "the index sent a page that can't be read")
            answer = _made(answer, data, pypi.asked(accept).partition(",")[0])
        return await mirror.changed(request, route, answer)

    def _is_html(self, key: str, headers: Headers) -> bool:
        """Whether what is stored of a page, asked for so, is HTML."""
        kinds = [
            entry.headers.get("content-type") or ""
            for entry in self._library.at(key).entries
            if entry.status == 200 and entry.selecting.joined("accept") == headers.get("accept")
        ]
        return bool(kinds) and all("html" in kind for kind in kinds)

    async def _cooled(
        self, request: ClientRequest, route: Route, mirror: Desk, headers: Headers, accept: str
    ) -> Answer:
        """The page without what is too young."""
        headers = headers.with_("Accept", pypi.JSON)  # some send HTML where it is but allowed
        answer = await mirror.answer(request, evolve(route, exact=True), headers=headers)
        if answer.status in _NO_SUCH_FORM:
            return error_answer(403, "cooldown", "the index does not tell when files were uploaded")
        if answer.status != 200 or isinstance(answer.body, Streamed):
            return answer
        if pypi.JSON not in (answer.headers.get("content-type") or ""):
            return error_answer(403, "cooldown", "the index does not tell when files were uploaded")
        if answer.body is None:
            return evolve(answer, headers=answer.headers.without("content-length", "etag"))
        before = self._library.now() - route.rule.cooldown
        try:
            data = await self._data(answer)
            made = await self._library.apart(pypi.older_packed, data, repr(before))
            page = pypi.unpacked(made)
        except ValueError:
            return error_answer(502, "cooldown", "the index sent a page that can't be read")
        if page.hidden:
            self.log.info(
                "{path}: {page.hidden} files hidden, younger than {days:g} days"
                " ({page.undated} of unknown age)",
                path=route.path,
                page=page,
                days=route.rule.cooldown / 86400,
            )
        kind, content = pypi.JSON, page.data
        if not accept.startswith(pypi.JSON):
            content = await self._library.apart(pypi.as_html, content)
            kind = accept.partition(",")[0]
        return await mirror.changed(request, route, _made(answer, content, kind))

    async def _data(self, answer: Answer) -> bytes:
        body = answer.body
        if body is None or isinstance(body, bytes | Streamed):
            return body if isinstance(body, bytes) else b""
        return await self._library.read(body, MOST_PAGE)

    # -- files -----------------------------------------------------------------------------

    async def _file(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        scope = credential(request, route)
        stored = is_stored(self._library, route, scope)
        if stored and _names_bytes(route):
            return UNTAKEN
        digest = await self._expected(request, route, mirror, scope, stored)
        if digest is None and not _names_bytes(route):
            # Nothing says which build this is: it may be rebuilt under its name, and is asked for.
            return await mirror.answer(request, evolve(route, immutable=False))
        replaced = stored and await self._replaced(route, digest, scope)
        if digest is None or request.method == "HEAD" or (stored and not replaced):
            return UNTAKEN
        return await mirror.answer(request, evolve(route, digest=digest))

    async def _sidecar(
        self, request: ClientRequest, route: Route, mirror: Desk
    ) -> Answer | Untaken:
        scope = credential(request, route)
        stored = is_stored(self._library, route, scope)
        if stored and _names_bytes(route):
            return UNTAKEN
        digest = await self._expected(request, route, mirror, scope, stored)
        if stored and digest is not None and not await self._replaced(route, digest, scope):
            return UNTAKEN
        immutable = digest is not None or (route.immutable and _names_bytes(route))
        wanted = evolve(route, digest=digest, immutable=immutable)
        try:
            return await mirror.answer(request, wanted, declines=_NO_SIDECAR)
        except Declined as declined:
            status = declined.status
        if await self._sidecars.make(request, wanted, mirror):
            return await mirror.answer(request, wanted)
        return error_answer(404 if status == 403 else status, "no metadata", "the index has none")

    async def _replaced(self, route: Route, digest: Digest | None, scope: str) -> bool:
        """Whether a page says by now that a file is another one than is stored; ask again, then.

        PyPI does not do so: its paths name the bytes.  Other indexes do, under the same name.
        """
        entries = self._library.at(route.key).entries
        stored = [e for e in entries if e.status == 200 and tells(e, scope)]
        if digest is None:
            return False
        for entry in stored:
            if not await self._hashes.differs(entry, digest):
                return False
        self.log.info("{path} has been replaced, its page says", path=route.path)
        self._library.recheck(route.key)
        return True

    async def known(self, route: Route, mirror: Desk) -> Digest | None:
        """See Ecosystem."""
        return await self._digest(route, mirror, "")

    async def _expected(
        self, request: ClientRequest, route: Route, mirror: Desk, scope: str, stored: bool
    ) -> Digest | None:
        """What a page says of a file, here, at the node that owns it, or at any other."""
        digest = await self._digest(route, mirror, scope)
        if digest is not None or stored:
            return digest
        digest = await self._library.said(route, scope)
        proved = digest is not None or _names_bytes(route)
        if proved or request.method == "HEAD" or not self._bringing.helps:
            return digest

        async def known() -> Digest | None:
            return await self._digest(route, mirror, scope)

        pages = [p for key in _pages(route, mirror) if (p := served(mirror.rules, key)) is not None]
        digest = await self._bringing.borrow(pages, known)
        if digest is not None:
            return digest
        asks = [
            (evolve(page, vary=(*page.vary, "accept")), _asked(request, page)) for page in pages
        ]
        return await self._bringing.ask(asks, scope, known)

    async def _digest(self, route: Route, mirror: Desk, scope: str) -> Digest | None:
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


def _made(answer: Answer, content: bytes, kind: str) -> Answer:
    """An answer with a body that was made of its own."""
    headers = answer.headers.without("content-length", "last-modified", "content-encoding")
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = headers.with_("Content-Type", kind).with_("ETag", etag)
    return Answer(status=200, headers=headers, body=content)


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


def _names_bytes(route: Route) -> bool:
    """Whether a path names the bytes of its file, as PyPI's do, or of what it describes."""
    return expected((), route.path.removesuffix(METADATA), "") is not None


WORLD = Coded(
    name="pypi",
    package=named_by(
        r".*/(?P<name>[^/-]+)-(?P<version>[^/-]+)-[^/]+\.whl(?:\.metadata|\.asc)?",
        r".*/(?P<name>[^/]+?)-(?P<version>[0-9][^/-]*)\.(?:tar\.gz|zip|tgz|tar\.bz2|tar\.xz)(?:\.metadata|\.asc)?",
        r".*/simple/(?P<name>[^/]+)/?",
        tidy=names.normalised,
    ),
    clients=CLIENTS,
    presets=PRESETS,
    page_path=names.page_path,
    make=lambda edges: Pypi(edges.library),
)
