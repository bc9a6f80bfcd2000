"""What runs: one exchange per cache key, joined by all who want the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.caching.caching import matches, variant
from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import Environment, Finished, Progress
from aimirror.exchanges.exchange import Exchange
from aimirror.exchanges.failures import Troubles
from aimirror.exchanges.growing import GrowingBody
from aimirror.exchanges.kept import keep, lend, report
from aimirror.exchanges.ranged import RangedFill
from aimirror.exchanges.rates import LimitedResponse, Rates
from aimirror.exchanges.sharing import Sharing
from aimirror.exchanges.terms import Fill, Terms
from aimirror.exchanges.unshared import Unshared
from aimirror.exchanges.waiters import Running
from aimirror.http import urls
from aimirror.interfaces import (
    Arriving,
    IUpstreamResponse,
    Outcome,
    Passing,
    UpstreamError,
    Validated,
    Wanted,
)
from aimirror.routing.rules import Route, Rule
from aimirror.upstream.health import Health

if TYPE_CHECKING:
    from aimirror.cluster.peers import Peers
    from aimirror.tier.tier import Tier

#: Whose an exchange is (scope), and what tells it from others of its key and scope.
_Name = tuple[str, str]


class Downloads:
    """Starts exchanges and joins requests to them; see ``Sharing`` for the limits.

    ``ended(progress, finished)`` is called for each body that was to be stored.
    """

    log = Logger()

    def __init__(
        self,
        env: Environment,
        *,
        most: int,
        per_host: int,
        ended: Callable[[Progress, Finished], None] = lambda progress, finished: None,
    ) -> None:
        self._env = env
        self._ended = ended
        env.hosts.limit = per_host
        self._rates = Rates(env.rate_limit, env.rate_hours, env.clock.seconds)
        self.sharing = Sharing(
            env.clock, env.hosts, most=most, rates=self._rates, abandoned=self._abandoned
        )
        self.health = Health()
        self._running: dict[str, dict[_Name, Running]] = {}
        self._troubles = Troubles()
        self._unshared = Unshared()
        self._idle: list[Deferred[None]] = []
        self._stopping = False

    # -- what others ask ------------------------------------------------------------------

    def fetch(self, wanted: Wanted) -> Deferred[Outcome]:
        """Ask the upstream, or join those who are asking it already.

        Fires with the outcome when the upstream's header is there.  Fails with UpstreamError.
        Cancelling leaves; the exchange goes on for the others and for the cache.
        """
        return Deferred.fromCoroutine(self._fetch(wanted, ""))

    def invalidate(self, key: str) -> None:
        """What is stored for a key, and what is on its way, must not be used unasked any more.

        A client who has changed it must not be given what was asked for before.
        """
        self._env.store.invalidate(key)
        of_key = self._running.get(key, {})
        for (scope, refined), running in list(of_key.items()):
            if not running.outdated:
                running.outdated = True
                del of_key[scope, refined]
                of_key[scope, f"outdated {id(running)}"] = running

    def under_way(self, key: str, scope: str) -> bool:
        """Whether a request for this key would be joined to another one."""
        return (scope, "") in self._running.get(key, ())

    def arriving(self, key: str, scope: str) -> tuple[Arriving, ...]:
        """Downloads of a key that may be read with a scope: its own, then those for anybody."""
        of_key = self._running.get(key)
        if of_key is None:
            return ()
        outcomes = [r.outcome for r in of_key.values() if not r.outdated]
        readable = [o for o in outcomes if isinstance(o, Arriving) and o.scope in ("", scope)]
        return tuple(sorted(readable, key=lambda outcome: outcome.scope != scope))

    async def settled(self, arriving: Arriving) -> None:
        """Wait until something that has arrived is stored, or could not be."""
        for running in tuple(self._running.get(arriving.entry.key, {}).values()):
            if running.outcome is arriving:
                await running.end()

    def arriving_below(self, prefix: str) -> Iterator[Arriving]:
        """Downloads for anybody that are under way, by the start of their keys."""
        for key in tuple(self._running):
            if key.startswith(prefix):
                yield from self.arriving(key, "")

    def fills(self) -> Iterator[tuple[Progress, GrowingBody, tuple[tuple[int, int], ...]]]:
        """What is being stored at the moment, for status pages."""
        for running in self._all():
            if running.fill is not None:
                yield running.fill.progress, running.fill.body, running.fill.spans()

    def limited(self, rule: Rule, response: IUpstreamResponse) -> IUpstreamResponse:
        """A response that is passed on, held to the rate limits."""
        if not self._rates.limits(rule):
            return response
        return LimitedResponse(response, self._env.clock, self._rates, rule)

    def connections(self) -> dict[str, int]:
        """Connections of ranged downloads by upstream host, for status pages."""
        by_host: dict[str, int] = {}
        for running in self._all():
            if isinstance(running.fill, RangedFill):
                host = running.fill.host
                by_host[host] = by_host.get(host, 0) + len(running.fill.flights)
        return by_host

    @property
    def tier(self) -> Tier | None:
        """What is behind this node's own disk, for status pages."""
        return self._env.tier

    @property
    def peers(self) -> Peers | None:
        """The other nodes, for status pages."""
        return self._env.peers

    def reconfigure(self, env: Environment, *, most: int, per_host: int) -> None:
        """Later exchanges use these; running ones go on with what they have."""
        self._env = env
        self._rates.limit, self._rates.hours = env.rate_limit, env.rate_hours
        self.sharing.reconfigure(most=most, per_host=per_host)

    def stop(self) -> Deferred[None]:
        """End everything; ranged parts stay for the next start.  Fires when all has ended."""
        self._stopping = True
        for running in self._all():
            if running.fill is not None:
                running.fill.cancel()
            elif running.heading is not None:
                running.heading.cancel()
        ended: Deferred[None] = Deferred()
        self._idle.append(ended)
        self._tell_idle()
        return ended

    def _all(self) -> list[Running]:
        return [running for of_key in self._running.values() for running in of_key.values()]

    # -- joining ---------------------------------------------------------------------------

    async def _fetch(self, wanted: Wanted, refined: str, again: bool = False) -> Outcome:
        name = (wanted.scope, refined)
        running = self._named(wanted.key, name)
        while running is not None and running.failed:
            await running.end()
            running = self._named(wanted.key, name)
        self._refuse(wanted.key)
        if wanted.stored_only:  # nobody else may want no more than that
            return await self._lead(_alone(wanted), wanted)
        if wanted.unstored:  # it has nothing to give to others, who need not wait for it
            return await self._lead(_alone(wanted), wanted)
        if self._unshared.expected(wanted.key, wanted.scope, self._env.clock.seconds()):
            return await self._lead(_alone(wanted), wanted, direct=bool(len(wanted.part)))
        if running is None:
            return await self._lead(name, wanted)
        outcome = running.outcome or await running.header(wanted)
        match outcome:
            case Passing():
                return outcome  # its leader has left, and this request is the same
            case Validated(entry) | Arriving(entry):
                if matches(entry, wanted.headers):
                    return outcome
                other = variant(entry.headers.get_all("Vary"), wanted.headers)
                if other is not None and other[0] and not refined:
                    return await self._fetch(wanted, other[0])
        if running.unable and not again:  # one more try for all, then each for himself
            return await self._fetch(wanted, refined, again=True)
        # What may not be shared is asked for again, by each for himself.
        direct = bool(len(wanted.part)) and not running.unable
        return await self._lead(_alone(wanted), wanted, direct=direct)

    def _named(self, key: str, name: _Name) -> Running | None:
        of_key = self._running.get(key)
        return None if of_key is None else of_key.get(name)

    async def _lead(self, name: _Name, wanted: Wanted, direct: bool = False) -> Outcome:
        running = Running(wanted, left=self._left)
        self._running.setdefault(wanted.key, {})[name] = running
        waiter = running.join(wanted)
        exchange = self._exchange(running)
        asking = exchange.pass_part() if direct else exchange.run()
        running.heading = Deferred.fromCoroutine(asking)
        running.heading.addCallbacks(
            running.announce, lambda failure: self._no_outcome(running, failure)
        )
        running.heading.addErrback(lambda f: self.log.failure("an exchange went wrong", f))
        outcome = await running.outcome_of(waiter)
        assert outcome is not None
        self._learn(wanted, outcome)
        return outcome

    def _left(self, running: Running) -> None:
        """Nobody waits for it any more; it goes on, unless somebody waits for its connection."""
        self.sharing.look(urls.authority(running.wanted.route.urls[0]))

    def _abandoned(self, host: str) -> list[Callable[[], None]]:
        """Ends the requests at work at a host whose header nobody waits for, the oldest first."""
        return [
            running.heading.cancel
            for running in self._all()
            if running.heading is not None
            and running.outcome is None
            and not running.wanted_by()
            and self._env.hosts.at_work(host, running.wanted_by)
        ]

    def _learn(self, wanted: Wanted, outcome: Outcome) -> None:
        if not isinstance(outcome, Passing):
            self._unshared.forget(wanted.key, wanted.scope)
        elif outcome.response.status < 400 and not wanted.unstored:
            # A failure is likely to pass, and to be one for all; a client's wish is its own.
            self._unshared.note(wanted.key, wanted.scope, self._env.clock.seconds())

    def _exchange(self, running: Running) -> Exchange:
        wanted, key, clock = running.wanted, running.wanted.key, self._env.clock
        now = clock.seconds()
        host = urls.origin(wanted.route.urls[0])
        terms = Terms(
            storing=lambda: self._troubles.storable(key, clock.seconds()),
            one_connection=self._troubles.one_connection(host, now),
            unlike=lambda: self._troubles.unlike(host, clock.seconds()),
            once=self._troubles.once(host, now),
            repeating=self.repeating(wanted.route),
            repeats=lambda well: self._troubles.repeats(host, well, clock.seconds()),
            draws=not self._troubles.suspicious(key, now),
            begun=lambda fill: self._begun(running, fill),
            rate_limit=lambda: self._rates.rate(wanted.route.rule),
            limited=lambda response: self.limited(wanted.route.rule, response),
            over=lambda finished: self._over(running, finished),
            clients=running.wanted_by,
        )
        return Exchange(self._env, self.health, wanted, terms)

    def repeating(self, route: Route) -> bool:
        """Whether a URL answers as often as it is asked, by its looks or by others of its host."""
        url = route.urls[0]
        return not urls.is_ticket(url) or self._troubles.repeating(urls.origin(url))

    def _no_outcome(self, running: Running, failure: Failure) -> None:
        if failure.check(CancelledError):
            failure = Failure(UpstreamError(Reason.CANCELLED, "the service stops"))
        elif not failure.check(UpstreamError):
            self.log.failure("an exchange went wrong", failure)
        self._forget(running)
        running.announce_failure(failure)
        self._tell_idle()

    # -- ends ------------------------------------------------------------------------------

    def _begun(self, running: Running, fill: Fill) -> None:
        running.fill = fill
        if fill.keep:  # what was made of the entry of before may be wrong by now
            self._env.store.changed(running.wanted.key)
        else:  # nobody may join
            self._forget(running)
            alone = _alone(running.wanted)
            self._running.setdefault(running.wanted.key, {})[alone] = running
        rule = running.wanted.route.rule
        self.sharing.enter(fill, rule, running.wanted_by)
        if isinstance(fill, RangedFill):
            fill.machine.assignment.awaited = running.awaited
        if self._stopping:
            self._env.clock.callLater(0, fill.cancel)

    def _over(self, running: Running, finished: Finished) -> None:
        self._forget(running)
        if finished.entry is not None:
            shared = finished.shared or running.outdated or not running.wanted.route.rule.tier
            self._troubles.stored(finished.entry.key)
            keep(self._env, finished.entry, running.outdated, send=not shared)
            if finished.lent:
                lend(self._env, finished.entry)
        if finished.at_once is not None:
            self._ended(finished.at_once, finished)
        if running.fill is not None:
            self.sharing.leave(running.fill)
            gathered = not running.fill.keep and finished.reason is Reason.DONE
            well = finished.entry is not None or gathered
            report(running.wanted.key, finished, well)
            self._ended(running.fill.progress, finished)
            if finished.entry is None and running.fill.keep and not self._stopping:
                self._trouble(running.wanted, finished)
        running.over()
        self._tell_idle()

    def _forget(self, running: Running) -> None:
        key = running.wanted.key
        of_key = self._running.get(key)
        if of_key is None:
            return
        for name in [name for name, each in of_key.items() if each is running]:
            del of_key[name]
        if not of_key:
            del self._running[key]

    def _trouble(self, wanted: Wanted, finished: Finished) -> None:
        again = self._troubles.note(wanted.key, finished, self._env.clock.seconds())
        if again and (finished.mismatch or self._env.finish_abandoned):
            self._again(wanted)

    def _again(self, wanted: Wanted) -> None:
        again = self.fetch(wanted)
        again.addCallbacks(_unwatched, lambda f: f.trap(UpstreamError) and None)
        again.addErrback(lambda f: self.log.failure("trying again went wrong", f))

    def _refuse(self, key: str) -> None:
        if self._stopping:
            raise UpstreamError(Reason.CANCELLED, "the service stops")
        if self._troubles.refused(key, self._env.clock.seconds()):
            raise UpstreamError(Reason.CHANGED, "the file does not match its digest")

    def _tell_idle(self) -> None:
        if not self._running:
            idle, self._idle = self._idle, []
            for deferred in idle:
                deferred.callback(None)


def _alone(wanted: Wanted) -> _Name:
    """The name of an exchange that nobody joins."""
    return (wanted.scope, f"alone {id(wanted)}")


def _unwatched(outcome: Outcome) -> None:
    if isinstance(outcome, Passing):
        outcome.response.abort()
