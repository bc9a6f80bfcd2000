"""PyPI and other simple indexes: pages by negotiated type, digests that pages tell, cooldown."""

from __future__ import annotations

import hashlib

from attrs import evolve
from twisted.logger import Logger

from aimirror.caching.telling import tells
from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.pypi import names
from aimirror.ecosystems.pypi import pages as pypi
from aimirror.ecosystems.pypi.clients import CLIENTS, PRESETS
from aimirror.ecosystems.pypi.names import METADATA
from aimirror.ecosystems.pypi.said import MOST_PAGE, Said, names_bytes
from aimirror.ecosystems.pypi.sidecars import Sidecars
from aimirror.exchanges.answering import UNABLE
from aimirror.http import urls
from aimirror.http.forwarding import asked_for_storing
from aimirror.http.headers import Headers
from aimirror.indexes.indexes import credential, is_stored
from aimirror.indexes.proving import Hashes
from aimirror.interfaces import ILibrary, IUpstreamResponse, UpstreamError
from aimirror.mirror.ecosystem import (
    UNTAKEN,
    ClientRequest,
    Declined,
    Desk,
    General,
    Lookup,
    Untaken,
)
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer, Streamed
from aimirror.server.errors import error_answer

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
        self._said = Said(library)

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
        if stored and names_bytes(route):
            return UNTAKEN
        digest = await self._said.expected(request, route, mirror, scope, stored)
        if digest is None and not names_bytes(route):
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
        if stored and names_bytes(route):
            return UNTAKEN
        digest = await self._said.expected(request, route, mirror, scope, stored)
        if stored and digest is not None and not await self._replaced(route, digest, scope):
            return UNTAKEN
        immutable = digest is not None or (route.immutable and names_bytes(route))
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
        return await self._said.digest(route, mirror, "")


def _made(answer: Answer, content: bytes, kind: str) -> Answer:
    """An answer with a body that was made of its own."""
    headers = answer.headers.without("content-length", "last-modified", "content-encoding")
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = headers.with_("Content-Type", kind).with_("ETag", etag)
    return Answer(status=200, headers=headers, body=content)


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
