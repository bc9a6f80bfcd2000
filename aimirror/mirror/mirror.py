"""The mirror itself: request -> rule -> (ecosystem) -> cache, download or passing on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.exchanges.answering import REDIRECTS, WITHHELD
from aimirror.http.forwarding import asked_for_storing, scope_of
from aimirror.http.headers import Headers
from aimirror.http.tokens import misled
from aimirror.http.urls import canonical, host, origin, undotted
from aimirror.http.urls import path as path_of
from aimirror.interfaces import ILibrary, Refresh, UpstreamError, Wanted
from aimirror.mirror.cached import Cached
from aimirror.mirror.ecosystem import (
    GENERAL,
    ClientRequest,
    Declined,
    Ecosystem,
    Lookup,
    Untaken,
)
from aimirror.mirror.handlers import handler_of
from aimirror.mirror.passing import Passer, failed
from aimirror.mirror.transforms import Transforms
from aimirror.routing.choices import Credentials, KeySource, Strategy
from aimirror.routing.digests import Digest
from aimirror.routing.mounts import mounts
from aimirror.routing.rules import Refused, Route, Rule
from aimirror.routing.rules import route_of as route_of
from aimirror.routing.served_names import PLAIN, ServedName, ServedNames
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest

#: Targets whose routes are kept, and characters of one: they depend on the rules alone, which
#: never change here.
MOST_ROUTES = 1024
LONGEST_KEPT = 512


def _below(request: ClientRequest, answer: Answer) -> Answer:
    """An answer whose ``Location`` is a path, for clients that reach the mirror below one."""
    location = answer.headers.get("location") or ""
    if not request.mirror or not location.startswith("/"):
        return answer
    return evolve(
        answer,
        headers=answer.headers.with_("Location", path_of(request.mirror).rstrip("/") + location),
    )


def _routed(rules: tuple[Rule, ...], path: str, query: str | None) -> Route | Refused | None:
    route = route_of(rules, undotted(path), query or "")
    if query == "" and isinstance(route, Route):  # a question mark alone is part of the target, too
        urls = tuple(f"{url}?" for url in route.urls)
        return evolve(route, urls=urls, key=f"{route.key}?")
    return route


def _scope(request: ClientRequest, route: Route) -> str:
    return scope_of(request.headers, route.rule.credential_headers)


class Mirror:
    """Answers requests by rules; ``ecosystems`` maps the names that rules use.

    ``reached`` says by which base URL a client came here.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...],
        library: ILibrary,
        reached: Callable[[MirrorRequest], str],
        ecosystems: Mapping[str, Ecosystem] | None = None,
        names: ServedNames | None = None,
    ) -> None:
        self.rules = rules
        self.library = library
        self._reached = reached
        self._names = names or ServedNames()
        self._kept_route = lru_cache(MOST_ROUTES)(partial(_routed, rules))
        self._ecosystems = dict(ecosystems or {})
        self._transforms = Transforms(mounts(rules), library.aside)
        self._passer = Passer(library, self._transforms)
        self._cached = Cached(library, self._transforms, self._passer)

    async def handle(self, wire: MirrorRequest) -> Answer:
        """The answer to a request on a wire."""
        name = self._names.find(wire.headers.get("host") or "")
        path, query = name.path(wire.raw_path), wire.raw_query
        kept = len(path) + len(query or "") <= LONGEST_KEPT
        route = self._kept_route(path, query) if kept else _routed(self.rules, path, query)
        if route is None:
            return error_answer(404, "no rule", "no rule of this mirror takes that path")
        if isinstance(route, Refused):
            return error_answer(400, "bad path", route.reason)
        return await self.handle_routed(wire, route, name)

    async def handle_routed(
        self, wire: MirrorRequest, route: Route, name: ServedName = PLAIN
    ) -> Answer:
        """The same where the route is known already.

        Raises BodyFailed before anything was sent; then it may be asked once more.
        """
        wire.rule = route.rule.name
        request = ClientRequest(
            method=wire.head.method,
            path=name.path(wire.raw_path),
            query=wire.raw_query,
            headers=wire.headers,
            peer=wire.peer,
            reached=self._reached(wire),
            proxied=bool(wire.proxied),
            admitted=wire.admitted,
            registry=name.registry,
            target=wire.head.target,
            settled=self._ecosystem(route.rule).settled
            and route.rule.cache_key_source is not KeySource.FINAL,
            body=wire.body,
            waited=wire.wait,
        )
        wire.open = route.rule.cors and not _scope(request, route)
        return _below(request, await self.reply(request, route))

    async def reply(self, request: ClientRequest, route: Route) -> Answer:
        """The answer to a request, by the rule's package world or the general way."""
        strays = misled(request.headers, host(route.urls[0]))
        if strays or route.rule.credentials is Credentials.NONE:
            request = evolve(request, headers=request.headers.without(*route.rule.secrets))
        try:
            taken = await self._ecosystem(route.rule).take(request, route, self)
            if not isinstance(taken, Untaken):
                return taken
            if request.method not in ("GET", "HEAD"):
                return await self.forward(request, route)
            return await self.answer(request, route)
        except UpstreamError as error:
            return failed(request.body, error)

    async def known(self, route: Route) -> Digest | None:
        """What a file must hash to, as far as this node knows; no upstream is asked."""
        return route.digest or await self._ecosystem(route.rule).known(route, self)

    async def answer(
        self,
        request: ClientRequest,
        route: Route,
        *,
        headers: Headers | None = None,
        scope: str | None = None,
        refresh: Refresh | None = None,
        granted: bool = False,
        declines: frozenset[int] = frozenset(),
        not_before: float = 0.0,
    ) -> Answer:
        """See Desk."""
        if route.rule.cache_key_source is KeySource.FINAL:
            route = await self._final(request, route)
        compressed = route.rule.strategy is Strategy.PROXY
        if headers is None:
            headers = asked_for_storing(
                request.headers, compressed=compressed, more=route.request_headers
            )
        lookup = Lookup(
            request=request,
            route=route,
            headers=headers,
            scope=_scope(request, route) if scope is None else scope,
            now=self.library.now(),
            ecosystem=self._ecosystem(route.rule),
            refresh=refresh,
            granted=granted,
            declines=declines,
            not_before=not_before,
        )
        return lookup.ecosystem.finish(lookup, await self._shared_or_own(lookup))

    async def _shared_or_own(self, lookup: Lookup) -> Answer:
        """What anybody may have, without the credential; else what its owner may have.

        A credential proves nothing about what is public: only an answer given without it does.
        """
        if lookup.rule.public and lookup.scope:
            stripped = lookup.headers.without(*lookup.rule.secrets)
            declines = lookup.declines | WITHHELD | REDIRECTS
            # Nor may a renewal bring the credential back: what it opens would pass for public.
            # Many answer strangers by another server's page: only a digest makes that this one's.
            here = lookup.route.digest is None
            shared = evolve(
                lookup, headers=stripped, scope="", declines=declines, refresh=None, here=here
            )
            try:
                return await self._cached.answer(shared)
            except Declined:
                pass
            except UpstreamError:
                if not lookup.rule.cache.private_grace:
                    raise
        return await self._cached.answer(lookup)

    async def forward(
        self, request: ClientRequest, route: Route, headers: Headers | None = None
    ) -> Answer:
        """See Desk."""
        return await self._passer.forward(request, route, headers)

    async def changed(self, request: ClientRequest, route: Route, answer: Answer) -> Answer:
        """See Desk."""
        change = self._transforms.change(route, answer, request.headers, request.mirror)
        if change is None:
            return answer
        return await self._transforms.carry_out(request, answer, change, "")

    def _ecosystem(self, rule: Rule) -> Ecosystem:
        world = self._ecosystems.get(rule.ecosystem, GENERAL)
        return self._ecosystems.get(handler_of(rule), world)

    async def _final(self, request: ClientRequest, route: Route) -> Route:
        """The route under the URL that redirects lead to, for rules that key on it.

        What is stored there is what the rule's own upstream leads to or sends, so that it must not
        pass for what another rule has of that URL's host.
        """
        wanted = Wanted(
            route=route,
            headers=asked_for_storing(
                request.headers, compressed=False, more=route.request_headers
            ),
            scope=_scope(request, route),
        )
        url = await self.library.final(wanted)
        if url is None:
            return route
        key, owner = canonical(url), origin(route.key)
        return evolve(route, key=key if origin(key) == owner else f"{key}#{owner}")
