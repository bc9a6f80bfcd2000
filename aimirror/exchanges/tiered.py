"""An answer that another node has left in the tier, as a source of a ranged download."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching import caching
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.download.life import Phase
from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.answering import validator
from aimirror.exchanges.environment import Environment, Finished, Place
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstreamResponse, Wanted
from aimirror.tier.tier import Tier

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from aimirror.exchanges.ranged import RangedFill

#: Whence it comes, in X-Cache and Cache-Status.
TIER = "tier"
#: Seconds between two looks at how fast the store is, and bytes that it must have brought.
LOOK = 2.0
LEAST = 2 << 20
NOT_WHOLE = FetchResult(Reason.STATUS, 0, detail="the tier is read in ranges")
_GONE = FetchResult(Reason.STATUS, 0, status=404, detail="the tier has it no more")


async def left(tier: Tier, wanted: Wanted) -> Entry | None:
    """What another node has left for a request, as an entry of this node's."""
    route = wanted.route
    previous = wanted.previous
    if (previous and not wanted.stored_only) or wanted.unstored or not route.rule.tier:
        return None
    entry = await tier.find(wanted.key, None if wanted.stored_only else wanted.headers)
    if entry is not None and previous is not None and entry.received_at <= previous.received_at:
        return None
    digest = route.digest
    if entry is None or (digest and digest.algorithm == "sha256" and digest.hex != entry.blob):
        return None
    if not tells(entry, wanted.scope, digest):
        return None
    ours = evolve(entry, rule=route.rule.name, immutable=route.immutable)
    return None if tier.orders.purged(ours) else ours


def outdated(entry: Entry, wanted: Wanted, now: float) -> Headers | None:
    """None when an entry may be served as it is, else the fields that ask whether it holds."""
    rule = wanted.route.rule
    decision = caching.decide(
        "GET", wanted.headers, (entry,), rule.cache, now, obey_client=rule.obeys_clients
    )
    if isinstance(decision, caching.Fresh) and entry.received_at >= wanted.not_before:
        return None
    return caching.conditional(entry)


def stands_in(entry: Entry, wanted: Wanted, status: int | None, now: float) -> bool:
    """Whether an entry is served although the upstream failed, by ``status`` or by none."""
    return caching.on_error(entry, status, wanted.route.rule.cache, now, wanted.headers)


class TierSource:
    """The tier as the first source of a download; ``number`` comes after those of the route.

    As soon as a piece does not come, or all of them come slowly, the upstreams are asked, too.
    """

    log = Logger()

    def __init__(
        self, env: Environment, tier: Tier, entry: Entry, number: int, asked_at: float
    ) -> None:
        self._env = env
        self._tier = tier
        self._entry = entry
        self.number = number
        #: Epoch seconds.
        self.asked_at = asked_at
        self._fill: RangedFill | None = None
        self._reinforce: Callable[[], None] = lambda: None
        self._reinforced = False
        self._written = 0
        self._looking: IDelayedCall | None = None

    def place(self, response: IUpstreamResponse) -> Place:
        """Where its pieces are."""
        egress = self._tier.egress
        return Place(response.url, Headers(), egress, validator(response.headers))

    async def resolve(self) -> Place | FetchResult:
        """The same by a URL that is signed anew."""
        response = await self._tier.open(self._entry, (0, 1))
        if response is None:
            return _GONE
        response.abort()
        return self.place(response)

    def watch(self, fill: RangedFill, reinforce: Callable[[], None]) -> None:
        """Have the upstreams help by ``reinforce`` when the store does not do well."""
        self._fill, self._reinforce = fill, reinforce
        self._looking = self._env.clock.callLater(LOOK, self._look)

    def _look(self) -> None:
        fill = self._fill
        if fill is None or fill.machine.phase is not Phase.FILLING or self._reinforced:
            return
        written = fill.machine.written.total()
        if written - self._written < LEAST:
            self._help()
            return
        self._written = written
        self._looking = self._env.clock.callLater(LOOK, self._look)

    def troubled(self) -> None:
        """A piece did not come."""
        if not self._reinforced:
            self._tier.trouble()
            self._help()

    def _help(self) -> None:
        self._reinforced = True
        self._reinforce()

    def over(self, then: Callable[[Finished], None], finished: Finished) -> None:
        """The download has ended."""
        if self._looking is not None and self._looking.active():
            self._looking.cancel()
        if finished.mismatch:
            telling: Deferred[None] = Deferred.fromCoroutine(self._tier.bad(self._entry))
            telling.addErrback(lambda f: self.log.failure("the tier was not told", f))
        elif finished.entry is not None:
            self._tier.counts.read += finished.entry.size
        then(evolve(finished, shared=True))
