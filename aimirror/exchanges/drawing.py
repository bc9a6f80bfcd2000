"""Where a ranged fill draws its pieces from: the upstream that answered first, then the others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.caching.entries import Entry
from aimirror.download.assignment import Assignment
from aimirror.download.connections import Allowance
from aimirror.download.download import Download
from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.answering import Meaning
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.environment import Environment, Place
from aimirror.exchanges.ranged import RangedFill
from aimirror.exchanges.terms import Terms
from aimirror.exchanges.tiered import NOT_WHOLE, TierSource
from aimirror.interfaces import IUpstreamResponse
from aimirror.routing.choices import OnMissing
from aimirror.routing.digests import Digest

if TYPE_CHECKING:
    from aimirror.store.parts import Part


class Drawing:
    """Makes the ranged fills of one exchange; ``opens``: its first request may have to do alone."""

    log = Logger()

    def __init__(self, env: Environment, asking: Asking, terms: Terms, opens: bool) -> None:
        self._env = env
        self._asking = asking
        self._terms = terms
        self._opens = opens

    def fill(
        self,
        response: IUpstreamResponse,
        meant: Meaning,
        part: Part,
        entry: Entry,
        digest: Digest | None,
        tiered: TierSource | None = None,
        *,
        keep: bool = True,
    ) -> RangedFill:
        """A fill of ``part`` whose probe is ``response``; raises OSError."""
        asking, over = self._asking, self._terms.over
        source, asked_at = asking.source, asking.asked_at
        if tiered is not None:
            source, asked_at = tiered.number, tiered.asked_at
            over = partial(tiered.over, over)
        assignment = Assignment(
            total=meant.total,
            allowance=Allowance(0),
            primary=source,
            chunk_size=asking.wanted.route.rule.chunk_size,
            jitter=self._env.jitter,
            written=part.written,
            latency=max(0.0, self._env.clock.seconds() - asked_at) / (1 + len(response.hops)),
            unproven=self._opens and tiered is None and meant.stop == meant.total,
        )
        machine = Download(assignment, (digest.algorithm, digest.hex) if digest else None)
        fill: RangedFill

        def resolve(source: int) -> Deferred[Place | FetchResult]:
            if tiered is not None and source == tiered.number:
                return Deferred.fromCoroutine(tiered.resolve())
            resolving = Deferred.fromCoroutine(asking.resolve(source, fill.sources))
            return resolving.addErrback(self._unasked)

        def whole(source: int) -> Deferred[IUpstreamResponse | FetchResult]:
            if tiered is not None and source == tiered.number:
                return succeed(NOT_WHOLE)
            asked = Deferred.fromCoroutine(asking.whole(source, fill.sources))
            return asked.addErrback(self._unasked)

        fill = RangedFill(
            self._env,
            part,
            machine,
            entry,
            asking.place(source, response) if tiered is None else tiered.place(response),
            resolve=resolve,
            whole=whole,
            rate_limit=self._terms.rate_limit,
            over=over,
            troubled=(lambda: None) if tiered is None else tiered.troubled,
            keep=keep,
            unlike=self._terms.unlike,
            repeats=(lambda well: None) if tiered is not None else self._terms.repeats,
        )
        return fill

    def _unasked(self, failure: Failure) -> FetchResult:
        self.log.failure("an upstream could not be asked", failure)
        return FetchResult(Reason.PROTOCOL, 0, detail=type(failure.value).__name__)

    def draw_from_others(self, fill: RangedFill, digest: Digest | None) -> None:
        """Ask the rule's other upstreams whether they have the same file, and use them too."""
        rule = self._asking.wanted.route.rule
        alike = rule.on_missing is OnMissing.FAIL
        if fill.machine.total > rule.min_size and self._terms.draws and alike:
            self.reinforce(fill, digest)

    def reinforce(self, fill: RangedFill, digest: Digest | None) -> None:
        """Draw from each upstream that has it."""
        for source in range(len(self._asking.wanted.route.urls)):
            if source != fill.machine.primary:
                locating = Deferred.fromCoroutine(self._asking.locate(source, fill.machine.total))
                locating.addCallback(partial(self._located, fill, source, digest))
                locating.addErrback(lambda f: self.log.failure("asking another upstream failed", f))

    def _located(
        self, fill: RangedFill, source: int, digest: Digest | None, place: Place | FetchResult
    ) -> None:
        if isinstance(place, FetchResult):
            return
        if digest is not None or fill.sources.same_version(source, place.validator, strongly=True):
            fill.add_source(source, place)
