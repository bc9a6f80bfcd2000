"""One exchange with an upstream: from the first request to a body that is being stored."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.download.assignment import Assignment
from aimirror.download.connections import Allowance
from aimirror.download.download import Download
from aimirror.download.plan import first_piece
from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.answering import Kind, Meaning, as_whole, meaning, validator
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.continued import ContinuedResponse
from aimirror.exchanges.decoding import DecodedResponse, decodable
from aimirror.exchanges.environment import Environment, Finished, Place
from aimirror.exchanges.judging import Judge, Judged, part_meta
from aimirror.exchanges.plain import PlainFill
from aimirror.exchanges.ranged import RangedFill
from aimirror.exchanges.responses import drain
from aimirror.exchanges.versions import version
from aimirror.http.headers import Headers
from aimirror.interfaces import (
    Arriving,
    IUpstreamResponse,
    Outcome,
    Passing,
    UpstreamError,
    Validated,
    Wanted,
)
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Strategy
from aimirror.upstream.health import Health

if TYPE_CHECKING:
    from aimirror.store.parts import Part

Fill = PlainFill | RangedFill
_T = TypeVar("_T")


class Exchange:
    """Asks the upstreams of ``wanted`` and starts the fill that their answer calls for.

    ``begun(fill)`` is called before the fill starts and lets it have its share of connections,
    ``over(Finished)`` once it has ended; for outcomes that store nothing only the latter.
    ``storing()`` says whether there is any use in trying to store the file, ``draws`` whether to
    draw it from several upstreams at once.
    """

    log = Logger()

    def __init__(
        self,
        env: Environment,
        health: Health,
        wanted: Wanted,
        *,
        storing: Callable[[], bool],
        draws: bool,
        begun: Callable[[Fill], None],
        rate_limit: Callable[[], int],
        over: Callable[[Finished], None],
    ) -> None:
        self._env = env
        self._asking = Asking(env, health, wanted)
        self._wanted = wanted
        self._judge = Judge(wanted)
        self._rule = wanted.route.rule
        self._storing = storing
        self._draws = draws
        self._begun = begun
        self._rate_limit = rate_limit
        self._over = over

    async def run(self) -> Outcome:
        """The outcome as soon as the header is there; raises UpstreamError.

        Cancelling closes the connection, and leaves a part that was to be resumed as it was.
        """
        part = self._resumable()
        if part is not None:
            outcome = await self._resume(part)
            if outcome is not None:
                return outcome
        span = self._first_span()
        conditional = bool(len(self._wanted.conditional))
        response = await self._asking.first(span, conditional=conditional)
        found = meaning(response.status, response.headers, span, conditional)
        previous = self._wanted.previous
        if found.kind is Kind.NOT_MODIFIED and previous is not None:
            renewed = self._judge.renewed(
                previous, response, 304, response.headers, self._asking.asked_at, self._now()
            )
            if renewed is not None:
                return self._validated(previous, renewed, response)
            found = Meaning(Kind.ASK_PLAINLY)
        if found.kind is Kind.RANGED:
            outcome = await self._or_abort(response, self._ranged(response, found, None))
            if outcome is not None:
                return outcome
            found = Meaning(Kind.ASK_PLAINLY)
        if found.kind is Kind.ASK_PLAINLY:
            response.abort()
            response = await self._asking.first(None)
        return await self._or_abort(response, self._plain(response))

    async def _or_abort(self, response: IUpstreamResponse, doing: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await doing
        except BaseException:
            response.abort()
            raise

    def _first_span(self) -> tuple[int, int] | None:
        if self._rule.strategy is not Strategy.PARALLEL:
            return None
        return 0, first_piece(self._rule.chunk_size)

    # -- outcomes --------------------------------------------------------------------------

    def _validated(self, previous: Entry, renewed: Judged, response: IUpstreamResponse) -> Outcome:
        drain(response)
        try:
            if renewed.store:
                self._env.store.put(renewed.entry)
            else:
                self._env.store.drop(previous)
        except OSError as error:
            self.log.error("an entry could not be renewed: {error}", error=str(error))
        self._over(Finished())
        return Validated(renewed.entry)

    def _judged(self, response: IUpstreamResponse, status: int, headers: Headers) -> Judged:
        return self._judge.answer(response, status, headers, self._asking.asked_at, self._now())

    async def _plain(self, response: IUpstreamResponse) -> Outcome:
        """One stream: stored if it may be, else passed on to the one who asked."""
        response = DecodedResponse(response) if decodable(response.headers) else response
        response = self._continued(response)
        self._check_size(response, response.length)
        judged = self._judged(response, response.status, response.headers)
        entry = judged.entry
        if (
            self._judge.spares(response.status, self._now())
            or not judged.store
            or self._judge.too_large(response.length)
            or not self._storing()
        ):
            return self._passing(response)
        part: Part | None = None
        try:
            part = await self._new_part(response, entry, response.length)
            fill = PlainFill(
                self._env,
                part,
                response,
                entry,
                self._judge.digest(response),
                self._rate_limit,
                self._over,
                size=self._wanted.route.size,
            )
        except OSError as error:
            self._not_cached(part, error)
            return self._passing(response)
        self._begun(fill)
        fill.begin()
        return Arriving(entry, fill.body, self._wanted.scope)

    def _continued(self, response: IUpstreamResponse) -> IUpstreamResponse:
        """A response that goes on when it breaks off, where its version is certain."""
        known = version(response.status, response.headers, response.length, self._now())
        if known is None:
            return response
        return ContinuedResponse(
            response,
            known,
            ask=partial(self._asking.rest, known.validator.if_range()),
            wait=self._asking.wait,
            jitter=self._env.jitter,
        )

    def _check_size(self, response: IUpstreamResponse, total: int | None) -> None:
        why = self._judge.contradicted(response, total)
        if why:
            raise UpstreamError(Reason.CHANGED, why)

    def _passing(self, response: IUpstreamResponse) -> Outcome:
        self._over(Finished())
        return Passing(response)

    def _not_cached(self, part: Part | None, error: OSError) -> None:
        self.log.warn("not cached: {error}", error=str(error))
        if part is not None:
            part.discard()
            part.close()

    async def _new_part(self, response: IUpstreamResponse, entry: Entry, total: int | None) -> Part:
        store = self._env.store
        if total is None and not await store.make_spare_room():
            raise OSError("there is no room")
        if total and not await store.make_room(total):
            raise OSError(f"there is no room for {total} bytes")
        part = store.create_part(part_meta(response, entry, total))
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
        """Start a ranged download, of a new part or of one to go on with.

        None, the part given up, when this file can't or may not be stored.
        """
        self._check_size(response, found.total)
        judged = self._judged(response, 200, as_whole(response.headers, found.total))
        entry = judged.entry
        digest = self._judge.digest(response)
        if not judged.store or self._judge.too_large(found.total) or not self._storing():
            if part is not None:
                self._give_up(part)
            return None
        try:
            part = part or await self._new_part(response, entry, found.total)
            fill = self._fill(response, found, part, entry, digest)
        except OSError as error:
            self._not_cached(part, error)
            return None
        self._begun(fill)
        fill.begin(response, found.start, found.stop)
        self._draw_from_others(fill, digest)
        return Arriving(entry, fill.body, self._wanted.scope)

    def _fill(
        self,
        response: IUpstreamResponse,
        found: Meaning,
        part: Part,
        entry: Entry,
        digest: Digest | None,
    ) -> RangedFill:
        assignment = Assignment(
            total=found.total,
            allowance=Allowance(0),
            primary=self._asking.source,
            chunk_size=self._rule.chunk_size,
            jitter=self._env.jitter,
            written=part.written,
            latency=max(0.0, self._now() - self._asking.asked_at) / (1 + len(response.hops)),
        )
        machine = Download(assignment, (digest.algorithm, digest.hex) if digest else None)
        fill: RangedFill

        def resolve(source: int) -> Deferred[Place | FetchResult]:
            return Deferred.fromCoroutine(self._asking.resolve(source, fill))

        def whole(source: int) -> Deferred[IUpstreamResponse | FetchResult]:
            return Deferred.fromCoroutine(self._asking.whole(source, fill))

        fill = RangedFill(
            self._env,
            part,
            machine,
            entry,
            self._asking.place(self._asking.source, response),
            resolve=resolve,
            whole=whole,
            rate_limit=self._rate_limit,
            over=self._over,
        )
        return fill

    def _draw_from_others(self, fill: RangedFill, digest: Digest | None) -> None:
        """Ask the rule's other upstreams whether they have the same file, and use them too."""
        if fill.total <= self._rule.min_size or not self._draws:
            return
        for source in range(len(self._wanted.route.urls)):
            if source != fill.machine.primary:
                asked = Deferred.fromCoroutine(self._asking.locate(source, fill.total))
                asked.addCallback(partial(self._found_other, fill, source, digest))
                asked.addErrback(lambda f: self.log.failure("asking another upstream failed", f))

    def _found_other(
        self, fill: RangedFill, source: int, digest: Digest | None, found: Place | FetchResult
    ) -> None:
        if isinstance(found, FetchResult):
            return
        if digest is not None or fill.same_version(source, found.validator, strongly=True):
            fill.add_source(source, found)

    # -- going on --------------------------------------------------------------------------

    def _resumable(self) -> Part | None:
        if self._rule.strategy is not Strategy.PARALLEL or len(self._wanted.conditional):
            return None
        return self._env.store.resumable(self._wanted.key, self._wanted.scope)

    async def _resume(self, part: Part) -> Outcome | None:
        """Go on with what a crash or a lost upstream left, if the file is still the same.

        None, the part given up, when it is not; the part is kept when the upstream can't tell.
        """
        span, if_range = self._missing(part), part.meta.validator.if_range()
        if span is None or not if_range:
            self._give_up(part)
            return None
        try:
            response = await self._asking.first(span, if_range=if_range)
        except BaseException:
            part.close()
            raise
        found = meaning(response.status, response.headers, span, False)
        same = part.meta.validator.agrees(validator(response.headers))
        if found.kind is Kind.RANGED and found.total == part.meta.total and same:
            outcome = await self._or_abort(response, self._ranged(response, found, part))
            if outcome is None:
                response.abort()
            return outcome
        if found.kind is Kind.WHOLE and response.status >= 400:
            await part.close()
            return await self._or_abort(response, self._plain(response))
        self._give_up(part)
        response.abort()
        return None

    def _missing(self, part: Part) -> tuple[int, int] | None:
        """The first missing bytes, or the last byte when all are there."""
        total = part.meta.total
        if not total:
            return None
        gaps = part.written.gaps(0, total)
        start, stop = gaps.pairs[0] if gaps else (total - 1, total)
        return start, min(stop, start + first_piece(self._rule.chunk_size))

    def _give_up(self, part: Part) -> None:
        part.discard()
        part.close()

    def _now(self) -> float:
        return self._env.clock.seconds()
