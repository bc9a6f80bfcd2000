"""The mirror itself: request -> rule -> (ecosystem) -> cache, download or passing on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.exchanges.answering import WITHHELD
from aimirror.http.forwarding import asked_for_storing, scope_of
from aimirror.http.headers import Headers
from aimirror.http.tokens import misled
from aimirror.http.urls import canonical, host, origin
from aimirror.interfaces import ILibrary, Refresh, UpstreamError, Wanted
from aimirror.mirror.cached import Cached
from aimirror.mirror.ecosystem import GENERAL, Asked, Declined, Ecosystem, Untaken
from aimirror.mirror.handlers import handler_of
from aimirror.mirror.passing import Passer, failed
from aimirror.mirror.transforms import Transforms
from aimirror.routing.rules import (
    Credentials,
    KeySource,
    Refused,
    Route,
    Rule,
    Strategy,
    mounts,
    route,
)
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest

#: Targets whose routes are kept, and characters of one: they depend on the rules alone, which
#: never change here.
MOST_ROUTES = 1024
LONGEST_KEPT = 512


def _routed(rules: tuple[Rule, ...], path: str, query: str | None) -> Route | Refused | None:
    found = route(rules, path, query or "")
    if query == "" and isinstance(found, Route):  # a question mark alone is part of the target, too
        asked = tuple(f"{url}?" for url in found.urls)
        return evolve(found, urls=asked, key=f"{found.key}?")
    return found


def _scope(request: MirrorRequest, found: Route) -> str:
    return scope_of(request.headers, found.rule.credential_headers)


class Mirror:
    """Answers requests by rules; ``ecosystems`` maps the names that rules use.

    ``mirror_url`` says by which base URL a client came here.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...],
        library: ILibrary,
        mirror_url: Callable[[MirrorRequest], str],
        ecosystems: Mapping[str, Ecosystem] | None = None,
    ) -> None:
        self.rules = rules
        self.library = library
        self.mirror_url = mirror_url
        self._kept_route = lru_cache(MOST_ROUTES)(partial(_routed, rules))
        self._ecosystems = dict(ecosystems or {})
        self._transforms = Transforms(mounts(rules), library.aside)
        self._passer = Passer(library, self._transforms, mirror_url)
        self._cached = Cached(library, self._transforms, self._passer, mirror_url)

    async def handle(self, request: MirrorRequest) -> Answer | None:
        """Answer one request; None when the answer was streamed already."""
        path, query = request.raw_path, request.raw_query
        kept = len(path) + len(query or "") <= LONGEST_KEPT
        found = self._kept_route(path, query) if kept else _routed(self.rules, path, query)
        if found is None:
            return error_answer(404, "no rule", "no rule of this mirror takes that path")
        if isinstance(found, Refused):
            return error_answer(400, "bad path", found.reason)
        return await self.handle_routed(request, found)

    async def handle_routed(self, request: MirrorRequest, found: Route) -> Answer | None:
        """Answer a request whose route is known already.

        Raises BodyFailed before anything was sent; then it may be asked once more.
        """
        request.rule = found.rule.name
        strays = misled(request.headers, host(found.urls[0]))
        if strays or found.rule.credentials is Credentials.NONE:
            request.headers = request.headers.without(*found.rule.secrets)
        try:
            taken = await self._ecosystem(found.rule).take(request, found, self)
            if not isinstance(taken, Untaken):
                return taken
            if request.head.method not in ("GET", "HEAD"):
                return await self.forward(request, found)
            return await self.answer(request, found)
        except UpstreamError as error:
            return failed(request, error)

    async def answer(
        self,
        request: MirrorRequest,
        found: Route,
        *,
        headers: Headers | None = None,
        scope: str | None = None,
        refresh: Refresh | None = None,
        granted: bool = False,
        declines: frozenset[int] = frozenset(),
        not_before: float = 0.0,
    ) -> Answer | None:
        """Answer GET or HEAD by the cache; None when it was streamed.

        ``headers`` go upstream instead of the client's own; ``scope`` names the credential in
        them, ``refresh`` renews them after a 401, ``granted`` says that the caller has asked
        whether the scope may have what is stored for it.  Answers of a status in ``declines`` are
        raised as Declined; what was confirmed before ``not_before`` is asked for again.  Raises
        UpstreamError and BodyFailed before anything was sent.
        """
        if found.rule.cache_key_source is KeySource.FINAL:
            found = await self._final(request, found)
        compressed = found.rule.strategy is Strategy.PROXY
        if headers is None:
            headers = asked_for_storing(
                request.headers, compressed=compressed, more=found.request_headers
            )
        asked = Asked(
            request=request,
            route=found,
            headers=headers,
            scope=_scope(request, found) if scope is None else scope,
            now=self.library.now(),
            ecosystem=self._ecosystem(found.rule),
            refresh=refresh,
            granted=granted,
            declines=declines,
            not_before=not_before,
        )
        answer = await self._shared_or_own(asked)
        return None if answer is None else asked.ecosystem.finish(asked, answer)

    async def _shared_or_own(self, asked: Asked) -> Answer | None:
        """What anybody may have, without the credential; else what its owner may have.

        A credential proves nothing about what is public: only an answer given without it does.
        """
        if asked.rule.public and asked.scope:
            stripped = asked.headers.without(*asked.rule.secrets)
            declines = asked.declines | WITHHELD
            # Nor may a renewal bring the credential back: what it opens would pass for public.
            shared = evolve(asked, headers=stripped, scope="", declines=declines, refresh=None)
            try:
                return await self._cached.answer(shared)
            except Declined:
                pass
            except UpstreamError:
                if not asked.rule.cache.private_grace:
                    raise
        return await self._cached.answer(asked)

    async def forward(
        self, request: MirrorRequest, found: Route, headers: Headers | None = None
    ) -> Answer | None:
        """Pass a request on as it is, both bodies streamed; None when it was answered."""
        return await self._passer.forward(request, found, headers)

    async def changed(self, request: MirrorRequest, found: Route, answer: Answer) -> Answer | None:
        """An answer made here, its links led to the mirror and its text compressed as usual."""
        change = self._transforms.change(found, answer, request.headers, self.mirror_url(request))
        if change is None:
            return answer
        return await self._transforms.carry_out(request, answer, change, "")

    def _ecosystem(self, rule: Rule) -> Ecosystem:
        world = self._ecosystems.get(rule.ecosystem, GENERAL)
        return self._ecosystems.get(handler_of(rule), world)

    async def _final(self, request: MirrorRequest, found: Route) -> Route:
        """The route under the URL that redirects lead to, for rules that key on it.

        What is stored there is what the rule's own upstream leads to or sends, so that it must not
        pass for what another rule has of that URL's host.
        """
        wanted = Wanted(
            route=found,
            headers=asked_for_storing(
                request.headers, compressed=False, more=found.request_headers
            ),
            scope=_scope(request, found),
        )
        url = await self.library.final(wanted)
        if url is None:
            return found
        key, owner = canonical(url), origin(found.key)
        return evolve(found, key=key if origin(key) == owner else f"{key}#{owner}")
