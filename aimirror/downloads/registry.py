"""What runs: one exchange per cache key, joined by all who want the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from attrs import Factory, define, evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.core.caching import matches, variant
from aimirror.core.digests import Digest
from aimirror.core.entries import Entry
from aimirror.core.fetching import Reason
from aimirror.core.health import Health
from aimirror.core.recent import Recent
from aimirror.downloads.exchange import Exchange, Fill
from aimirror.downloads.growing import GrowingBody
from aimirror.downloads.ranged import RangedFill
from aimirror.downloads.sharing import Sharing
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
#: Files remembered for each kind of trouble.
MOST_TROUBLES = 1000
#: Seconds for which a file that twice did not hash to its digest is refused.
REFUSED_FOR = 30.0
#: Seconds for which a file that has changed midway is not begun anew by itself again.
RESTARTED_FOR = 30.0
#: Seconds for which a file that found the disk full is passed through without being stored.
UNSTORED_FOR = 600.0

_Name = tuple[str, str, str]


@define(eq=False)
class _Waiter:
    """A request that waits for an exchange's header; told None it has to ask for itself."""

    wanted: Wanted
    told: Deferred[Outcome | None] = Factory(Deferred)


@define(eq=False)
class _Running:
    """An exchange and those who wait for its header, or for its end."""

    wanted: Wanted
    waiting: list[_Waiter] = Factory(list)
    gone: list[Deferred[None]] = Factory(list)
    heading: Deferred[Outcome] | None = None
    outcome: Outcome | None = None
    fill: Fill | None = None

    @property
    def failed(self) -> bool:
        """Whether its body can't be completed, and it is about to be over."""
        return isinstance(self.outcome, Storing) and self.outcome.body.failed is not None


