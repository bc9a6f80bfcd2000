"""What an upstream's answer becomes: a fill that is stored, a small body, or one passed on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.download.plan import first_piece
from aimirror.download.tasks import Reason
from aimirror.exchanges.answering import Meaning, as_whole
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.continued import ContinuedResponse
from aimirror.exchanges.decoding import DecodedResponse, decodable
from aimirror.exchanges.drawing import Drawing
from aimirror.exchanges.environment import Environment, Finished, Progress
from aimirror.exchanges.gathered import GatheredResponse, WholeResponse
from aimirror.exchanges.judging import Judge, Judged, part_meta
from aimirror.exchanges.plain import PlainFill
from aimirror.exchanges.small import MOMENT, PROVEN_MOMENT, SmallResponse, proven
from aimirror.exchanges.terms import Terms
from aimirror.exchanges.versions import version
from aimirror.http.headers import Headers
from aimirror.interfaces import Arriving, IUpstreamResponse, Outcome, Passing, UpstreamError
from aimirror.routing.digests import Digest

if TYPE_CHECKING:
    from aimirror.store.parts import Part

#: Bytes of a file that is gathered on the disk though it is not stored.
MOST_GATHERED = 4 << 30


class Filling:
    """Starts the fill that an answer to ``asking`` calls for."""

    log = Logger()

    def __init__(
        self, env: Environment, asking: Asking, judge: Judge, terms: Terms, drawing: Drawing
    ) -> None:
        self._env = env
        self._asking = asking
        self._judge = judge
        self._terms = terms
        self._drawing = drawing

    # -- one stream ------------------------------------------------------------------------

    async def plain(self, response: IUpstreamResponse) -> Outcome:
        """One stream: stored if it may be, else passed on to the one who asked."""
        response = DecodedResponse(response) if decodable(response.headers) else response
        self._check_size(response, response.length)
        judged = self._judged(response, response.status, response.headers)
        entry, wanted = judged.entry, self._asking.wanted
        if (
            self._judge.spares(response.status, self._now())
            or not judged.store
            or self._judge.too_large(response.length)
            or not self._terms.storing()
        ):
            return self.passing(self.continued(response))
        digest = self._judge.digest(response)
        size = wanted.route.size
        if response.framed and size in (None, response.length) and self._small(response.length):
            response = SmallResponse(response, self._env.clock)
            outcome = await self._at_once(response, entry, digest)
            if outcome is not None:
                return outcome
        response = self.continued(response)
        rate, over = self._terms.rate_limit, self._terms.over
        part: Part | None = None
        try:
            part = await self.new_part(response, entry, response.length)
            fill = PlainFill(self._env, part, response, entry, digest, rate, over, size=size)
        except OSError as error:
            self.not_cached(part, error)
            return self.passing(response)
        self._terms.begun(fill)
        fill.begin()
        return Arriving(entry, fill.body, wanted.scope)

    def continued(self, response: IUpstreamResponse) -> IUpstreamResponse:
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

    def passing(self, response: IUpstreamResponse) -> Outcome:
        """A response that is stored nowhere."""
        self._terms.over(Finished())
        return Passing(self._terms.limited(response))

    def _judged(self, response: IUpstreamResponse, status: int, headers: Headers) -> Judged:
        return self._judge.answer(response, status, headers, self._asking.asked_at, self._now())

    def _check_size(self, response: IUpstreamResponse, total: int | None) -> None:
        why = self._judge.contradicted(response, total)
        if why:
            raise UpstreamError(Reason.CHANGED, why)

    # -- small ones ------------------------------------------------------------------------

    def _small(self, size: int | None) -> bool:
        """Whether a body is gathered in memory: a limit of the rate asks for a slow way."""
        return size is not None and 0 < size <= self._env.small and not self._terms.rate_limit()

    async def _at_once(
        self, response: SmallResponse, entry: Entry, digest: Digest | None
    ) -> Arriving | None:
        """Store a small body in one go; None, nothing being lost, where that can't be done."""
        began = self._now()
        content = await response.gathered(MOMENT if digest is None else PROVEN_MOMENT)
        blob = None if content is None else proven(content, digest)
        if content is None or blob is None:
            return None
        try:
            body = self._env.store.add(blob, content)
        except OSError:  # told by whoever stores it in the ordinary way, which makes room first
            return None
        size = len(content)
        progress = Progress(entry.key, entry.rule, began, size, size)
        entry = evolve(entry, blob=blob, size=size)
        self._terms.over(Finished(entry, at_once=progress))
        scope = self._asking.wanted.scope
        return Arriving(entry, body, scope, content=content, read=body.file.read)

    # -- ranges ----------------------------------------------------------------------------

    async def ranged(
        self, response: IUpstreamResponse, meant: Meaning, part: Part | None
    ) -> Outcome | None:
        """Start a ranged download, of a new part or of one to go on with.

        None, the part given up, when this file can't or may not be stored and has more to come.
        """
        self._check_size(response, meant.total)
        judged = self._judged(response, 200, as_whole(response.headers, meant.total))
        entry = judged.entry
        digest = self._judge.digest(response)
        refused = self._judge.too_large(meant.total) or not self._terms.storing()
        if part is not None and (refused or not judged.store):
            self.give_up(part)
        if refused:
            return None
        if not judged.store and not self._gatherable(meant):
            return self._complete(response, meant, judged)
        whole = (meant.start, meant.stop) == (0, meant.total)
        if part is None and judged.store and whole and self._small(meant.total):
            response = SmallResponse(response, self._env.clock)
            outcome = await self._at_once(response, entry, digest)
            if outcome is not None:
                return outcome
        try:
            part = part or await self.new_part(response, entry, meant.total)
            fill = self._drawing.fill(response, meant, part, entry, digest, keep=judged.store)
        except OSError as error:
            self.not_cached(part, error)
            return self._complete(response, meant, judged)
        self._terms.begun(fill)
        fill.begin(response, meant.start, meant.stop)
        self._drawing.draw_from_others(fill, digest)
        if not judged.store:
            headers = as_whole(judged.headers, meant.total)
            return Passing(GatheredResponse(response, headers, fill.body, fill.cancel))
        return Arriving(entry, fill.body, self._asking.wanted.scope)

    def _gatherable(self, meant: Meaning) -> bool:
        """Whether what is not stored is worth a part that is thrown away, and has room for it."""
        wanted = self._asking.wanted
        usage = self._env.store.usage().total + meant.total
        fits = usage <= self._env.store.max_bytes and meant.total * 2 <= self._env.store.free()
        first = min(meant.stop, first_piece(wanted.route.rule.chunk_size))
        return first < meant.total <= MOST_GATHERED and fits and not len(wanted.part)

    def _complete(
        self, response: IUpstreamResponse, meant: Meaning, judged: Judged
    ) -> Outcome | None:
        """An answer that has brought all bytes already is passed on; None when it has not."""
        if (meant.start, meant.stop) != (0, meant.total) or len(self._asking.wanted.part):
            return None
        return self.passing(WholeResponse(response, as_whole(judged.headers, meant.total)))

    # -- parts -----------------------------------------------------------------------------

    async def new_part(self, response: IUpstreamResponse, entry: Entry, total: int | None) -> Part:
        """A part with room for all of it; raises OSError."""
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
            self.give_up(part)
            raise
        return part

    def not_cached(self, part: Part | None, error: OSError) -> None:
        """Say that the disk refuses, and leave nothing there."""
        self.log.warn("not cached: {error}", error=str(error))
        if part is not None:
            self.give_up(part)

    def give_up(self, part: Part) -> None:
        """Nobody goes on with it."""
        part.discard()
        part.close()

    def _now(self) -> float:
        return self._env.clock.seconds()
