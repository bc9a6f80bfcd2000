"""HEAD where the store alone can't answer: what GET would say, at the price of a header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from aimirror.caching import caching
from aimirror.caching.caching import Forward, Handling
from aimirror.caching.entries import Entry
from aimirror.caching.freshness import NEGATIVE, holds
from aimirror.caching.redirected import restrained
from aimirror.download.tasks import Reason
from aimirror.exchanges.answering import Kind, as_whole, meaning
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.decoding import DecodedResponse, decodable
from aimirror.exchanges.tools import Tools, Wanted
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstreamResponse, UpstreamError
from aimirror.mirror.ecosystem import Asked
from aimirror.mirror.serving import Damaged, Serving
from aimirror.routing.rules import Strategy
from aimirror.server.answers import Answer
from aimirror.server.relay import let_go

if TYPE_CHECKING:
    from aimirror.exchanges.running import Downloads


@frozen
class _Found:
    """What the upstream says of the file, as it would be stored; or not at all."""

    entry: Entry
    store: bool
    #: The fields as they came, for answers that are not stored.
    headers: Headers


class Heads:
    """Answers HEAD by asking the upstream for a header; no body is ever fetched for it."""

    def __init__(self, tools: Tools, downloads: Downloads, serving: Serving) -> None:
        self._tools = tools
        self._downloads = downloads
        self._serving = serving

    async def answer(
        self, asked: Asked, forward: Forward, stale: Entry | None, conditional: Headers
    ) -> Answer | None:
        """The answer by the upstream; ``stale`` is updated by it, or stands in for a failure.

        Raises UpstreamError.
        """
        running = self._downloads.running(asked.route.key, asked.scope)
        if running is not None and caching.matches(running.entry, asked.headers):
            handling = Handling(forward=forward, stored=True, collapsed=True)
            return await self._serving.made(asked, running.entry, running.body, "JOIN", handling)
        began = self._serving.now()
        try:
            response = await self._ask(asked, stale, conditional)
        except UpstreamError as error:
            if stale is not None and self._serving.may_be_stale(asked, stale, None):
                return await self._serving.stale(asked, stale, forward, None, str(error))
            raise
        finally:
            asked.request.waited += self._serving.now() - began
        let_go(response, bodiless=asked.rule.strategy is Strategy.PROXY)
        if stale is not None:
            if self._serving.may_be_stale(asked, stale, response.status):
                return await self._serving.stale(asked, stale, forward, response.status, "")
            renewed = self._renewed(asked, stale, response, began)
            if renewed is not None:
                handling = Handling(forward=forward, forward_status=response.status)
                try:
                    return await self._serving.hit(asked, renewed, "REVALIDATED", handling)
                except Damaged:
                    return await self.answer(asked, Forward.URI_MISS, None, Headers())
        found = self._found(asked, response, began)
        spared = stale is not None and holds(stale, asked.rule.cache, self._serving.now())
        if found.entry.status in NEGATIVE and found.store and not spared:
            # What HEAD found missing is missing for GET, too.
            kept = found.entry.headers.without("content-length", "content-type")
            self._tools.store.put(evolve(found.entry, headers=kept))
        return await self._fresh(asked, forward, found)

    async def _fresh(self, asked: Asked, forward: Forward, found: _Found) -> Answer | None:
        entry = found.entry
        if asked.rule.rejects(entry.headers.get("content-type", "") or "") and entry.status == 200:
            raise UpstreamError(Reason.STATUS, "a page where a file should be")
        asked.decline(entry.status)
        handling = Handling(forward=forward)
        if not found.store:
            entry = evolve(entry, headers=found.headers)
        return await self._serving.made(
            asked, entry, None, "MISS" if found.store else "PASS", handling
        )

    def _renewed(
        self, asked: Asked, stale: Entry, response: IUpstreamResponse, began: float
    ) -> Entry | None:
        """The entry as a 304, or a 200 to HEAD, updates it (RFC 9111 sections 4.3.4 and 4.3.5).

        None when it can't be served by it; if it is outdated, the next GET asks for a new one.
        """
        headers, status = self._whole(asked, response)
        now = self._serving.now()
        if status == 304 and caching.confirms(stale, headers):
            renewed: Entry | None = caching.freshen(stale, headers, began, now)
        elif status == 200 == stale.status:
            renewed = caching.head_updates(stale, headers, began, now)
        else:
            return None
        if renewed is None:
            self._tools.store.put(evolve(stale, invalidated=True))
            return None
        verdict = self._verdict(asked, renewed.status, renewed.headers)
        if not verdict.store:
            return None
        self._tools.store.put(renewed)
        return renewed

    def _found(self, asked: Asked, response: IUpstreamResponse, began: float) -> _Found:
        headers, status = self._whole(asked, response)
        now = self._serving.now()
        for name in asked.rule.head_meta_headers:
            kept = next((h.headers.get(name) for h in response.hops if name in h.headers), None)
            if kept is not None:
                headers = headers.with_(name, kept)
        verdict = self._verdict(asked, status, headers)
        stored = caching.prepare(headers, now)
        name, selecting = caching.variant(stored.get_all("Vary"), asked.headers) or ("", Headers())
        entry = Entry(
            key=asked.route.key,
            scope="" if verdict.public else asked.scope,
            variant=name,
            status=status,
            headers=stored,
            selecting=selecting,
            requested_at=began,
            received_at=now,
            rule=asked.rule.name,
        )
        return _Found(entry, verdict.store, headers)

    def _verdict(self, asked: Asked, status: int, headers: Headers) -> caching.Storing:
        return caching.storable(
            "GET",
            asked.headers,
            status,
            headers,
            asked.rule.cache,
            immutable=asked.route.immutable,
            personal=bool(asked.scope),
        )

    def _whole(self, asked: Asked, response: IUpstreamResponse) -> tuple[Headers, int]:
        """The fields and the status that GET would have had."""
        if decodable(response.headers):
            response = DecodedResponse(response)
        found = meaning(response.status, response.headers, (0, 1), False)
        headers, status = response.headers, response.status
        if found.kind is Kind.RANGED:
            headers, status = as_whole(headers, found.total), 200
        elif status == 416 and headers.get("content-range") == "bytes */0":
            headers, status = headers.without("content-range").with_("Content-Length", "0"), 200
        hops = ((hop.status, hop.headers) for hop in response.hops)
        return restrained(headers, hops, asked.rule.cache, self._serving.now()), status

    async def _ask(
        self, asked: Asked, stale: Entry | None, conditional: Headers
    ) -> IUpstreamResponse:
        """By GET of one byte where ranges are usual: addresses signed for GET refuse HEAD.

        The rule's upstreams take turns as they do for GET.
        """
        wanted = Wanted(
            route=asked.route,
            headers=asked.headers,
            scope=asked.scope,
            previous=stale,
            conditional=conditional,
            refresh=asked.refresh,
        )
        ranged = asked.rule.strategy is Strategy.PARALLEL
        method, span = ("GET", (0, 1)) if ranged else ("HEAD", None)
        asking = Asking(self._tools, self._downloads.health, wanted, method)
        return await asking.first(span, conditional=True)
