"""What an administrator has ordered on one node, for all nodes: read from the store by each.

An order is about what was received before it, so it may be obeyed any number of times: a node that
was away obeys at its next start.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import asdict, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.store.layout import entry_name
from aimirror.tier import names
from aimirror.tier.keys import Keys
from aimirror.tier.s3 import Bucket, StoreError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two looks, and for which an order is kept.
LOOK_EVERY = 15.0
KEPT_FOR = 7 * 86400.0
#: Orders that a node remembers; of more, the oldest are obeyed and forgotten.
MOST_ORDERS = 10_000
#: Bytes of one.
LARGEST_ORDER = 64 << 10
_PREFIX = "orders/"


@frozen(kw_only=True)
class Order:
    """Which entries are meant, by all that is given, and what is to become of them."""

    #: "purge", "pin" or "unpin".
    kind: str
    #: Epoch seconds: what was received later is not meant.
    before: float
    key: str = ""
    name: str = ""
    prefix: str = ""
    rule: str | None = None

    def means(self, entry: Entry) -> bool:
        """Whether it is about an entry; a key without query means all of its queries."""
        key = entry.key if "?" in self.key else entry.key.partition("?")[0]
        return (
            entry.received_at < self.before
            and self.key in ("", key)
            and self.name in ("", entry_name(entry))
            and entry.key.startswith(self.prefix)
            and self.rule in (None, entry.rule)
        )


class Orders:
    """Gives orders to all nodes, and hears those of others.

    ``obey`` is called with each new one, once it is set.
    """

    log = Logger()

    def __init__(self, bucket: Bucket, keys: Keys, clock: IReactorTime) -> None:
        self._bucket = bucket
        self._keys = keys
        self._clock = clock
        self._known: dict[str, Order] = {}
        self._later: IDelayedCall | None = None
        self._stopped = False
        self._newest = 0
        self.obey: Callable[[Order], Deferred[None]] | None = None

    def start(self) -> None:
        """Look for orders, again and again."""
        looking: Deferred[None] = Deferred.fromCoroutine(self._look())
        looking.addErrback(lambda f: self.log.failure("no look at the orders", f))
        looking.addCallback(lambda _: self._again())

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._later is not None and self._later.active():
            self._later.cancel()

    def purged(self, entry: Entry) -> bool:
        """Whether an entry in the store is one that was ordered away."""
        return any(o.kind == "purge" and o.means(entry) for o in self._known.values())

    async def give(self, order: Order) -> bool:
        """Have all nodes obey; whether the order is in the store."""
        # Later ones have later names, also within one millisecond.
        self._newest = max(int(self._clock.seconds() * 1000), self._newest + 1)
        name = f"{_PREFIX}{self._newest:015d}-{secrets.token_hex(6)}.json"
        self._known[name] = order
        try:
            await self._bucket.put(name, names.sealed(name, asdict(order), self._keys))
        except StoreError as error:
            self.log.error("other nodes were not told: {why}", why=str(error))
            return False
        return True

    def _again(self) -> None:
        if not self._stopped:
            self._later = self._clock.callLater(LOOK_EVERY, self.start)

    async def _look(self) -> None:
        oldest = f"{_PREFIX}{int((self._clock.seconds() - KEPT_FOR) * 1000):015d}"
        self._known = {name: each for name, each in self._known.items() if name > oldest}
        after, more = _PREFIX, True
        try:
            while more and len(self._known) < MOST_ORDERS:
                names, more = await self._bucket.listed(_PREFIX, after)
                for name, _ in names:
                    after = name
                    await (self._read(name) if name > oldest else self._bucket.delete(name))
                more = more and bool(names)
        except StoreError as error:
            self.log.debug("orders: {why}", why=str(error))

    async def _read(self, name: str) -> None:
        if name in self._known:
            return
        data = await self._bucket.get(name, LARGEST_ORDER)
        value = None if data is None else names.opened(name, data, self._keys)
        if value is None:
            return
        try:
            order = self._known[name] = Order(**value)
        except TypeError:  # of a version that knows other words
            return
        if self.obey is not None:
            await self.obey(order)
