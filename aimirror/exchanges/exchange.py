"""One exchange with an upstream: from the first request to a body that is being stored."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.download.plan import first_piece
from aimirror.download.tasks import Reason
from aimirror.exchanges.answering import Kind, Meaning, as_whole, meaning, still_fills, validator
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.drawing import Drawing
from aimirror.exchanges.elsewhere import Elsewhere
from aimirror.exchanges.environment import Environment, Finished
from aimirror.exchanges.filling import Filling
from aimirror.exchanges.gathered import WholeResponse
from aimirror.exchanges.judging import Judge, Judged
from aimirror.exchanges.terms import Terms
from aimirror.interfaces import (
    IUpstreamResponse,
    Outcome,
    Passing,
    UpstreamError,
    Validated,
    Wanted,
)
from aimirror.routing.choices import Strategy
from aimirror.upstream.health import Health
from aimirror.upstream.responses import TINY, drain

if TYPE_CHECKING:
    from aimirror.store.parts import Part

_T = TypeVar("_T")


class Exchange:
    """Asks the upstreams of ``wanted`` and starts the fill that their answer calls for."""

    log = Logger()

    def __init__(self, env: Environment, health: Health, wanted: Wanted, terms: Terms) -> None:
        self._env = env
        self._asking = Asking(env, health, wanted, clients=terms.clients)
        self._judge = Judge(wanted)
        self._rule = wanted.route.rule
        self._terms = terms
        self._one_connection = terms.once or (terms.one_connection and wanted.route.digest is None)
        #: Whether the first request is to do alone, should it have to.
        self._opens = not terms.repeating and not self._rule.ecosystem
        drawing = Drawing(env, self._asking, terms, self._opens)
        self._filling = Filling(env, self._asking, self._judge, terms, drawing)
        self._elsewhere = Elsewhere(env, self._asking, self._judge, terms, self._filling, drawing)

    async def run(self) -> Outcome:
        """The outcome as soon as the header is there; raises UpstreamError.

        Cancelling closes the connection, and leaves a part that was to be resumed as it was.
        """
        part = self._resumable()
        if part is not None:
            outcome = await self._resume(part)
            if outcome is not None:
                return outcome
        outcome = await self._elsewhere.tiered() or await self._elsewhere.from_owner()
        if outcome is not None:
            return outcome
        if self._asking.wanted.stored_only:
            raise UpstreamError(Reason.STATUS, "no other node has it")
        span = self._first_span()
        conditional = bool(len(self._asking.wanted.conditional))
        try:
            response = await self._asking.first(span, conditional=conditional)
        except UpstreamError:
            outcome = await self._elsewhere.instead(None)
            if outcome is None:
                raise
            return outcome
        return await self._judged_first(response, span, conditional)

    async def _judged_first(
        self, response: IUpstreamResponse, span: tuple[int, int | None] | None, conditional: bool
    ) -> Outcome:
        meant = meaning(response.status, response.headers, span, conditional)
        outcome = await self._elsewhere.instead(response)
        if outcome is not None:
            return outcome
        if meant.kind is Kind.NOT_MODIFIED:
            outcome = await self._not_modified(response)
            if outcome is not None:
                return outcome
            meant = Meaning(Kind.ASK_PLAINLY)
        if meant.kind is Kind.RANGED and self._grows(response, meant):
            meant = Meaning(Kind.ASK_PLAINLY)
        if meant.kind is Kind.RANGED:
            ranged = self._filling.ranged(response, meant, None)
            outcome = await self._or_abort(response, ranged)
            if outcome is not None:
                return outcome
            if len(self._asking.wanted.part):
                response.abort()
                return await self.pass_part()
            if (meant.start, meant.stop) == (0, meant.total):
                response = WholeResponse(response, as_whole(response.headers, meant.total))
            else:
                meant = Meaning(Kind.ASK_PLAINLY)
        if meant.kind is Kind.ASK_PLAINLY:
            response.abort()
            response = await self._asking.first(None)
        outcome = await self._or_abort(response, self._filling.plain(response))
        return await self._narrowed(outcome)

    async def pass_part(self) -> Outcome:
        """What the client's own Range asks for, stored nowhere; raises UpstreamError."""
        return self._filling.passing(await self._asking.part())

    async def _narrowed(self, outcome: Outcome) -> Outcome:
        """A whole that is passed on to a client who wants a part gives way to that part."""
        if not isinstance(outcome, Passing) or not len(self._asking.wanted.part):
            return outcome
        response = outcome.response
        short = response.length is not None and response.length <= TINY
        if response.status != 200 or short:
            return outcome
        response.abort()
        return Passing(self._terms.limited(await self._asking.part()))

    async def _or_abort(self, response: IUpstreamResponse, doing: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await doing
        except BaseException:
            response.abort()
            raise

    def _first_span(self) -> tuple[int, int | None] | None:
        if self._rule.strategy is not Strategy.PARALLEL or self._one_connection:
            return None
        return 0, None if self._opens else first_piece(self._rule.chunk_size)

    def _grows(self, response: IUpstreamResponse, meant: Meaning) -> bool:
        """Whether another mirror only begins to fetch what is more than a first piece."""
        large = meant.total > first_piece(self._rule.chunk_size)
        return large and still_fills(response.headers)

    # -- what is stored still holds --------------------------------------------------------

    async def _not_modified(self, response: IUpstreamResponse) -> Outcome | None:
        previous = self._asking.wanted.previous
        if previous is None:
            return None
        renewed = self._judge.renewed(
            previous, response, 304, response.headers, self._asking.asked_at, self._now()
        )
        if renewed is None:
            return None
        if self._elsewhere.left is None:
            return self._validated(previous, renewed, response)
        drain(response)
        return await self._elsewhere.renewed(renewed.entry) if renewed.store else None

    def _validated(self, previous: Entry, renewed: Judged, response: IUpstreamResponse) -> Outcome:
        drain(response)
        try:
            if renewed.store:
                self._env.store.put(renewed.entry)
            else:
                self._env.store.drop(previous)
        except OSError as error:
            self.log.error("an entry could not be renewed: {error}", error=str(error))
        self._terms.over(Finished())
        return Validated(renewed.entry)

    # -- going on --------------------------------------------------------------------------

    def _resumable(self) -> Part | None:
        wanted = self._asking.wanted
        if self._rule.strategy is not Strategy.PARALLEL or len(wanted.conditional):
            return None
        return self._env.store.resumable(wanted.key, wanted.scope)

    async def _resume(self, part: Part) -> Outcome | None:
        """Go on with what a crash or a lost upstream left, if the file is still the same.

        None, the part given up, when it is not; the part is kept when the upstream can't tell.
        """
        span, if_range = self._missing(part), part.meta.validator.if_range()
        if span is None or not if_range:
            self._filling.give_up(part)
            return None
        try:
            response = await self._asking.first(span, if_range=if_range)
        except BaseException:
            part.close()
            raise
        meant = meaning(response.status, response.headers, span, False)
        same = part.meta.validator.agrees(validator(response.headers))
        if meant.kind is Kind.RANGED and meant.total == part.meta.total and same:
            ranged = self._filling.ranged(response, meant, part)
            outcome = await self._or_abort(response, ranged)
            if outcome is None:
                response.abort()
            return outcome
        if meant.kind is Kind.WHOLE and response.status >= 400:
            await part.close()
            return await self._or_abort(response, self._filling.plain(response))
        self._filling.give_up(part)
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

    def _now(self) -> float:
        return self._env.clock.seconds()
