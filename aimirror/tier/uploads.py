"""What this node has stored goes to the tier, in the background."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.caching.entries import Entry
from aimirror.download.tasks import SendTask
from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed, IPool
from aimirror.store import records
from aimirror.store.packed import MOST_PACKED
from aimirror.tier import kin, names
from aimirror.tier.breaker import Breaker
from aimirror.tier.counts import Counts
from aimirror.tier.keys import Keys
from aimirror.tier.s3 import Bucket, StoreError
from aimirror.tier.sigv4 import UNSIGNED

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from aimirror.store.bodies import StoredBody
    from aimirror.store.store import Store
    from aimirror.store.usage import Unsent

#: Bytes of one PUT; larger bodies go in parts, so that a failure costs no more than one.
PART = 64 << 20
#: Bytes of a body that is sent from memory.
AT_ONCE = MOST_PACKED
#: Seconds after a failure that says nothing of the store as a whole.
RETRY = 10.0
#: Names that are read from the outbox at a time, beside those that are under way.
AHEAD = 16


@frozen(kw_only=True)
class Limits:
    """Uploads at a time, and bytes per second of all (0: no limit)."""

    uploads: int = 4
    rate: int = 0


class Uploads:
    """Empties the outbox of ``store``: a blob first, then the entry that names it.

    ``base`` says below what an index is noted for those who look for it, "" for all else.
    What is in the outbox survives every end of this process.  ``start`` begins, ``kick`` says
    that there is something new, ``stop`` fires once nothing is under way.
    """

    log = Logger()

    def __init__(
        self,
        bucket: Bucket,
        keys: Keys,
        store: Store,
        pool: IPool,
        clock: IReactorTime,
        breaker: Breaker,
        counts: Counts,
        limits: Limits,
        base: Callable[[Entry], str],
    ) -> None:
        self._base = base
        self._bucket = bucket
        self._keys = keys
        self._store = store
        self._pool = pool
        self._clock = clock
        self._breaker = breaker
        self._counts = counts
        self.limits = limits
        self._running: dict[str, Deferred[None]] = {}
        self._started = False
        self._later: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []

    def start(self) -> None:
        """Begin with what was left the last time."""
        self._started = True
        self.kick()

    def stop(self) -> Deferred[None]:
        """Start nothing more; fires when what is under way has ended."""
        self._started = False
        if self._later is not None and self._waits:
            self._later.cancel()
        ended: Deferred[None] = Deferred()
        self._idle.append(ended)
        self._tell_idle()
        return ended

    def kick(self) -> None:
        """Send as much as may be sent at a time."""
        while self._started and not self._waits and len(self._running) < self.limits.uploads:
            unsent = self._next()
            if unsent is None:
                return
            if not self._breaker.allows(self._clock.seconds()):
                self._wait(max(1.0, self._breaker.until - self._clock.seconds()))
                return
            self._begin(unsent)

    def _next(self) -> Unsent | None:
        try:
            rows = self._store.to_send(len(self._running) + AHEAD)
        except OSError as error:
            self.log.error("the outbox can't be read: {error}", error=str(error))
            self._wait(RETRY)
            return None
        return next((each for each in rows if each.name not in self._running), None)

    def _begin(self, unsent: Unsent) -> None:
        sending = self._running[unsent.name] = Deferred.fromCoroutine(self._send(unsent))
        sending.addErrback(self._wrong)
        sending.addCallback(lambda _: self._ended(unsent))

    def _ended(self, unsent: Unsent) -> None:
        self._running.pop(unsent.name, None)
        self._tell_idle()
        # From the reactor's next turn on: many that end at once must not be one deep call.
        if self._started and not self._waits:
            self._wait(0)

    def _wrong(self, failure: Failure) -> None:
        self.log.failure("an upload went wrong", failure)
        self._wait(RETRY)

    @property
    def _waits(self) -> bool:
        return self._later is not None and self._later.active()

    def _wait(self, seconds: float) -> None:
        """Begin nothing for a while; the longest wait counts."""
        if not self._started:
            return
        if self._later is not None and self._later.active():
            if self._later.getTime() >= self._clock.seconds() + seconds:
                return
            self._later.cancel()

        def go_on() -> None:
            self._later = None
            self.kick()

        self._later = self._clock.callLater(seconds, go_on)

    def _tell_idle(self) -> None:
        if not self._running and not self._started:
            idle, self._idle = self._idle, []
            for ended in idle:
                ended.callback(None)

    # -- one of them -----------------------------------------------------------------------

    async def _send(self, unsent: Unsent) -> None:
        entry = unsent.entry
        try:
            body = self._store.body(entry) if entry and names.shareable(entry) else None
            if entry is None or body is None:
                self._store.outbox.sent(unsent.name, unsent.since)
                return
            await self._blob(entry, body)
            await self._entry(entry)
        except (StoreError, BodyFailed, OSError) as error:
            self._counts.note("put", "error")
            if isinstance(error, StoreError):
                self._breaker.failed(self._clock.seconds())
            self.log.info("not sent to the tier: {why}", why=str(error))
            self._wait(RETRY)
            return
        self._breaker.succeeded()
        self._counts.note("put", "done")
        self._store.outbox.sent(unsent.name, unsent.since)

    async def _entry(self, entry: Entry) -> None:
        bare = names.bare(entry)
        data = names.packed(bare, records.dump(bare), self._keys)
        await self._bucket.put(names.entry_name(entry.key, entry.variant), data)
        if entry.variant:
            vary = entry.headers.tokens("vary")
            pointer = names.pointing(entry.key, tuple(vary), entry.variant, self._keys)
            await self._bucket.put(names.entry_name(entry.key), pointer)
        base = self._base(entry)
        note = kin.note(base, entry.key, self._clock.seconds()) if base else ""
        if note:
            await self._bucket.put(note, b"")

    async def _blob(self, entry: Entry, body: StoredBody) -> None:
        name = names.blob_name(entry.blob)
        if await self._bucket.size(name) == body.size:
            return
        if body.size <= AT_ONCE:
            await self._small(name, entry.blob, body)
            return
        body.guard()  # its file is read by name
        try:
            if body.size <= PART:
                fields = self._bucket.put_fields(entry.blob)
                url = self._bucket.place.url(name)
                await self._put(url, fields, entry.blob, str(body.path), 0, body.size)
            else:
                await self._in_parts(name, str(body.path), body.size)
        finally:
            body.release()

    async def _small(self, name: str, digest: str, body: StoredBody) -> None:
        """Send what needs no worker: the store packs such bodies, so it may have no file."""
        data = body.data()
        if sha256(data).hexdigest() != digest:
            raise BodyFailed("the stored body is damaged")
        await self._bucket.put(name, data)
        self._counts.sent += len(data)

    async def _in_parts(self, name: str, path: str, size: int) -> None:
        bucket = self._bucket
        upload = await bucket.begin_parts(name)
        try:
            tags = []
            for number, start in enumerate(range(0, size, PART), 1):
                url = bucket.part_url(name, upload, number)
                stop = min(size, start + PART)
                tags.append(await self._put(url, Headers(), UNSIGNED, path, start, stop))
            await bucket.end_parts(name, upload, tags)
        except BaseException:
            await self._quietly(bucket.drop_parts, name, upload)
            raise
        if await bucket.size(name) != size:
            await bucket.delete(name)
            raise StoreError("the store has another size than was sent")

    async def _quietly(self, call: Callable[[str, str], object], *words: str) -> None:
        try:
            await call(*words)  # type: ignore[misc]
        except StoreError as error:
            self.log.info("an upload in parts was left behind: {why}", why=str(error))

    async def _put(
        self, url: str, fields: Headers, digest: str, path: str, start: int, stop: int
    ) -> str:
        """Have a worker send part of a file; its ETag."""
        bucket = self._bucket
        rate = self.limits.rate // max(1, len(self._running))
        task = SendTask(
            url=url,
            headers=await bucket.signed("PUT", url, fields, digest),
            path=path,
            start=start,
            stop=stop,
            egress=bucket.place.egress,
            timeouts=bucket.place.patient,
            rate_limit=max(1, rate) if self.limits.rate else 0,
        )
        result = await self._pool.send(task)
        if result.status not in (200, 201, 204):
            raise StoreError(result.detail or f"status {result.status}", result.status)
        self._counts.sent += stop - start
        return result.etag
