"""What was stored before the tier was there goes to it, too: a walk over all entries, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.store import records
from aimirror.tier import names
from aimirror.tier.breaker import Breaker, State
from aimirror.tier.keys import Keys
from aimirror.tier.names import LARGEST_ENTRY
from aimirror.tier.s3 import Bucket, StoreError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from aimirror.store.store import Store

#: Seconds between two entries that are looked up, so that nobody else waits for it.
STEP = 0.02
#: Seconds until it goes on when the store is away, or when enough waits to be sent already.
PAUSE = 30.0
ENOUGH = 1000


class Walk:
    """Puts what the tier lacks into the outbox, entry by entry in the order of their names.

    How far it came is in the index, so that it goes on there after a restart, is over for good
    at the end, and begins again when the index was lost, or another tier is named.  ``wants``
    says which entries are for the tier, ``missed`` is called when one was missing there.
    """

    log = Logger()

    def __init__(
        self,
        bucket: Bucket,
        keys: Keys,
        store: Store,
        clock: IReactorTime,
        breaker: Breaker,
        wants: Callable[[Entry], bool],
        missed: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._keys = keys
        self._store = store
        self._clock = clock
        self._breaker = breaker
        self._wants = wants
        self._missed = missed
        self._tier = f"{bucket.place.base}/{bucket.place.prefix}"
        self._later: IDelayedCall | None = None
        self._stopped = False

    def start(self) -> None:
        """Go on where it was."""
        self._wait(0)

    def stop(self) -> None:
        """Go on the next time."""
        self._stopped = True
        if self._later is not None and self._later.active():
            self._later.cancel()

    def _wait(self, seconds: float) -> None:
        if not self._stopped:
            self._later = self._clock.callLater(seconds, self._go_on)

    def _go_on(self) -> None:
        walking: Deferred[float | None] = Deferred.fromCoroutine(self._page())
        walking.addErrback(lambda f: self.log.failure("the walk for the tier broke off", f))
        walking.addCallback(lambda seconds: None if seconds is None else self._wait(seconds))

    async def _page(self) -> float | None:
        """See to a page of entries; the seconds until the next one, None when there is none."""
        try:
            waiting, _ = self._store.outbox.waiting()
            if waiting >= ENOUGH or self._breaker.state is not State.CLOSED:
                return PAUSE
            page = self._store.entries_after(self._store.outbox.walked(self._tier))
            for name, entry in page:
                if self._stopped:
                    return None
                if entry is not None and self._wants(entry) and await self._lacks(entry):
                    self._store.outbox.add(name, entry.size, self._clock.seconds())
                    self._missed()
                self._store.outbox.walk(self._tier, name)
        except (OSError, StoreError) as error:
            self.log.info("the walk for the tier goes on later: {why}", why=str(error))
            return PAUSE
        return STEP * len(page) if page else None

    async def _lacks(self, entry: Entry) -> bool:
        """Whether the tier has nothing as new for the key and variant."""
        name = names.entry_name(entry.key, entry.variant)
        data = await self._bucket.get(name, LARGEST_ENTRY)
        content = None if data is None else names.unpacked(name, data, self._keys)
        if not isinstance(content, str):
            return True
        try:
            return records.load(content).received_at < entry.received_at
        except ValueError:
            return True
