"""The second tier as one node uses it: found there, proved here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching.caching import matches, variant
from aimirror.caching.entries import Entry
from aimirror.http import urls
from aimirror.http.egress import Egress, Outgoing
from aimirror.http.headers import Headers
from aimirror.http.ranges import format_range
from aimirror.interfaces import IPool, IUpstream, IUpstreamResponse, UpstreamError
from aimirror.routing.rules import Rule
from aimirror.store import records
from aimirror.tier import kin, names
from aimirror.tier.breaker import Breaker, State
from aimirror.tier.counts import Counts
from aimirror.tier.keys import Keys
from aimirror.tier.names import LARGEST_ENTRY, Pointer
from aimirror.tier.orders import Orders
from aimirror.tier.probe import Probe, refused
from aimirror.tier.s3 import Bucket, StoreError
from aimirror.tier.uploads import Limits, Uploads
from aimirror.tier.walk import Walk

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from aimirror.store.store import Store

#: Seconds by which the clock of another node may be ahead of ours.
SKEW = 60.0
#: Damaged objects within so many seconds after which the store is not used any more.
MOST_BAD = 3
BAD_WINDOW = 3600.0
#: Seconds for which a node that was just started waits for the first look at the store.
FIRST_LOOK = 1.0
#: Seconds after which a store that could not be looked at is looked at again.
LOOK_AGAIN = 15.0
#: The name of no object: the question whether the store answers.
_NOBODYS = "probe/nobody"


def _is_none(ecosystem: str, key: str) -> bool:
    return False


class Tier:
    """Finds what other nodes have left, and leaves for them what this one has stored.

    Nothing of it fails: where the store does not help, the answer is None.  It is used once a
    look at it (``start``) has found no fault.
    ``is_index`` tells of a rule's package world and a key whether it is an index that packages
    do not lead to by their URLs.
    """

    log = Logger()

    def __init__(
        self,
        bucket: Bucket,
        probe: Probe,
        keys: Keys,
        upstream: IUpstream,
        store: Store,
        pool: IPool,
        clock: IReactorTime,
        limits: Limits,
        max_size: int | None = None,
        is_index: Callable[[str, str], bool] = _is_none,
    ) -> None:
        self._is_index = is_index
        self._bucket = bucket
        self._probe = probe
        self.keys = keys
        self._upstream = upstream
        self._clock = clock
        self._max_size = max_size
        self.breaker = Breaker()
        self.counts = Counts()
        self._store = store
        self._uploads = Uploads(
            bucket, keys, store, pool, clock, self.breaker, self.counts, limits, self._kin_of
        )
        self._walk = Walk(
            bucket, keys, store, clock, self.breaker, self._wants_stored, self._uploads.kick
        )
        #: The rules whose files it may have, by name; None for all.
        self._rules: dict[str, Rule] | None = None
        self.orders = Orders(bucket, keys, clock)
        #: Why it is not used, "" when it is.
        self.problem = "it was not looked at yet"
        self._bad: deque[float] = deque(maxlen=MOST_BAD)
        self._later: IDelayedCall | None = None
        self._stopped = False
        #: Whether it was never looked at to the end, is being looked at, and who waits for that.
        self._first, self._looking = True, False
        self._waiting: list[Deferred[None]] = []

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Look at the store, and use it if it is good; again and again while it is away."""
        self._looking = True
        looking: Deferred[None] = Deferred.fromCoroutine(self._look())
        looking.addErrback(lambda f: self.log.failure("the tier could not be looked at", f))
        looking.addBoth(lambda _: self._looked())

    def _looked(self) -> None:
        """The first look is over, or takes too long: nobody waits for it any more."""
        self._looking, self._first = False, False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _first_look(self) -> Deferred[None]:
        """Fires when the store has been looked at once, after FIRST_LOOK seconds at most.

        A node that has just been started must not ask the upstream for all that it lacks.
        """
        if not self._waiting:
            limit = self._clock.callLater(FIRST_LOOK, self._looked)
            over: Deferred[None] = Deferred()
            over.addCallback(lambda _: limit.cancel() if limit.active() else None)
            self._waiting.append(over)
        fired: Deferred[None] = Deferred()
        self._waiting.append(fired)
        return fired

    async def _look(self) -> None:
        try:
            findings = await self._probe.run()
        except (StoreError, UpstreamError) as error:
            if self.problem != str(error):
                self.log.warn("the tier is not used yet: {why}", why=str(error))
            self.problem = str(error)
            if not self._stopped:
                self._later = self._clock.callLater(LOOK_AGAIN, self.start)
            return
        self.problem = refused(findings)
        if self.problem:
            self.log.error("the tier is not used: {why}", why=self.problem)
        elif not self._stopped:
            self.log.info("the tier is used: {base}", base=self._bucket.place.base)
            self._uploads.start()
            self._walk.start()
            self.orders.start()

    def stop(self) -> Deferred[None]:
        """Fires when nothing is being sent any more."""
        self._stopped = True
        if self._later is not None and self._later.active():
            self._later.cancel()
        self.orders.stop()
        self._walk.stop()
        return self._uploads.stop()

    @property
    def egress(self) -> Egress:
        """How requests to it leave."""
        return self._bucket.place.egress

    @property
    def backlog(self) -> tuple[int, float | None]:
        """Entries that wait to be sent, and since when the first one does."""
        return self._store.outbox.waiting()

    # -- finding ---------------------------------------------------------------------------

    async def find(self, key: str, headers: Headers | None) -> Entry | None:
        """The entry that some node has left for a key and for a request like this.

        With no ``headers`` it is the newest, whatever request chose it.
        """
        if self._first and self._looking:
            await self._first_look()
        asked_at = self._clock.seconds()
        if not self._may_ask(asked_at):
            return None
        try:
            record = await self._record(key, headers)
        except StoreError as error:
            self._failed("find", error, asked_at)
            return None
        self.breaker.succeeded()
        entry = None if record is None else self._judged(key, headers, record)
        self.counts.note("find", "miss" if entry is None else "hit")
        return entry

    def _may_ask(self, now: float) -> bool:
        """Whether somebody who waits may ask the store."""
        if self.problem:
            return False
        if self.breaker.state is State.CLOSED:
            return True
        self._try(now)
        return False

    async def indexes(self, rule: Rule) -> list[str]:
        """The keys of indexes below a rule's base that nodes have left, the newest first."""
        asked_at = self._clock.seconds()
        if not self._may_ask(asked_at):
            return []
        base = urls.base(rule.upstreams[0])
        try:
            objects, _ = await self._bucket.listed(kin.folder(base))
        except StoreError as error:
            self._failed("list", error, asked_at)
            return []
        self.breaker.succeeded()
        return kin.noted(base, (name for name, _ in objects))

    def _kin_of(self, entry: Entry) -> str:
        """Below what an entry is noted, "" where it is no such index."""
        rule = (self._rules or {}).get(entry.rule)
        if rule is None or not rule.upstreams or not self._is_index(rule.ecosystem, entry.key):
            return ""
        return urls.base(rule.upstreams[0])

    def _try(self, now: float) -> None:
        """When it is time, see whether the store is back; no client waits for that."""
        if self.breaker.allows(now):
            trying: Deferred[None] = Deferred.fromCoroutine(self._trial(now))
            trying.addErrback(lambda f: self.log.failure("the tier could not be tried", f))

    async def _trial(self, now: float) -> None:
        try:
            await self._bucket.get(_NOBODYS, LARGEST_ENTRY)
        except StoreError as error:
            self._failed("try", error, now)
        else:
            self.breaker.succeeded()

    async def _record(self, key: str, headers: Headers | None) -> str | None:
        content = await self._content(names.entry_name(key))
        if isinstance(content, Pointer):
            varies = variant(content.vary, headers) if headers is not None else (content.newest,)
            if varies is None or not varies[0]:
                return None
            content = await self._content(names.entry_name(key, varies[0]))
        return content if isinstance(content, str) else None

    async def _content(self, name: str) -> str | Pointer | None:
        data = await self._bucket.get(name, LARGEST_ENTRY)
        if data is None:
            return None
        content = names.unpacked(name, data, self.keys)
        if content is None:
            self.counts.note("find", "foreign")
        return content

    def _judged(self, key: str, headers: Headers | None, record: str) -> Entry | None:
        try:
            entry = records.load(record)
        except ValueError:
            return None
        now = self._clock.seconds()
        fits = entry.key == key and names.shareable(entry) and entry.size > 0
        chosen = headers is None or matches(entry, headers)
        if not fits or not chosen or entry.received_at > now + SKEW:
            return None
        return evolve(
            entry,
            requested_at=min(entry.requested_at, now),
            received_at=min(entry.received_at, now),
            arrived_at=min(entry.arrived_at, now),
        )

    async def open(self, entry: Entry, span: tuple[int, int]) -> IUpstreamResponse | None:
        """The first bytes of an entry's blob, by a URL that others can use."""
        place = self._bucket.place
        asked_at = self._clock.seconds()
        try:
            url = await self._bucket.presigned(names.blob_name(entry.blob))
            fields = Headers([("Range", format_range(*span)), ("Accept-Encoding", "identity")])
            outgoing = Outgoing("GET", url, fields, place.egress, place.timeouts)
            response = await self._upstream.request(outgoing)
        except (StoreError, UpstreamError) as error:
            self._failed("get", error, asked_at)
            return None
        if response.status == 206:
            self.counts.note("get", "hit")
            return response
        response.abort()
        if response.status == 404:
            self.counts.note("get", "lost")
            await self._delete(names.entry_name(entry.key, entry.variant))
        else:
            self._failed("get", StoreError(f"status {response.status}"), asked_at)
        return None

    def trouble(self) -> None:
        """A piece of a blob did not come."""
        self.breaker.failed(self._clock.seconds())

    async def bad(self, entry: Entry) -> None:
        """The bytes were not those that they are named by: nobody shall get them again."""
        now = self._clock.seconds()
        self.counts.bad += 1
        self.log.error("a damaged blob in the tier: {blob}", blob=entry.blob)
        self._bad.append(now)
        if len(self._bad) == MOST_BAD and self._bad[0] > now - BAD_WINDOW:
            self.problem = f"{MOST_BAD} of its objects were damaged within an hour"
            self.log.error("the tier is not used any more: {why}", why=self.problem)
        await self._delete(names.blob_name(entry.blob))
        await self._delete(names.entry_name(entry.key, entry.variant))

    async def _delete(self, name: str) -> None:
        asked_at = self._clock.seconds()
        try:
            await self._bucket.delete(name)
        except StoreError as error:
            self._failed("delete", error, asked_at)

    def _failed(self, operation: str, error: Exception, asked_at: float) -> None:
        now = self._clock.seconds()
        self.counts.note(operation, "error")
        self.breaker.failed(now, now - asked_at)
        self.log.debug("tier: {operation}: {error}", operation=operation, error=str(error))

    # -- leaving ---------------------------------------------------------------------------

    def wants(self, entry: Entry) -> bool:
        """Whether an entry that was just stored goes there."""
        fits = self._max_size is None or entry.size <= self._max_size
        return names.shareable(entry) and entry.size > 0 and fits

    def reconfigure(self, rules: Iterable[Rule], limits: Limits, max_size: int | None) -> None:
        """The rules that there are now, and what bounds the uploads."""
        self._rules = {rule.name: rule for rule in rules if rule.tier}
        self._max_size = max_size
        self._uploads.limits = limits
        self._uploads.kick()

    def _wants_stored(self, entry: Entry) -> bool:
        """Whether an entry that was stored some time ago goes there."""
        return self.wants(entry) and (self._rules is None or entry.rule in self._rules)

    def stored(self) -> None:
        """Something was put into the outbox."""
        self._uploads.kick()
