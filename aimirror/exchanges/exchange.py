"""One exchange with an upstream: from the first request to a body that is being stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.download.assignment import Assignment
from aimirror.download.connections import Allowance
from aimirror.download.download import Download
from aimirror.download.plan import first_piece
from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.answering import Kind, Meaning, as_whole, meaning, still_fills, validator
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.continued import ContinuedResponse
from aimirror.exchanges.decoding import DecodedResponse, decodable
from aimirror.exchanges.environment import Environment, Finished, Place, Progress
from aimirror.exchanges.gathered import GatheredResponse, WholeResponse
from aimirror.exchanges.judging import Judge, Judged, part_meta
from aimirror.exchanges.owned import PEER, OwnersResponse, as_ours, passed_on
from aimirror.exchanges.plain import PlainFill
from aimirror.exchanges.ranged import RangedFill
from aimirror.exchanges.responses import TINY, drain
from aimirror.exchanges.small import MOMENT, PROVEN_MOMENT, SmallResponse, proven
from aimirror.exchanges.tiered import (
    NOT_WHOLE,
    TIER,
    TierSource,
    left,
    outdated,
    stands_in,
)
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
from aimirror.routing.rules import OnMissing, Strategy
from aimirror.upstream.health import Health

if TYPE_CHECKING:
    from aimirror.store.parts import Part
    from aimirror.tier.tier import Tier

Fill = PlainFill | RangedFill
#: Bytes of a file that is gathered on the disk though it is not stored.
MOST_GATHERED = 4 << 30
_T = TypeVar("_T")


class Exchange:
    """Asks the upstreams of ``wanted`` and starts the fill that their answer calls for.

    ``begun(fill)`` is called before the fill starts and lets it have its share of connections,
    ``over(Finished)`` once it has ended; for outcomes that store nothing only the latter.
    ``storing()`` says whether there is any use in trying to store the file, ``draws`` whether to
    draw it from several upstreams at once; ``one_connection`` that its host's nodes have tags of
    their own, which ``unlike()`` tells.  ``once`` says that its host's links work for one request,
    ``repeating`` that they do for many; ``repeats(well)`` tells which.  ``rate_limit()`` is in
    bytes per second, 0 = none; ``limited`` holds a response that is passed on to it; ``clients()``
    are those who want it.
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
        one_connection: bool,
        unlike: Callable[[], None],
        once: bool,
        repeating: bool,
        repeats: Callable[[bool], None],
        begun: Callable[[Fill], None],
        rate_limit: Callable[[], int],
        limited: Callable[[IUpstreamResponse], IUpstreamResponse],
        over: Callable[[Finished], None],
        clients: Callable[[], Collection[str]],
    ) -> None:
        self._env = env
        self._health = health
        self._asking = Asking(env, health, wanted, clients=clients)
        self._clients = clients
        self._wanted = wanted
        self._judge = Judge(wanted)
        self._rule = wanted.route.rule
        self._storing = storing
        self._draws = draws
        self._one_connection = once or (one_connection and wanted.route.digest is None)
        #: Whether the first request is to do alone, should it have to.
        self._opens = not repeating and not self._rule.ecosystem
        self._repeats = repeats
        self._unlike = unlike
        #: What another node has left, while the upstream is asked whether it still holds.
        self._left: Entry | None = None
        self._begun = begun
        self._rate_limit = rate_limit
        self._limited = limited
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
        outcome = await self._tiered() or await self._from_owner()
        if outcome is not None:
            return outcome
        if self._wanted.stored_only:
            raise UpstreamError(Reason.STATUS, "no other node has it")
        span = self._first_span()
        conditional = bool(len(self._wanted.conditional))
        try:
            response = await self._asking.first(span, conditional=conditional)
        except UpstreamError:
            outcome = await self._instead(None)
            if outcome is None:
                raise
            return outcome
        return await self._judged_first(response, span, conditional)

    async def _judged_first(
        self, response: IUpstreamResponse, span: tuple[int, int | None] | None, conditional: bool
    ) -> Outcome:
        found = meaning(response.status, response.headers, span, conditional)
        outcome = await self._instead(response)
        if outcome is not None:
            return outcome
        if found.kind is Kind.NOT_MODIFIED:
            outcome = await self._not_modified(response)
            if outcome is not None:
                return outcome
            found = Meaning(Kind.ASK_PLAINLY)
        if found.kind is Kind.RANGED and self._grows(response, found):
            found = Meaning(Kind.ASK_PLAINLY)
        if found.kind is Kind.RANGED:
            outcome = await self._or_abort(response, self._ranged(response, found, None))
            if outcome is not None:
                return outcome
            if len(self._wanted.part):
                response.abort()
                return await self.pass_part()
            if (found.start, found.stop) == (0, found.total):
                response = WholeResponse(response, as_whole(response.headers, found.total))
            else:
                found = Meaning(Kind.ASK_PLAINLY)
        if found.kind is Kind.ASK_PLAINLY:
            response.abort()
            response = await self._asking.first(None)
        outcome = await self._or_abort(response, self._plain(response))
        return await self._narrowed(outcome)

    async def _narrowed(self, outcome: Outcome) -> Outcome:
        """A whole that is passed on to a client who wants a part gives way to that part."""
        if not isinstance(outcome, Passing) or not len(self._wanted.part):
            return outcome
        response = outcome.response
        short = response.length is not None and response.length <= TINY
        if response.status != 200 or short:
            return outcome
        response.abort()
        return Passing(self._limited(await self._asking.part()))

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

    def _grows(self, response: IUpstreamResponse, found: Meaning) -> bool:
        """Whether another mirror only begins to fetch what is more than a first piece."""
        large = found.total > first_piece(self._rule.chunk_size)
        return large and still_fills(response.headers)

    # -- the tier --------------------------------------------------------------------------

    async def _tiered(self) -> Outcome | None:
        """What other nodes have left, None when that is of no use."""
        tier, wanted = self._env.tier, self._wanted
        if tier is None or not self._draws or not self._storing():
            return None
        entry = await left(tier, wanted)
        if entry is None or self._judge.too_large(entry.size):
            return None
        conditional = outdated(entry, wanted, self._now())
        if conditional is None or wanted.stored_only:
            return await self._from_tier(tier, entry)
        if len(conditional):
            self._left = entry
            self._wanted = evolve(wanted, previous=entry, conditional=conditional)
            health, clients = self._health, self._clients
            self._asking = Asking(self._env, health, self._wanted, clients=clients)
        return None

    async def _from_owner(self) -> Outcome | None:
        """What the node that owns it says, None when that is this one, or of no use.

        One stream: it may be growing there.  The upstream goes on where it breaks off.
        """
        if self._env.peers is None or not self._draws or not self._storing():
            return None
        previous = self._wanted.previous if self._left is None else None
        have = previous.blob if previous is not None and not previous.scope else ""
        told = await self._env.peers.ask(self._wanted, have)
        if told is None:
            return None
        entry = evolve(as_ours(told.entry, self._wanted), blob="", size=0)
        if told.response is None:
            return self._confirmed(told.entry, previous)
        url = self._wanted.route.urls[0]
        response = self._continued(OwnersResponse(told.response, entry, url))
        part: Part | None = None
        try:
            part = await self._new_part(response, entry, response.length)
            over = partial(passed_on, self._over)
            known = Digest("sha256", told.entry.blob) if told.entry.blob else None
            digest = self._judge.digest(response) or known
            fill = PlainFill(self._env, part, response, entry, digest, self._rate_limit, over)
        except OSError as error:
            self._not_cached(part, error)
            response.abort()
            return None
        self._begun(fill)
        fill.begin()
        return Arriving(entry, fill.body, self._wanted.scope, PEER)

    def _confirmed(self, told: Entry, previous: Entry | None) -> Outcome | None:
        """The owner has confirmed the bytes that this node has."""
        if previous is None or told.blob != previous.blob:
            return None
        entry = evolve(as_ours(told, self._wanted), pinned=previous.pinned)
        self._env.store.put(entry)
        self._over(Finished())
        return Validated(entry)

    async def _instead(self, response: IUpstreamResponse | None) -> Outcome | None:
        """What stands in for an upstream that failed, where this node has nothing itself."""
        status = None if response is None else response.status
        tier, entry = self._env.tier, self._left
        if tier is None or entry is None or not stands_in(entry, self._wanted, status, self._now()):
            return None
        outcome = await self._from_tier(tier, entry)
        if outcome is not None and response is not None:
            response.abort()
        return outcome

    async def _from_tier(self, tier: Tier, entry: Entry) -> Outcome | None:
        """A download from the tier, which the upstreams take over when it does not go well."""
        asked_at = self._now()
        span = (0, min(entry.size, first_piece(self._rule.chunk_size)))
        response = await tier.open(entry, span)
        if response is None:
            return None
        found = meaning(response.status, response.headers, span, False)
        if found.kind is not Kind.RANGED or found.total != entry.size:
            response.abort()
            tier.trouble()
            return None
        digest = self._wanted.route.digest or Digest("sha256", entry.blob)
        source = TierSource(self._env, tier, entry, len(self._wanted.route.urls), asked_at)
        part: Part | None = None
        try:
            part = await self._new_part(response, entry, found.total)
            fill = self._fill(response, found, part, evolve(entry, blob="", size=0), digest, source)
        except OSError as error:
            self._not_cached(part, error)
            response.abort()
            return None
        self._begun(fill)
        fill.begin(response, found.start, found.stop)
        source.watch(fill, partial(self._reinforce, fill, digest))
        return Arriving(entry, fill.body, self._wanted.scope, TIER)

    # -- outcomes --------------------------------------------------------------------------

    async def _not_modified(self, response: IUpstreamResponse) -> Outcome | None:
        previous, tier = self._wanted.previous, self._env.tier
        if previous is None:
            return None
        renewed = self._judge.renewed(
            previous, response, 304, response.headers, self._asking.asked_at, self._now()
        )
        if renewed is None:
            return None
        if self._left is None or tier is None:
            return self._validated(previous, renewed, response)
        drain(response)
        return await self._from_tier(tier, renewed.entry) if renewed.store else None

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
        self._check_size(response, response.length)
        judged = self._judged(response, response.status, response.headers)
        entry = judged.entry
        if (
            self._judge.spares(response.status, self._now())
            or not judged.store
            or self._judge.too_large(response.length)
            or not self._storing()
        ):
            return self._passing(self._continued(response))
        digest = self._judge.digest(response)
        right = self._wanted.route.size in (None, response.length)
        if response.framed and right and self._small(response.length):
            response = SmallResponse(response, self._env.clock)
            outcome = await self._at_once(response, entry, digest)
            if outcome is not None:
                return outcome
        response = self._continued(response)
        part: Part | None = None
        try:
            part = await self._new_part(response, entry, response.length)
            fill = PlainFill(
                self._env,
                part,
                response,
                entry,
                digest,
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

    def _small(self, size: int | None) -> bool:
        """Whether a body is gathered in memory: a limit of the rate asks for a slow way."""
        return size is not None and 0 < size <= self._env.small and not self._rate_limit()

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
        self._over(Finished(evolve(entry, blob=blob, size=size), at_once=progress))
        return Arriving(entry, body, self._wanted.scope, content=content, read=body.file.read)

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
        return Passing(self._limited(response))

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
        refused = self._judge.too_large(found.total) or not self._storing()
        if part is not None and (refused or not judged.store):
            self._give_up(part)
        if refused:
            return None
        if not judged.store and not self._gatherable(found):
            return self._complete(response, found, judged)
        whole = (found.start, found.stop) == (0, found.total)
        if part is None and judged.store and whole and self._small(found.total):
            response = SmallResponse(response, self._env.clock)
            outcome = await self._at_once(response, entry, digest)
            if outcome is not None:
                return outcome
        try:
            part = part or await self._new_part(response, entry, found.total)
            fill = self._fill(response, found, part, entry, digest, keep=judged.store)
        except OSError as error:
            self._not_cached(part, error)
            return None
        self._begun(fill)
        fill.begin(response, found.start, found.stop)
        self._draw_from_others(fill, digest)
        if not judged.store:
            headers = as_whole(judged.headers, found.total)
            return Passing(GatheredResponse(response, headers, fill.body, fill.cancel))
        return Arriving(entry, fill.body, self._wanted.scope)

    def _gatherable(self, found: Meaning) -> bool:
        """Whether what is not stored is worth a part that is thrown away, and has room for it."""
        usage = self._env.store.usage().total + found.total
        fits = usage <= self._env.store.max_bytes and found.total * 2 <= self._env.store.free()
        more = min(found.stop, first_piece(self._rule.chunk_size)) < found.total <= MOST_GATHERED
        return more and fits and not len(self._wanted.part)

    def _complete(
        self, response: IUpstreamResponse, found: Meaning, judged: Judged
    ) -> Outcome | None:
        """An answer that has brought all bytes already is passed on; None when it has not."""
        if (found.start, found.stop) != (0, found.total) or len(self._wanted.part):
            return None
        return self._passing(WholeResponse(response, as_whole(judged.headers, found.total)))

    async def pass_part(self) -> Outcome:
        """What the client's own Range asks for, stored nowhere; raises UpstreamError."""
        return self._passing(await self._asking.part())

    def _fill(
        self,
        response: IUpstreamResponse,
        found: Meaning,
        part: Part,
        entry: Entry,
        digest: Digest | None,
        tiered: TierSource | None = None,
        *,
        keep: bool = True,
    ) -> RangedFill:
        asking, over = self._asking, self._over
        source, asked_at = asking.source, asking.asked_at
        if tiered is not None:
            source, asked_at = tiered.number, tiered.asked_at
            over = partial(tiered.over, over)
        assignment = Assignment(
            total=found.total,
            allowance=Allowance(0),
            primary=source,
            chunk_size=self._rule.chunk_size,
            jitter=self._env.jitter,
            written=part.written,
            latency=max(0.0, self._now() - asked_at) / (1 + len(response.hops)),
            unproven=self._opens and tiered is None and found.stop == found.total,
        )
        machine = Download(assignment, (digest.algorithm, digest.hex) if digest else None)
        fill: RangedFill

        def resolve(source: int) -> Deferred[Place | FetchResult]:
            if tiered is not None and source == tiered.number:
                return Deferred.fromCoroutine(tiered.resolve())
            return Deferred.fromCoroutine(asking.resolve(source, fill))

        def whole(source: int) -> Deferred[IUpstreamResponse | FetchResult]:
            if tiered is not None and source == tiered.number:
                return succeed(NOT_WHOLE)
            return Deferred.fromCoroutine(asking.whole(source, fill))

        fill = RangedFill(
            self._env,
            part,
            machine,
            entry,
            asking.place(source, response) if tiered is None else tiered.place(response),
            resolve=resolve,
            whole=whole,
            rate_limit=self._rate_limit,
            over=over,
            troubled=(lambda: None) if tiered is None else tiered.troubled,
            keep=keep,
            unlike=self._unlike,
            repeats=(lambda well: None) if tiered is not None else self._repeats,
        )
        return fill

    def _draw_from_others(self, fill: RangedFill, digest: Digest | None) -> None:
        """Ask the rule's other upstreams whether they have the same file, and use them too."""
        alike = self._rule.on_missing is OnMissing.FAIL
        if fill.total > self._rule.min_size and self._draws and alike:
            self._reinforce(fill, digest)

    def _reinforce(self, fill: RangedFill, digest: Digest | None) -> None:
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
