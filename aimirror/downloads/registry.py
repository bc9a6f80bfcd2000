"""What runs: one exchange per cache key, joined by all who want the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.core import urls
from aimirror.core.caching import matches, variant
from aimirror.core.digests import Digest
from aimirror.core.fetching import Reason
from aimirror.core.health import Health
from aimirror.downloads.exchange import Exchange, Fill
from aimirror.downloads.growing import GrowingBody
from aimirror.downloads.ranged import RangedFill
from aimirror.downloads.tools import (
    Finished,
    Outcome,
    Passing,
    Progress,
    Storing,
    Tools,
    Validated,
    Wanted,
)
from aimirror.interfaces import UpstreamError

#: Digests learned from indexes that are kept in mind.
MOST_EXPECTED = 100_000
#: Seconds for which a file that twice did not hash to its digest is refused.
REFUSED_FOR = 30.0
#: Keys remembered as mismatched.
MOST_REFUSED = 1000

_Name = tuple[str, str, str]


@define
class _Running:
    """An exchange and those who wait for its header."""

    wanted: Wanted
    waiting: list[Deferred[Outcome | None]] = Factory(list)
    outcome: Outcome | None = None
    fill: Fill | None = None
    host: str = ""
    granted: bool = False


class Downloads:
    """Starts exchanges, joins requests to them, shares connections among them.

    ``most`` ranged downloads use workers at the same time, later ones wait in order (the probe,
    and so every small file, waits for nobody); ``per_host`` bounds the connections to one host
    over all downloads, shared evenly, with at least one for each.
    """

    log = Logger()

    def __init__(self, tools: Tools, *, most: int, per_host: int) -> None:
        self._tools = tools
        self._most = most
        self._per_host = per_host
        self.health = Health()
        self._running: dict[_Name, _Running] = {}
        self._expected: OrderedDict[str, Digest] = OrderedDict()
        self._mismatched: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._idle: list[Deferred[None]] = []
        self._stopping = False

    # -- asked by the web ------------------------------------------------------------------

    def fetch(self, wanted: Wanted) -> Deferred[Outcome]:
        """Ask the upstream, or join those who are asking it already.

        Fires with the outcome when the upstream's header is there.  Fails with UpstreamError.
        Cancelling leaves; the exchange goes on for the others and for the cache.
        """
        return Deferred.fromCoroutine(self._fetch(wanted, ""))

    def expect(self, key: str, digest: Digest) -> None:
        """An index says what the file of ``key`` hashes to; checked before its last bytes go."""
        self._expected[key] = digest
        self._expected.move_to_end(key)
        if len(self._expected) > MOST_EXPECTED:
            self._expected.popitem(last=False)
        for (name, _, _), running in self._running.items():
            if name == key and isinstance(running.fill, RangedFill):
                running.fill.expect(digest.algorithm, digest.hex)

    def under_way(self, key: str, scope: str) -> bool:
        """Whether a request for this key would be joined to another one."""
        return (key, scope, "") in self._running

    def running(self, key: str, scope: str) -> Storing | None:
        """A download under way that may be read with this scope."""
        for (name, owner, _), running in self._running.items():
            if name == key and owner == scope and isinstance(running.outcome, Storing):
                return running.outcome
        return None

    def fills(self) -> Iterator[tuple[Progress, GrowingBody, tuple[tuple[int, int], ...]]]:
        """What is being stored at the moment, for status pages."""
        for running in self._running.values():
            if running.fill is not None:
                yield running.fill.progress, running.fill.body, running.fill.spans()

    def stop(self) -> Deferred[None]:
        """End everything; ranged parts stay for the next start.  Fires when all has ended."""
        self._stopping = True
        for running in list(self._running.values()):
            if running.fill is not None:
                running.fill.cancel()
        ended: Deferred[None] = Deferred()
        self._idle.append(ended)
        self._tell_idle()
        return ended

    # -- joining ---------------------------------------------------------------------------

    async def _fetch(self, wanted: Wanted, refined: str) -> Outcome:
        name = (wanted.key, wanted.scope, refined)
        self._refuse(wanted.key)
        running = self._running.get(name)
        if running is None:
            return await self._lead(name, wanted)
        outcome = running.outcome
        if outcome is None:
            waiting: Deferred[Outcome | None] = Deferred(running.waiting.remove)
            running.waiting.append(waiting)
            outcome = await waiting
        if isinstance(outcome, Validated | Storing):
            if matches(outcome.entry, wanted.headers):
                return outcome
            if not refined:
                return await self._fetch(wanted, self._variant(outcome, wanted))
        return await self._alone(wanted)

    def _variant(self, outcome: Validated | Storing, wanted: Wanted) -> str:
        found = variant(outcome.entry.headers.get_all("Vary"), wanted.headers)
        return found[0] if found else ""

    async def _lead(self, name: _Name, wanted: Wanted) -> Outcome:
        running = self._running[name] = _Running(wanted)
        exchange = self._exchange(name, running, wanted)
        heading = Deferred.fromCoroutine(exchange.run())
        told: Deferred[Outcome | None] = Deferred(running.waiting.remove)
        running.waiting.insert(0, told)
        heading.addCallbacks(
            lambda outcome: self._announce(name, running, outcome),
            lambda failure: self._announce_failure(name, running, failure),
        )
        heading.addErrback(lambda f: self.log.failure("an exchange went wrong", f))
        outcome = await told
        assert outcome is not None
        return outcome

    async def _alone(self, wanted: Wanted) -> Outcome:
        """What may not be shared is asked for again, by each for himself."""
        name = (wanted.key, wanted.scope, f"alone {id(wanted)}")
        return await self._lead(name, wanted)

    def _exchange(self, name: _Name, running: _Running, wanted: Wanted) -> Exchange:
        return Exchange(
            self._tools,
            self.health,
            wanted,
            expected=lambda: self._expected.get(wanted.key),
            begun=lambda fill: self._begun(running, fill),
            rate_limit=lambda: self._rate(running),
            over=lambda finished: self._over(name, running, finished),
        )

    def _announce(self, name: _Name, running: _Running, outcome: Outcome) -> None:
        running.outcome = outcome
        waiting, running.waiting = running.waiting, []
        if isinstance(outcome, Passing):
            if not waiting:
                outcome.response.abort()
            for number, deferred in enumerate(waiting):
                deferred.callback(outcome if number == 0 else None)
            return
        for deferred in waiting:
            deferred.callback(outcome)

    def _announce_failure(self, name: _Name, running: _Running, failure: Failure) -> None:
        self._running.pop(name, None)
        waiting, running.waiting = running.waiting, []
        for deferred in waiting:
            deferred.errback(failure)
        self._tell_idle()

    # -- sharing ---------------------------------------------------------------------------

    def _begun(self, running: _Running, fill: Fill) -> int:
        running.fill = fill
        running.host = urls.host(running.wanted.route.urls[0])
        if not isinstance(fill, RangedFill):
            return 0
        self._grant()
        self._rebalance(but=running)
        return self._share(running)

    def _ranged(self) -> list[_Running]:
        return [r for r in self._running.values() if isinstance(r.fill, RangedFill)]

    def _grant(self) -> None:
        """Let the longest waiting downloads use workers as long as there are places."""
        ranged = self._ranged()
        free = self._most - sum(r.granted for r in ranged)
        for running in ranged:
            if free > 0 and not running.granted:
                running.granted, free = True, free - 1

    def _share(self, running: _Running) -> int:
        """How many connections a download may use now."""
        if not running.granted or not isinstance(running.fill, RangedFill):
            return 0
        rule = running.wanted.route.rule
        if running.fill.machine.total < rule.min_size:
            return 1
        rivals = sum(r.granted and r.host == running.host for r in self._ranged())
        return max(1, min(rule.concurrency, self._per_host // max(1, rivals)))

    def _rebalance(self, but: _Running | None = None) -> None:
        for running in self._ranged():
            if running is not but and isinstance(running.fill, RangedFill):
                running.fill.allowed(self._share(running))

    def _rate(self, running: _Running) -> int:
        """Bytes per second for one download: its share of its rule's and of the whole limit."""
        rule = running.wanted.route.rule
        fills = [r for r in self._running.values() if r.fill is not None]
        same = sum(r.wanted.route.rule.name == rule.name for r in fills)
        limits = [
            limit // max(1, count)
            for limit, count in ((rule.rate_limit, same), (self._tools.rate_limit, len(fills)))
            if limit > 0
        ]
        return min(limits, default=0)

    # -- ends ------------------------------------------------------------------------------

    def _over(self, name: _Name, running: _Running, finished: Finished) -> None:
        self._running.pop(name, None)
        if finished.entry is not None:
            self._tools.store.put(finished.entry)
            self._mismatched.pop(name[0], None)
        elif finished.mismatch:
            self._mismatch(running, finished)
        if running.fill is not None:
            self._report(running, finished)
            self._grant()
            self._rebalance()
        self._tell_idle()

    def _report(self, running: _Running, finished: Finished) -> None:
        if finished.reason is Reason.DONE:
            self.log.debug("stored {key}", key=running.wanted.key)
        else:
            self.log.warn(
                "download of {key} ended: {reason} {detail}",
                key=running.wanted.key.partition("?")[0],
                reason=finished.reason.value,
                detail=finished.detail,
            )

    def _mismatch(self, running: _Running, finished: Finished) -> None:
        """Bad bytes: once is tried again from scratch, twice is refused for a while."""
        key, now = running.wanted.key, self._tools.clock.seconds()
        count = self._mismatched.get(key, (0, 0.0))[0] + 1
        self._mismatched[key] = (count, now)
        if len(self._mismatched) > MOST_REFUSED:
            self._mismatched.popitem(last=False)
        if count == 1 and not self._stopping:
            again = self.fetch(running.wanted)
            again.addCallbacks(self._unwatched, lambda f: f.trap(UpstreamError) and None)
            again.addErrback(lambda f: self.log.failure("trying again went wrong", f))

    def _unwatched(self, outcome: Outcome) -> None:
        if isinstance(outcome, Passing):
            outcome.response.abort()

    def _refuse(self, key: str) -> None:
        if self._stopping:
            raise UpstreamError(Reason.CANCELLED, "the service stops")
        count, at = self._mismatched.get(key, (0, 0.0))
        if count < 2:
            return
        if self._tools.clock.seconds() - at < REFUSED_FOR:
            raise UpstreamError(Reason.CHANGED, "the file does not match its digest")
        del self._mismatched[key]

    def _tell_idle(self) -> None:
        if not any(running.fill for running in self._running.values()):
            idle, self._idle = self._idle, []
            for deferred in idle:
                deferred.callback(None)
