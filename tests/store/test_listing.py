"""What administrators ask of the index."""

from __future__ import annotations

from aimirror.store.listing import Listing, Order, RuleUse
from tests.store.support import NOW, StoreCase


class ListingTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        for size, key, rule in ((30, "b/Big", "x"), (10, "a/small", "x"), (20, "b/mid?s=1", "y")):
            self.clock.advance(1)
            self.add(bytes([size]) * size, key, rule=rule, received_at=self.clock.seconds())

    def keys(self, **wanted: object) -> list[str]:
        listed = self.successResultOf(self.store.listing(Listing(**wanted)))
        return [item.entry.key for item in listed]

    def test_orders(self) -> None:
        """Each order begins with what is most interesting in it."""
        self.assertEqual(self.keys(), ["b/Big", "b/mid?s=1", "a/small"])
        self.assertEqual(self.keys(order=Order.OLDEST)[0], "b/Big")
        self.assertEqual(self.keys(order=Order.NEWEST)[0], "b/mid?s=1")
        self.assertEqual(self.keys(order=Order.KEY)[0], "a/small")

    def test_unused(self) -> None:
        """Uses that are only noted in memory count for the order by use."""
        self.clock.advance(1)
        for entry in self.store.entries("b/Big"):
            self.store.touch(entry)
        self.assertEqual(self.keys(order=Order.UNUSED), ["a/small", "b/mid?s=1", "b/Big"])

    def test_conditions(self) -> None:
        """All conditions hold together; text is compared literally, in search without case."""
        self.assertEqual(self.keys(prefix="b/"), ["b/Big", "b/mid?s=1"])
        self.assertEqual(self.keys(contains="BIG"), ["b/Big"])
        self.assertEqual(self.keys(contains="%"), [])
        self.assertEqual(self.keys(rule="x", prefix="a"), ["a/small"])
        self.assertEqual(self.keys(received_before=NOW + 2), ["b/Big"])
        self.assertEqual(self.keys(pinned=True), [])

    def test_page(self) -> None:
        """A page is a part of the whole list."""
        self.assertEqual(self.keys(count=1, offset=1), ["b/mid?s=1"])

    def test_by_rule(self) -> None:
        """Entries and bytes of each rule, the largest first."""
        self.assertEqual(
            self.successResultOf(self.store.by_rule()), [RuleUse("x", 2, 40), RuleUse("y", 1, 20)]
        )

    def test_kept(self) -> None:
        """Rows without records, the last used first and so many, are read in a thread."""
        self.clock.advance(1)
        for entry in self.store.entries("b/Big"):
            self.store.touch(entry)
        rows = self.successResultOf(self.store.kept(2, list))
        self.assertEqual([row.key for row in rows], ["b/Big", "b/mid?s=1"])
        self.assertEqual((rows[0].rule, rows[0].size, rows[0].used), ("x", 30, NOW + 4))

    def test_resize_and_evicted(self) -> None:
        """A smaller limit makes older files go, and they are counted."""
        self.store.resize(25, evict=True)
        self.assertTrue(self.successResultOf(self.store.make_room(0)))
        self.assertEqual(self.keys(), ["b/mid?s=1"])
        self.assertEqual((self.store.evicted.blobs, self.store.evicted.bytes), (2, 40))
