"""What other nodes have of a file: left in the tier, or at the node that owns it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.caching.entries import Entry
from aimirror.download.plan import first_piece
from aimirror.exchanges.answering import Kind, meaning
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.drawing import Drawing
from aimirror.exchanges.environment import Environment, Finished
from aimirror.exchanges.filling import Filling
from aimirror.exchanges.judging import Judge
from aimirror.exchanges.owned import PEER, OwnersResponse, as_ours, passed_on
from aimirror.exchanges.plain import PlainFill
from aimirror.exchanges.terms import Terms
from aimirror.exchanges.tiered import TIER, TierSource, left, outdated, stands_in
from aimirror.interfaces import Arriving, IUpstreamResponse, Outcome, Validated
from aimirror.routing.digests import Digest

if TYPE_CHECKING:
    from aimirror.store.parts import Part


class Elsewhere:
    """Outcomes of one exchange by the tier and the peers; None where they are of no use."""

    def __init__(
        self,
        env: Environment,
        asking: Asking,
        judge: Judge,
        terms: Terms,
        filling: Filling,
        drawing: Drawing,
    ) -> None:
        self._env = env
        self._asking = asking
        self._judge = judge
        self._terms = terms
        self._filling = filling
        self._drawing = drawing
        #: What another node has left, while the upstream is asked whether it still holds.
        self.left: Entry | None = None

    async def tiered(self) -> Outcome | None:
        """What other nodes have left."""
        wanted = self._asking.wanted
        if self._env.tier is None or not self._terms.draws or not self._terms.storing():
            return None
        entry = await left(self._env.tier, wanted)
        if entry is None or self._judge.too_large(entry.size):
            return None
        conditional = outdated(entry, wanted, self._now())
        if conditional is None or wanted.stored_only:
            return await self.renewed(entry)
        if len(conditional):
            self.left = entry
            self._asking.want(evolve(wanted, previous=entry, conditional=conditional))
        return None

    async def from_owner(self) -> Outcome | None:
        """What the node that owns it says, None also when that is this one.

        One stream: it may be growing there.  The upstream goes on where it breaks off.
        """
        if self._env.peers is None or not self._terms.draws or not self._terms.storing():
            return None
        wanted = self._asking.wanted
        previous = wanted.previous if self.left is None else None
        have = previous.blob if previous is not None and not previous.scope else ""
        answer = await self._env.peers.ask(wanted, have)
        if answer is None:
            return None
        entry = evolve(as_ours(answer.entry, wanted), blob="", size=0)
        if answer.response is None:
            return self._confirmed(answer.entry, previous)
        owners = OwnersResponse(answer.response, entry, wanted.route.urls[0])
        response = self._filling.continued(owners)
        part: Part | None = None
        try:
            part = await self._filling.new_part(response, entry, response.length)
            over = partial(passed_on, partial(self._dealt, answer.member))
            known = Digest("sha256", answer.entry.blob) if answer.entry.blob else None
            digest = self._judge.digest(response) or known
            rate = self._terms.rate_limit
            fill = PlainFill(self._env, part, response, entry, digest, rate, over)
        except OSError as error:
            self._filling.not_cached(part, error)
            response.abort()
            return None
        self._terms.begun(fill)
        fill.begin()
        return Arriving(entry, fill.body, wanted.scope, PEER)

    def _dealt(self, member: str, finished: Finished) -> None:
        if finished.entry is not None and self._env.peers is not None:
            self._env.peers.dealt(member).bytes += finished.entry.size
        self._terms.over(finished)

    def _confirmed(self, theirs: Entry, previous: Entry | None) -> Outcome | None:
        """The owner has confirmed the bytes that this node has."""
        if previous is None or theirs.blob != previous.blob:
            return None
        entry = evolve(as_ours(theirs, self._asking.wanted), pinned=previous.pinned)
        self._env.store.put(entry)
        self._terms.over(Finished())
        return Validated(entry)

    async def instead(self, response: IUpstreamResponse | None) -> Outcome | None:
        """What stands in for an upstream that failed, where this node has nothing itself."""
        status = None if response is None else response.status
        entry, wanted = self.left, self._asking.wanted
        if entry is None or not stands_in(entry, wanted, status, self._now()):
            return None
        outcome = await self.renewed(entry)
        if outcome is not None and response is not None:
            response.abort()
        return outcome

    async def renewed(self, entry: Entry) -> Outcome | None:
        """A download from the tier, which the upstreams take over when it does not go well."""
        tier, wanted = self._env.tier, self._asking.wanted
        if tier is None:
            return None
        asked_at = self._now()
        span = (0, min(entry.size, first_piece(wanted.route.rule.chunk_size)))
        response = await tier.open(entry, span)
        if response is None:
            return None
        meant = meaning(response.status, response.headers, span, False)
        if meant.kind is not Kind.RANGED or meant.total != entry.size:
            response.abort()
            tier.trouble()
            return None
        digest = wanted.route.digest or Digest("sha256", entry.blob)
        source = TierSource(self._env, tier, entry, len(wanted.route.urls), asked_at)
        ours = evolve(entry, blob="", size=0)
        part: Part | None = None
        try:
            part = await self._filling.new_part(response, entry, meant.total)
            fill = self._drawing.fill(response, meant, part, ours, digest, source)
        except OSError as error:
            self._filling.not_cached(part, error)
            response.abort()
            return None
        self._terms.begun(fill)
        fill.begin(response, meant.start, meant.stop)
        source.watch(fill, partial(self._drawing.reinforce, fill, digest))
        return Arriving(entry, fill.body, wanted.scope, TIER)

    def _now(self) -> float:
        return self._env.clock.seconds()
