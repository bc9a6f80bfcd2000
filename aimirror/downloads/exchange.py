"""One exchange with an upstream: from the first request to a body that is being stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from aimirror.cache.journal import PartMeta
from aimirror.core import digests, urls
from aimirror.core.answering import Kind, Meaning, as_whole, meaning, validator
from aimirror.core.caching import Storing as Verdict
from aimirror.core.caching import confirms, freshen, prepare, storable, variant
from aimirror.core.digests import Digest
from aimirror.core.download import Download
from aimirror.core.entries import Entry
from aimirror.core.fetching import FetchResult, Outgoing, Reason
from aimirror.core.headers import CREDENTIALS, Headers
from aimirror.core.health import Health
from aimirror.core.plan import first_piece
from aimirror.core.ranges import format_range
from aimirror.core.rules import Rule, Strategy
from aimirror.downloads.decoding import DecodedResponse, decodable
from aimirror.downloads.plain import PlainFill
from aimirror.downloads.ranged import Place, RangedFill
from aimirror.downloads.tools import (
    Finished,
    Outcome,
    Passing,
    Storing,
    Tools,
    Validated,
    Wanted,
)
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError

if TYPE_CHECKING:
    from aimirror.cache.parts import Part

#: Answers that say that this upstream can't, so that another one is asked.
_UNABLE = frozenset({429, 500, 502, 503, 504})

Fill = PlainFill | RangedFill


class Exchange:
    """Asks the upstreams of ``wanted`` and starts the fill that their answer calls for.

    ``begun(fill)`` is called before the fill starts, ``over(Finished)`` once it has ended; for
    outcomes that store nothing only the latter.
    """

    log = Logger()

    def __init__(
        self,
        tools: Tools,
        health: Health,
        wanted: Wanted,
        *,
        expected: Callable[[], Digest | None],
        begun: Callable[[Fill], int],
        rate_limit: Callable[[], int],
        over: Callable[[Finished], None],
    ) -> None:
        self._tools = tools
        self._health = health
        self._wanted = wanted
        self._rule = wanted.route.rule
        self._expected = expected
        self._begun = begun
        self._rate_limit = rate_limit
        self._over = over
        self._headers = wanted.headers
        self._asked_at = 0.0
        self._source = 0
        self.fill: Fill | None = None

    async def run(self) -> Outcome:
        """The outcome as soon as the header is there; raises UpstreamError."""
        part = self._resumable()
        if part is not None:
            outcome = await self._resume(part)
            if outcome is not None:
                return outcome
        span = self._first_span()
        conditional = bool(len(self._wanted.conditional))
        response = await self._ask(span, conditional)
        found = meaning(response.status, response.headers, span, conditional)
        previous = self._wanted.previous
        if found.kind is Kind.NOT_MODIFIED and previous is not None:
            if confirms(previous, response.headers):
                return self._validated(previous, response)
            found = Meaning(Kind.ASK_PLAINLY)
        if found.kind is Kind.RANGED:
            outcome = await self._ranged(response, found, None)
            if outcome is not None:
                return outcome
            found = Meaning(Kind.ASK_PLAINLY)
        if found.kind is Kind.ASK_PLAINLY:
            response.abort()
            response = await self._ask(None, conditional=False)
        return await self._plain(response)

    # -- asking ----------------------------------------------------------------------------

    def _first_span(self) -> tuple[int, int] | None:
        if self._rule.strategy is not Strategy.PARALLEL:
            return None
        return 0, first_piece(self._rule.chunk_size)

    async def _ask(self, span: tuple[int, int] | None, conditional: bool) -> IUpstreamResponse:
        """The first answer of an upstream that can; the others are asked in order of health."""
        targets = self._wanted.route.urls
        order = self._health.order([urls.host(u) for u in targets], self._now())
        for turn, source in enumerate(order):
            host, last = urls.host(targets[source]), turn == len(order) - 1
            self._asked_at = self._now()
            try:
                response = await self._request(source, span, conditional)
            except UpstreamError:
                self._health.failed(host, self._now())
                if last:
                    raise
                continue
            if _rejected(self._rule, response):
                response.abort()
                if last:
                    raise UpstreamError(Reason.STATUS, "a page where a file should be")
                continue
            if response.status in _UNABLE:
                self._health.failed(host, self._now())
                if not last:
                    response.abort()
                    continue
            else:
                self._health.succeeded(host)
            self._source = source
            return response
        raise UpstreamError(Reason.CONNECT, "no upstream")

    async def _request(
        self, source: int, span: tuple[int, int] | None, conditional: bool, if_range: str = ""
    ) -> IUpstreamResponse:
        """Ask one source; when a token has expired, once more with a new one."""
        response = await self._send(source, span, conditional, if_range)
        if response.status != 401 or self._wanted.refresh is None:
            return response
        headers = await self._wanted.refresh()
        if headers is None:
            return response
        response.abort()
        self._headers = headers
        return await self._send(source, span, conditional, if_range)

    def _send(
        self, source: int, span: tuple[int, int] | None, conditional: bool, if_range: str
    ) -> Deferred[IUpstreamResponse]:
        headers = self._headers
        if span is not None:
            headers = headers.with_("Range", format_range(*span))
            headers = headers.with_("Accept-Encoding", "identity")
            if if_range:
                headers = headers.with_("If-Range", if_range)
        if conditional:
            headers = Headers([*headers, *self._wanted.conditional])
        outgoing = Outgoing(
            "GET",
            self._wanted.route.urls[source],
            headers,
            self._tools.egress(self._rule),
            self._tools.timeouts,
        )
        return self._tools.upstream.request(outgoing, None, self._tools.redirects)

    def _now(self) -> float:
        return self._tools.clock.seconds()

    # -- outcomes --------------------------------------------------------------------------

    def _validated(self, previous: Entry, response: IUpstreamResponse) -> Outcome:
        response.deliver(_Nobody())
        entry = freshen(previous, response.headers, self._asked_at, self._now())
        if previous.scope not in ("", self._wanted.scope):
            entry = evolve(entry, scope=self._wanted.scope)
        if self._storable(entry.status, entry.headers).store:
            self._tools.store.put(entry)
        else:
            self._tools.store.drop(previous)
        self._over(Finished())
        return Validated(entry)

    def _storable(self, status: int, headers: Headers) -> Verdict:
        route = self._wanted.route
        return storable(
            "GET",
            self._wanted.headers,
            status,
            headers,
            self._rule.cache,
            immutable=route.immutable,
        )

    def _entry(self, response: IUpstreamResponse, headers: Headers, verdict: Verdict) -> Entry:
        for name in self._rule.head_meta_headers:
            kept = next((h.headers.get(name) for h in response.hops if name in h.headers), None)
            if kept is not None:
                headers = headers.with_(name, kept)
        now = self._now()
        stored = prepare(headers, now)
        if self._wanted.route.digest is not None:
            stored = stored.without("vary")  # a digest names the same bytes for everybody
        varies = variant(stored.get_all("Vary"), self._wanted.headers)
        name, selecting = varies if varies is not None else ("", Headers())
        return Entry(
            key=self._wanted.key,
            scope="" if verdict.public else self._wanted.scope,
            variant=name,
            status=200 if response.status == 206 else response.status,
            headers=stored,
            selecting=selecting,
            requested_at=self._asked_at,
            received_at=now,
            rule=self._rule.name,
            immutable=self._wanted.route.immutable and response.status in (200, 206),
        )

    def _digest(self, response: IUpstreamResponse) -> Digest | None:
        """What the bytes must hash to, if anybody has said it."""
        route = self._wanted.route
        if response.status not in (200, 206) or "content-encoding" in response.headers:
            return None
        _, _, query = route.key.partition("?")
        known = route.digest or self._expected()
        return known or digests.expected(self._rule.digests, route.path, query, response.headers)

    async def _plain(self, response: IUpstreamResponse) -> Outcome:
        """One stream: stored if it may be, else passed on to the one who asked."""
        if decodable(response.headers):
            response = DecodedResponse(response)
        verdict = self._storable(response.status, response.headers)
        limit, length = self._rule.max_size, response.length
        if not verdict.store or (limit is not None and length is not None and length > limit):
            return self._passing(response)
        entry = self._entry(response, response.headers, verdict)
        try:
            part = await self._new_part(response, entry, length)
        except OSError as error:
            self.log.warn("not cached: {error}", error=str(error))
            return self._passing(response)
        fill = PlainFill(
            self._tools, part, response, entry, self._digest(response), self._rate_limit, self._over
        )
        self.fill = fill
        self._begun(fill)
        fill.begin()
        return Storing(entry, fill.body)

    def _passing(self, response: IUpstreamResponse) -> Outcome:
        self._over(Finished())
        return Passing(response)

    async def _new_part(self, response: IUpstreamResponse, entry: Entry, total: int | None) -> Part:
        meta = PartMeta(
            key=entry.key,
            scope=entry.scope,
            url=response.url,
            validator=validator(response.headers),
            total=total,
            status=entry.status,
            headers=entry.headers,
            requested_at=entry.requested_at,
            received_at=entry.received_at,
            rule=entry.rule,
        )
        if total and not await self._tools.store.make_room(total):
            raise OSError(f"there is no room for {total} bytes")
        part = self._tools.store.create_part(meta)
        try:
            if total:
                part.allocate(total)
        except OSError:
            part.discard()
            part.close()
            raise
        return part

    # -- ranges ----------------------------------------------------------------------------

    async def _ranged(
        self, response: IUpstreamResponse, found: Meaning, part: Part | None
    ) -> Outcome | None:
        """Start a ranged download; None when this file is not to be stored."""
        headers = as_whole(response.headers, found.total)
        verdict = self._storable(200, headers)
        limit = self._rule.max_size
        if not verdict.store or (limit is not None and found.total > limit):
            return None
        entry = self._entry(response, headers, verdict)
        try:
            part = part or await self._new_part(response, entry, found.total)
        except OSError as error:
            self.log.warn("not cached: {error}", error=str(error))
            return None
        digest = self._digest(response)
        machine = Download(
            total=found.total,
            slots=0,
            chunk_size=self._rule.chunk_size,
            digest=(digest.algorithm, digest.hex) if digest else None,
            jitter=self._tools.jitter,
            written=part.written,
            latency=max(0.0, self._now() - self._asked_at) / (1 + len(response.hops)),
        )
        fill = RangedFill(
            self._tools,
            part,
            machine,
            entry,
            self._place(self._source, response),
            resolve=self._resolve,
            whole=self._whole,
            rate_limit=self._rate_limit,
            over=self._over,
        )
        self.fill = fill
        machine.slots = self._begun(fill)
        fill.begin(response, found.start, found.stop)
        self._draw_from_others(fill, found.total, digest)
        return Storing(entry, fill.body)

    def _place(self, source: int, response: IUpstreamResponse) -> Place:
        """Where workers ask: the URL that answered, without credentials if it is elsewhere."""
        headers = self._headers.without("accept-encoding")
        if urls.origin(response.url) != urls.origin(self._wanted.route.urls[source]):
            headers = headers.without(*CREDENTIALS)
        egress = evolve(self._tools.egress(self._rule), reach=response.reach)
        return Place(response.url, headers, egress, validator(response.headers))

    def _resumable(self) -> Part | None:
        if self._rule.strategy is not Strategy.PARALLEL or len(self._wanted.conditional):
            return None
        return self._tools.store.resumable(self._wanted.key, self._wanted.scope)

    async def _resume(self, part: Part) -> Outcome | None:
        """Go on with what a crash or a lost upstream left, if the file is still the same."""
        total = part.meta.total
        if_range = part.meta.validator.if_range()
        outcome: Outcome | None = None
        try:
            if total and if_range:
                gaps = part.written.gaps(0, total)
                start = gaps.pairs[0][0] if gaps else total - 1
                stop = min(gaps.pairs[0][1] if gaps else total, start + self._piece())
                self._asked_at = self._now()
                response = await self._request(0, (start, stop), False, if_range)
                found = meaning(response.status, response.headers, (start, stop), False)
                same = part.meta.validator.agrees(validator(response.headers))
                if found.kind is Kind.RANGED and found.total == total and same:
                    outcome = await self._ranged(response, found, part)
                if outcome is None:
                    response.abort()
        except UpstreamError:
            part.close()
            raise
        if outcome is None:
            part.discard()
            part.close()
        return outcome

    def _piece(self) -> int:
        return first_piece(self._rule.chunk_size)

    def _resolve(self, source: int) -> Deferred[Place | FetchResult]:
        """Ask the original URL of a source for the place that serves its file now."""
        return Deferred.fromCoroutine(self._find_place(source))

    async def _find_place(self, source: int) -> Place | FetchResult:
        fill = self.fill
        assert isinstance(fill, RangedFill)
        span = (0, 1)
        try:
            response = await self._request(source, span, False)
        except UpstreamError as error:
            return FetchResult(error.reason, 0, detail=error.detail)
        found = meaning(response.status, response.headers, span, False)
        response.abort()
        if found.kind is not Kind.RANGED:
            return FetchResult(Reason.STATUS, 0, status=response.status)
        place = self._place(source, response)
        if found.total != fill.machine.total or not fill.same_version(place.validator):
            return FetchResult(Reason.CHANGED, 0, detail="the upstream has another version now")
        return place

    def _whole(self) -> Deferred[IUpstreamResponse | FetchResult]:
        return Deferred.fromCoroutine(self._ask_whole())

    async def _ask_whole(self) -> IUpstreamResponse | FetchResult:
        fill = self.fill
        assert isinstance(fill, RangedFill)
        try:
            response = await self._request(self._source, None, False)
        except UpstreamError as error:
            return FetchResult(error.reason, 0, detail=error.detail)
        fits = response.length in (None, fill.machine.total)
        if response.status == 200 and fits and fill.same_version(validator(response.headers)):
            return response
        response.abort()
        if response.status == 200:
            return FetchResult(Reason.CHANGED, 0, detail="the upstream has another version now")
        return FetchResult(Reason.STATUS, 0, status=response.status)

    def _draw_from_others(self, fill: RangedFill, total: int, digest: Digest | None) -> None:
        """Ask the rule's other upstreams whether they have the same file, and use them too."""
        if total <= self._rule.min_size:
            return
        for source in range(len(self._wanted.route.urls)):
            if source != self._source:
                self._resolve(source).addCallback(
                    partial(self._found_other, fill, source, digest)
                ).addErrback(lambda f: self.log.failure("asking another upstream failed", f))

    def _found_other(
        self, fill: RangedFill, source: int, digest: Digest | None, found: Place | FetchResult
    ) -> None:
        if not isinstance(found, Place):
            return
        if digest is not None or fill.same_version(found.validator, strongly=True):
            fill.add_source(source, found)


def _rejected(rule: Rule, response: IUpstreamResponse) -> bool:
    kind = response.headers.get("content-type", "") or ""
    return response.status in (200, 206) and rule.rejects(kind)


@implementer(IReceiver)
class _Nobody:
    """Takes a body that nobody wants, so that its connection can be used again."""

    def data(self, chunk: bytes) -> None:
        """Drop it."""

    def finished(self, error: UpstreamError | None) -> None:
        """It is over."""
