"""GET and HEAD by the cache: a stored answer, a joined download, or a fresh exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.core import caching
from aimirror.core.answering import Kind, as_whole, meaning
from aimirror.core.caching import Forward, Handling
from aimirror.core.entries import Entry
from aimirror.core.fetching import Outgoing, Reason
from aimirror.core.freshness import NEGATIVE, must_validate
from aimirror.core.headers import Headers
from aimirror.core.ranges import format_range
from aimirror.core.rules import Route, Rule, Strategy
from aimirror.downloads.tools import Passing, Storing, Tools, Validated, Wanted
from aimirror.interfaces import BodyFailed, IBody, IUpstreamResponse, UpstreamError
from aimirror.web.answers import Answer
from aimirror.web.asked import Asked, Declined
from aimirror.web.errors import error_answer
from aimirror.web.passing import Passer
from aimirror.web.transforms import Transforms

if TYPE_CHECKING:
    from aimirror.downloads.registry import Downloads
    from aimirror.web.request import MirrorRequest

_T = TypeVar("_T")

#: Seconds for which a credential that the upstream has accepted for a file is believed.
GRANTED_FOR = 60.0
#: Bytes of a stored body that is sent from memory.
IN_MEMORY = 256 << 10
#: Seconds for which an exact repeat of a request is answered without a look at the store.
MEMO_SECONDS = 30.0
#: Request fields that ask for something else than the whole stored answer.
_PARTIAL = frozenset({"range", "if-range"})
_WISHES = frozenset({"cache-control", "pragma"})


class Cached:
    """Answers what may be stored; ``mirror_url`` says by which base URL a client came here."""

    log = Logger()

    def __init__(
        self,
        tools: Tools,
        downloads: Downloads,
        transforms: Transforms,
        passer: Passer,
        mirror_url: Callable[[MirrorRequest], str],
    ) -> None:
        self._tools = tools
        self._downloads = downloads
        self._transforms = transforms
        self._passer = passer
        self.mirror_url = mirror_url

    async def answer(self, asked: Asked) -> Answer | None:
        """The answer by stored entries or by the upstream; None when it was streamed.

        Raises UpstreamError and BodyFailed before anything was sent.
        """
        entries = tuple(self._granted(asked, e) for e in self._stored(asked.route.key))
        decision = caching.decide(
            asked.request.head.method,
            asked.headers,
            entries,
            asked.rule.cache,
            asked.now,
            obey_client=self._obeyed(asked.rule),
            scope=asked.scope,
        )
        match decision:
            case caching.Fresh(entry):
                answer = await self._hit(asked, entry, "HIT", Handling(ttl=self._ttl(asked, entry)))
                return answer or await self._fetch(asked, Forward.URI_MISS)
            case caching.StaleWhileRevalidate(entry, conditional):
                self._revalidate(asked, entry, conditional)
                handling = Handling(ttl=self._ttl(asked, entry))
                answer = await self._hit(asked, entry, "STALE", handling)
                return answer or await self._fetch(asked, Forward.URI_MISS)
            case caching.Validate(entry, conditional, forward):
                return await self._fetch(asked, forward, entry, conditional)
            case caching.Miss(forward):
                return await self._miss(asked, forward, entries)
            case _:
                return error_answer(504, "not stored", "only a stored answer was asked for")

    def _obeyed(self, rule: Rule) -> bool:
        """Whether clients' wishes for something fresher cost the upstream a request."""
        obey = rule.cache.obey_clients
        return rule.strategy is Strategy.PROXY if obey is None else obey

    def _stored(self, key: str) -> tuple[Entry, ...]:
        try:
            return self._tools.store.entries(key)
        except OSError as error:
            self.log.error("the cache can't be read: {error}", error=str(error))
            return ()

    def _granted(self, asked: Asked, entry: Entry) -> Entry:
        """A private entry must be asked for again when its owner's grant has aged."""
        if entry.scope and not asked.granted and asked.now - entry.received_at > GRANTED_FOR:
            return evolve(entry, immutable=False, invalidated=True)
        return entry

    def _ttl(self, asked: Asked, entry: Entry) -> float | None:
        left = caching.remaining(entry, asked.rule.cache, asked.now)
        return None if entry.immutable or left > 1e9 else left

    async def _hit(
        self, asked: Asked, entry: Entry, outcome: str, handling: Handling
    ) -> Answer | None:
        """The answer from a stored entry; None when its body turns out to be damaged."""
        asked.decline(entry.status)
        try:
            stored = self._tools.store.body(entry)
            if stored is None and entry.blob:
                return None
            small = stored is not None and stored.size <= IN_MEMORY
            body = stored.data() if stored is not None and small else stored or b""
            self._tools.store.touch(entry)
        except (BodyFailed, OSError):
            return None
        answer = self._entry_answer(asked, entry, body, outcome, handling)
        return await self._changed(asked, answer, entry.blob, entry)

    def _entry_answer(
        self,
        asked: Asked,
        entry: Entry,
        body: IBody | bytes | None,
        outcome: str,
        handling: Handling,
    ) -> Answer:
        told = caching.cache_status(handling)
        before = entry.headers.joined("cache-status")
        headers = caching.serve(entry, asked.now).without("cache-status", "x-cache")
        headers = Headers(
            [
                *headers,
                ("X-Cache", outcome),
                ("Cache-Status", f"{before}, {told}" if before else told),
            ]
        )
        return Answer(status=entry.status, headers=headers, body=body)

    async def _changed(
        self, asked: Asked, answer: Answer, blob: str, entry: Entry
    ) -> Answer | None:
        """The answer as this client should get it: links led here, text compressed."""
        mirror = self.mirror_url(asked.request)
        change = self._transforms.change(asked.route, answer, asked.request.headers, mirror)
        if change is not None:
            changed = await self._transforms.carry_out(asked.request, answer, change, blob)
            if changed is None:
                return None if asked.request.startedWriting else answer
            answer = changed
        if isinstance(answer.body, bytes) and blob:
            answer = evolve(answer, memo_until=self._memo_until(asked, entry))
        return answer

    def _memo_until(self, asked: Asked, entry: Entry) -> float:
        fields = asked.request.headers
        wishes = fields.has_any(_PARTIAL) or (
            self._obeyed(asked.rule) and fields.has_any(_WISHES)
        )
        if entry.scope or wishes or must_validate(entry, asked.rule.cache):
            return 0.0
        left = caching.remaining(entry, asked.rule.cache, asked.now)
        return asked.now + min(MEMO_SECONDS, max(0.0, left))

    async def _timed(self, asked: Asked, waiting: Deferred[_T]) -> _T:
        """Wait for the upstream, on the request's account."""
        clock = self._tools.clock
        began = clock.seconds()
        try:
            return await waiting
        finally:
            asked.request.waited += clock.seconds() - began

    # -- from the upstream -----------------------------------------------------------------

    async def _miss(
        self, asked: Asked, forward: Forward, entries: tuple[Entry, ...]
    ) -> Answer | None:
        if asked.head_only:
            return await self._head(asked)
        for entry in entries:
            # Somebody else's private copy: the upstream says whether this client may have it.
            if entry.scope not in ("", asked.scope) and caching.matches(entry, asked.headers):
                conditional = caching.conditional(entry)
                if len(conditional):
                    return await self._fetch(asked, forward, entry, conditional)
        return await self._fetch(asked, forward)

    async def _fetch(
        self,
        asked: Asked,
        forward: Forward,
        stale: Entry | None = None,
        conditional: Headers | None = None,
    ) -> Answer | None:
        """Ask the upstream, or join who asks already; ``stale`` may stand in for a failure."""
        if asked.head_only and stale is None:
            return await self._head(asked)
        joined = self._downloads.under_way(asked.route.key, asked.scope)
        mine = stale is not None and stale.scope in ("", asked.scope)
        try:
            outcome = await self._timed(
                asked, self._downloads.fetch(self._wanted(asked, stale, conditional))
            )
        except UpstreamError as error:
            if stale is not None and mine and self._may_be_stale(asked, stale, None):
                answer = await self._stale(asked, stale, forward, None, str(error))
                if answer is not None or asked.request.startedWriting:
                    return answer
            raise
        if isinstance(outcome, Passing):
            response = outcome.response
            bad = response.status >= 500 or response.status == 429
            usable = stale is not None and mine and bad
            if stale and usable and self._may_be_stale(asked, stale, response.status):
                response.abort()
                return await self._stale(asked, stale, forward, response.status, "")
            if response.status in asked.declines:
                response.abort()
                raise Declined(response.status)
            refused = asked.ecosystem.refused(asked, response)
            if refused is not None:
                response.abort()
                return refused
            return await self._passer.pass_on(asked.request, asked.route, response, forward)
        return await self._told(asked, outcome, forward, joined)

    async def _told(
        self, asked: Asked, outcome: Validated | Storing, forward: Forward, joined: bool
    ) -> Answer | None:
        entry = outcome.entry
        asked = evolve(asked, now=self._tools.clock.seconds())
        if isinstance(outcome, Validated):
            handling = Handling(
                forward=forward, forward_status=304, collapsed=joined, ttl=self._ttl(asked, entry)
            )
            answer = await self._hit(asked, entry, "REVALIDATED", handling)
            if answer is None and not asked.request.startedWriting:
                self._tools.store.drop(entry)
                return await self._fetch(asked, Forward.URI_MISS)
            return answer
        asked.decline(entry.status)
        handling = Handling(forward=forward, stored=True, collapsed=joined)
        word = "JOIN" if joined else "MISS"
        answer = self._entry_answer(asked, entry, outcome.body, word, handling)
        return await self._changed(asked, answer, "", entry)

    def _wanted(self, asked: Asked, stale: Entry | None, conditional: Headers | None) -> Wanted:
        return Wanted(
            route=asked.route,
            headers=asked.headers,
            scope=asked.scope,
            previous=stale,
            conditional=conditional or Headers(),
            refresh=asked.refresh,
        )

    def _may_be_stale(self, asked: Asked, entry: Entry, status: int | None) -> bool:
        if entry.scope:
            return False
        return caching.on_error(
            entry, status, asked.rule.cache, self._tools.clock.seconds(), asked.headers
        )

    async def _stale(
        self, asked: Asked, entry: Entry, forward: Forward, status: int | None, detail: str
    ) -> Answer | None:
        asked = evolve(asked, now=self._tools.clock.seconds())
        handling = Handling(
            forward=forward,
            forward_status=status,
            ttl=self._ttl(asked, entry),
            detail=detail or "stale",
        )
        return await self._hit(asked, entry, "STALE", handling)

    def _revalidate(self, asked: Asked, entry: Entry, conditional: Headers) -> None:
        """In the background; the client has its answer already."""
        fetching: Deferred[object] = Deferred.fromCoroutine(
            self._refresh(asked, entry, conditional)
        )
        fetching.addErrback(lambda f: self.log.failure("background revalidation failed", f))

    async def _refresh(self, asked: Asked, entry: Entry, conditional: Headers) -> None:
        try:
            outcome = await self._downloads.fetch(self._wanted(asked, entry, conditional))
        except UpstreamError as error:
            self.log.info("{key} stays stale: {error}", key=entry.key, error=str(error))
            return
        if isinstance(outcome, Passing):
            outcome.response.abort()

    async def _head(self, asked: Asked) -> Answer | None:
        """HEAD of what is not stored: what GET would say, without its body."""
        running = self._downloads.running(asked.route.key, asked.scope)
        if running is not None and caching.matches(running.entry, asked.headers):
            handling = Handling(forward=Forward.URI_MISS, collapsed=True)
            return self._entry_answer(asked, running.entry, running.body, "JOIN", handling)
        response = await self._timed(asked, Deferred.fromCoroutine(self._ask_head(asked)))
        found = meaning(response.status, response.headers, (0, 1), False)
        headers, status = response.headers, response.status
        if found.kind is Kind.RANGED:
            headers, status = as_whole(headers, found.total), 200
        elif status == 416 and headers.get("content-range") == "bytes */0":
            headers, status = headers.without("content-range").with_("Content-Length", "0"), 200
        response.abort()
        if asked.rule.rejects(headers.get("content-type", "") or "") and status == 200:
            raise UpstreamError(Reason.STATUS, "a page where a file should be")
        self._absent(asked, status, headers)
        asked.decline(status)
        for name in asked.rule.head_meta_headers:
            kept = next((h.headers.get(name) for h in response.hops if name in h.headers), None)
            if kept is not None:
                headers = headers.with_(name, kept)
        told = caching.cache_status(Handling(forward=Forward.URI_MISS))
        added = [("X-Cache", "MISS"), ("Cache-Status", told)]
        answer = Answer(status=status, headers=Headers([*headers, *added]))
        mirror = self.mirror_url(asked.request)
        change = self._transforms.change(asked.route, answer, asked.request.headers, mirror)
        if change is not None and change.mark:
            text = change.headers(answer.headers, compressible=True)
            return evolve(answer, headers=text.without("content-encoding"))
        return answer

    def _absent(self, asked: Asked, status: int, headers: Headers) -> None:
        """What HEAD found missing is missing for GET, too, and is remembered as such."""
        policy, now = asked.rule.cache, self._tools.clock.seconds()
        if status not in NEGATIVE:
            return
        verdict = caching.storable("GET", asked.headers, status, headers, policy)
        if not verdict.store:
            return
        name, selecting = caching.variant(headers.get_all("Vary"), asked.headers) or ("", Headers())
        self._tools.store.put(
            Entry(
                key=asked.route.key,
                scope="" if verdict.public else asked.scope,
                variant=name,
                status=status,
                headers=caching.prepare(headers, now).without("content-length", "content-type"),
                selecting=selecting,
                requested_at=now,
                received_at=now,
                rule=asked.rule.name,
            )
        )

    async def _ask_head(self, asked: Asked) -> IUpstreamResponse:
        """By GET of one byte where ranges are usual: addresses signed for GET refuse HEAD."""
        headers = asked.headers.with_("Accept-Encoding", "identity")
        method = "HEAD"
        if asked.rule.strategy is Strategy.PARALLEL:
            method, headers = "GET", headers.with_("Range", format_range(0, 1))
        response = await self._request(asked.route, method, headers)
        if response.status != 401 or asked.refresh is None:
            return response
        fresh = await asked.refresh()
        if fresh is None:
            return response
        response.abort()
        again = Headers([*fresh, *headers.only("range")])
        return await self._request(asked.route, method, again)

    def _request(self, found: Route, method: str, headers: Headers) -> Deferred[IUpstreamResponse]:
        outgoing = Outgoing(
            method, found.urls[0], headers, self._tools.egress(found.rule), self._tools.timeouts
        )
        return self._tools.upstream.request(outgoing, None, self._tools.redirects)