class Downloads:
    """Starts exchanges and joins requests to them; see ``Sharing`` for the limits.

    ``ended(progress, finished)`` is called for each body that was to be stored.
    """

    log = Logger()

    def __init__(
        self,
        tools: Tools,
        *,
        most: int,
        per_host: int,
        ended: Callable[[Progress, Finished], None] = lambda progress, finished: None,
    ) -> None:
        self._tools = tools
        self._ended = ended
        self._sharing = Sharing(
            tools.clock, most=most, per_host=per_host, rate_limit=tools.rate_limit
        )
        self.health = Health()
        self._running: dict[_Name, _Running] = {}
        self._expected: OrderedDict[str, Digest] = OrderedDict()
        self._mismatched = Recent(MOST_TROUBLES, REFUSED_FOR)
        self._changed = Recent(MOST_TROUBLES, RESTARTED_FOR)
        self._no_room = Recent(MOST_TROUBLES, UNSTORED_FOR)
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
        for (name, _, _), running in list(self._running.items()):
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

    def connections(self) -> dict[str, int]:
        """Connections of ranged downloads by upstream host, for status pages."""
        found: dict[str, int] = {}
        for running in self._running.values():
            if isinstance(running.fill, RangedFill):
                host = running.fill.host
                found[host] = found.get(host, 0) + running.fill.connections
        return found

    def reconfigure(self, tools: Tools, *, most: int, per_host: int) -> None:
        """Later exchanges use these; running ones go on with what they have."""
        self._tools = tools
        self._sharing.reconfigure(most=most, per_host=per_host, rate_limit=tools.rate_limit)

    def stop(self) -> Deferred[None]:
        """End everything; ranged parts stay for the next start.  Fires when all has ended."""
        self._stopping = True
        for running in list(self._running.values()):
            if running.fill is not None:
                running.fill.cancel()
            elif running.heading is not None:
                running.heading.cancel()
        ended: Deferred[None] = Deferred()
        self._idle.append(ended)
        self._tell_idle()
        return ended

    # -- joining ---------------------------------------------------------------------------

    async def _fetch(self, wanted: Wanted, refined: str) -> Outcome:
        name = (wanted.key, wanted.scope, refined)
        running = self._running.get(name)
        while running is not None and running.failed:
            await self._end_of(running)
            running = self._running.get(name)
        self._refuse(wanted.key)
        if running is None:
            return await self._lead(name, wanted)
        outcome = running.outcome or await self._header_of(running, wanted)
        match outcome:
            case Passing():
                return outcome  # its leader has left, and this request is the same
            case Validated(entry) | Storing(entry):
                if matches(entry, wanted.headers):
                    return outcome
                other = variant(entry.headers.get_all("Vary"), wanted.headers)
                if other is not None and other[0] and not refined:
                    return await self._fetch(wanted, other[0])
        # What may not be shared is asked for again, by each for himself.
        return await self._lead((wanted.key, wanted.scope, f"alone {id(wanted)}"), wanted)

    async def _header_of(self, running: _Running, wanted: Wanted) -> Outcome | None:
        waiter = _Waiter(wanted)
        running.waiting.append(waiter)
        try:
            return await waiter.told
        finally:
            if waiter in running.waiting:
                running.waiting.remove(waiter)

    async def _end_of(self, running: _Running) -> None:
        gone: Deferred[None] = Deferred()
        running.gone.append(gone)
        try:
            await gone
        finally:
            if gone in running.gone:
                running.gone.remove(gone)

    async def _lead(self, name: _Name, wanted: Wanted) -> Outcome:
        running = self._running[name] = _Running(wanted)
        header = Deferred.fromCoroutine(self._header_of(running, wanted))
        running.heading = Deferred.fromCoroutine(self._exchange(name, running).run())
        running.heading.addCallbacks(
            lambda outcome: self._announce(running, outcome),
            lambda failure: self._announce_failure(name, running, failure),
        )
        running.heading.addErrback(lambda f: self.log.failure("an exchange went wrong", f))
        outcome = await header
        assert outcome is not None
        return outcome

    def _exchange(self, name: _Name, running: _Running) -> Exchange:
        wanted, clock = running.wanted, self._tools.clock
        key = wanted.key
        return Exchange(
            self._tools,
            self.health,
            wanted,
            storing=lambda: not self._no_room.count(key, clock.seconds()),
            draws=not self._mismatched.count(key, clock.seconds()),
            expected=lambda: self._expected.get(key),
            begun=lambda fill: self._begun(running, fill),
            rate_limit=lambda: self._sharing.rate(wanted.route.rule),
            over=lambda finished: self._over(name, running, finished),
        )

    def _announce(self, running: _Running, outcome: Outcome) -> None:
        running.outcome = outcome
        waiting, running.waiting = running.waiting, []
        if not isinstance(outcome, Passing):
            for waiter in waiting:
                waiter.told.callback(outcome)
            return
        # It belongs to the leader, or to whoever asked the very same.
        heirs = [w for w in waiting if w.wanted.headers == running.wanted.headers]
        if not heirs:
            outcome.response.abort()
        for waiter in waiting:
            waiter.told.callback(outcome if heirs and waiter is heirs[0] else None)

    def _announce_failure(self, name: _Name, running: _Running, failure: Failure) -> None:
        if failure.check(CancelledError):
            failure = Failure(UpstreamError(Reason.CANCELLED, "the service stops"))
        elif not failure.check(UpstreamError):
            self.log.failure("an exchange went wrong", failure)
        self._forget(name, running)
        waiting, running.waiting = running.waiting, []
        for waiter in waiting:
            waiter.told.errback(failure)
        self._tell_idle()

    # -- ends ------------------------------------------------------------------------------

    def _begun(self, running: _Running, fill: Fill) -> int:
        running.fill = fill
        slots = self._sharing.enter(fill, running.wanted.route.rule)
        if self._stopping:
            self._tools.clock.callLater(0, fill.cancel)
        return slots

    def _over(self, name: _Name, running: _Running, finished: Finished) -> None:
        self._forget(name, running)
        if finished.entry is not None:
            self._keep(finished)
        if running.fill is not None:
            self._sharing.leave(running.fill)
            self._report(running, finished)
            self._ended(running.fill.progress, finished)
            if finished.entry is None and not self._stopping:
                self._trouble(running.wanted, finished)
        self._tell_idle()

    def _forget(self, name: _Name, running: _Running) -> None:
        if self._running.get(name) is running:
            del self._running[name]
        gone, running.gone = running.gone, []
        for deferred in gone:
            deferred.callback(None)

    def _keep(self, finished: Finished) -> None:
        assert finished.entry is not None
        key = finished.entry.key
        self._mismatched.forget(key)
        self._changed.forget(key)
        try:
            self._tools.store.put(_pinned_as(finished.entry, self._tools.store.entries(key)))
        except OSError as error:
            self.log.error("{key} is not kept: {error}", key=_shown(key), error=str(error))

    def _report(self, running: _Running, finished: Finished) -> None:
        key = _shown(running.wanted.key)
        if finished.entry is not None:
            self.log.debug("stored {key}", key=key)
        else:
            self.log.warn(
                "download of {key} ended: {reason} {detail}",
                key=key,
                reason=finished.reason.value,
                detail=finished.detail,
            )

    def _trouble(self, wanted: Wanted, finished: Finished) -> None:
        """Bad bytes, or another version midway: once, the file is begun anew by itself."""
        key, now = wanted.key, self._tools.clock.seconds()
        if finished.mismatch:
            if self._mismatched.note(key, now) == 1:
                self._again(wanted)
        elif finished.reason is Reason.CHANGED:
            if self._changed.note(key, now) == 1 and self._tools.finish_abandoned:
                self._again(wanted)
        elif finished.reason is Reason.DISK_FULL:
            self._no_room.note(key, now)

    def _again(self, wanted: Wanted) -> None:
        again = self.fetch(wanted)
        again.addCallbacks(_unwatched, lambda f: f.trap(UpstreamError) and None)
        again.addErrback(lambda f: self.log.failure("trying again went wrong", f))

    def _refuse(self, key: str) -> None:
        if self._stopping:
            raise UpstreamError(Reason.CANCELLED, "the service stops")
        if self._mismatched.count(key, self._tools.clock.seconds()) >= 2:
            raise UpstreamError(Reason.CHANGED, "the file does not match its digest")

    def _tell_idle(self) -> None:
        if not self._running:
            idle, self._idle = self._idle, []
            for deferred in idle:
                deferred.callback(None)


def _pinned_as(entry: Entry, stored: tuple[Entry, ...]) -> Entry:
    """A new copy of what is pinned is pinned, too."""
    identity = (entry.scope, entry.variant)
    if any(old.pinned and (old.scope, old.variant) == identity for old in stored):
        return evolve(entry, pinned=True)
    return entry


def _unwatched(outcome: Outcome) -> None:
    if isinstance(outcome, Passing):
        outcome.response.abort()


def _shown(key: str) -> str:
    """A key without its query, which may be a signature."""
    return key.partition("?")[0]
