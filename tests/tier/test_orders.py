"""Orders: what is purged or pinned on one node is so on all."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from aimirror.admin.entries import Entries, Selection
from aimirror.routing.rules import Rule
from aimirror.store.store import Store
from aimirror.testing.s3 import ACCESS, SECRET
from aimirror.tier.keys import Keys
from aimirror.tier.orders import KEPT_FOR, LOOK_EVERY, Order, Orders
from aimirror.tier.sigv4 import Secret
from tests.store.support import StoreCase
from tests.tier.support import KEYS, TierCase, entry

RULES = (Rule(name="r", upstreams=("http://h",)), Rule(name="s", upstreams=("http://i",)))


class OrdersTests(StoreCase, TierCase):
    def setUp(self) -> None:
        TierCase.setUp(self)
        StoreCase.setUp(self)
        self.bucket = self.bucket_with(Secret(ACCESS, SECRET))
        self.other = self.open_store(self.root.with_name("other"))
        self.here, self.entries = self.node(self.store)
        self.there, _ = self.node(self.other)
        for number in range(3):
            for store in (self.store, self.other):
                self.keep(store, f"http://h/{number}")
        self.clock.advance(1)

    def keep(self, store: Store, key: str, **fields: Any) -> None:
        given = {"blob": "", "rule": "r", "received_at": self.clock.seconds(), **fields}
        store.put(entry(key=key, **given))

    def node(self, store: Store, keys: Keys = KEYS) -> tuple[Orders, Entries]:
        orders = Orders(self.bucket, keys, self.clock)
        entries = Entries(store, self.clock, lambda: RULES, orders)
        orders.start()
        self.addCleanup(orders.stop)
        return orders, entries

    def purge(self, **words: Any) -> None:
        self.run_now(self.entries.purge(Selection(**words)))

    def left(self, store: Store) -> list[str]:
        return sorted(e.key for e in store.find())

    def test_purge(self) -> None:
        """What was purged here is gone there within seconds, and nothing else."""
        self.purge(url="http://h/1")
        self.assertEqual(len(self.left(self.other)), 3)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.left(self.other), ["http://h/0", "http://h/2"])

    def test_kinds(self) -> None:
        """By prefix, by rule, by age, or all: the same are meant on each node."""
        for words, left in (
            ({"prefix": "http://h/2"}, ["http://h/0", "http://h/1"]),
            ({"older_than": 3600.0}, ["http://h/0", "http://h/1"]),
            ({"rule": "s"}, ["http://h/0", "http://h/1"]),
            ({"rule": "r"}, []),
        ):
            self.purge(**words)
            self.clock.advance(LOOK_EVERY)
            self.assertEqual((self.left(self.store), self.left(self.other)), (left, left))

    def test_later(self) -> None:
        """What came after an order stays, though the order is obeyed again by each start."""
        self.purge(everything=True)
        self.clock.advance(LOOK_EVERY)
        self.keep(self.other, "http://h/1")
        self.node(self.other)
        self.assertEqual(self.left(self.other), ["http://h/1"])

    def test_away(self) -> None:
        """A node that was away obeys when it is back."""
        self.there.stop()
        self.purge(everything=True)
        self.clock.advance(10 * LOOK_EVERY)
        self.assertEqual(len(self.left(self.other)), 3)
        self.node(self.other)
        self.assertEqual(self.left(self.other), [])

    def test_pins(self) -> None:
        """Pins reach all nodes, and keep from purges that do not name the file."""
        self.run_now(self.entries.pin(Selection(url="http://h/1"), True))
        self.purge(everything=True)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.left(self.other), ["http://h/1"])
        self.run_now(self.entries.pin(Selection(url="http://h/1"), False))
        self.clock.advance(LOOK_EVERY)
        self.assertFalse(next(iter(self.other.find())).pinned)

    def test_tier(self) -> None:
        """What was purged does not come back from the tier; what came later does."""
        self.purge(url="http://h/1")
        self.clock.advance(LOOK_EVERY)
        old = entry(key="http://h/1", received_at=self.clock.seconds() - 3600)
        new = entry(key="http://h/1", received_at=self.clock.seconds())
        self.assertEqual((self.there.purged(old), self.there.purged(new)), (True, False))

    def test_strangers(self) -> None:
        """Orders of others are none."""
        _, foreign = self.node(self.open_store(self.root.with_name("x")), Keys(("x" * 32,)))
        self.run_now(foreign.purge(Selection(everything=True)))
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(self.left(self.other)), 3)

    def test_forgotten(self) -> None:
        """Old orders are deleted."""
        self.purge(url="http://h/1")
        self.assertEqual(len(self.script.named("orders")), 1)
        self.clock.advance(KEPT_FOR + 1)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.script.named("orders"), [])

    def test_store_away(self) -> None:
        """A store that is away keeps nobody from purging here."""
        self.script.away = True
        self.purge(everything=True)
        self.assertEqual(self.left(self.store), [])
        self.flushLoggedErrors()

    def test_means(self) -> None:
        """A key without a query means all of its queries."""
        order = Order(kind="purge", before=10.0, key="http://h/a")
        for key, meant in (("http://h/a?b", True), ("http://h/ab", False)):
            self.assertEqual(order.means(entry(key=key)), meant)
        self.assertIsInstance(self.entries.obey(order), Deferred)
