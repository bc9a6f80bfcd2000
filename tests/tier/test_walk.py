"""The walk: what was stored before the tier was there is sent, once, wherever it broke off."""

from __future__ import annotations

from attrs import evolve

from aimirror.caching.entries import Entry
from aimirror.store import records
from aimirror.testing.s3 import ACCESS, SECRET
from aimirror.tier import names, walk
from aimirror.tier.breaker import MOST_FAILURES, Breaker
from aimirror.tier.sigv4 import Secret
from aimirror.tier.walk import PAUSE, Walk
from tests.store.support import StoreCase
from tests.tier.support import KEYS, TierCase


class WalkTests(StoreCase, TierCase):
    def setUp(self) -> None:
        TierCase.setUp(self)
        StoreCase.setUp(self)
        self.breaker = Breaker()
        self.found = 0
        self.entries = [self.stored(number) for number in range(5)]

    def stored(self, number: int, **fields: object) -> Entry:
        made = self.add(b"%d" % number, f"http://h/{number}", **fields)
        self.assertTrue(self.store.put(made))
        return made

    def walk(self) -> Walk:
        def found() -> None:
            self.found += 1

        bucket = self.bucket_with(Secret(ACCESS, SECRET))
        wants = names.shareable
        return Walk(bucket, KEYS, self.store, self.clock, self.breaker, wants, found)

    def run_through(self) -> None:
        """A walk from where it is to its end."""
        self.walk().start()
        self.clock.pump([0, 10, 10])

    def waiting(self) -> int:
        return self.store.outbox.waiting()[0]

    def leave(self, entry: Entry) -> None:
        """The entry is in the tier."""
        name = names.entry_name(entry.key, entry.variant)
        data = names.packed(entry, records.dump(entry), KEYS)
        self.script.objects[f"/bucket/p/{name}"] = data

    def test_all(self) -> None:
        """Everything that is for anybody goes into the outbox; a second walk finds nothing."""
        self.stored(7, scope="someone")
        self.run_through()
        self.assertEqual((self.waiting(), self.found), (5, 5))
        self.script.counts.clear()
        self.run_through()
        self.assertEqual(self.script.counts, {})

    def test_known(self) -> None:
        """What the tier has as new as this is not sent again; what is older there, is."""
        old, same, newer = self.entries[:3]
        self.leave(evolve(old, received_at=old.received_at - 1))
        self.leave(same)
        self.leave(evolve(newer, received_at=newer.received_at + 1))
        self.run_through()
        sent = {unsent.entry.key for unsent in self.store.to_send(9) if unsent.entry}
        wanted = {entry.key for entry in self.entries} - {same.key, newer.key}
        self.assertEqual(sent, wanted)

    def test_goes_on(self) -> None:
        """One that broke off goes on at the entry that it could not look up."""
        self.script.status = 503
        walking = self.walk()
        walking.start()
        self.clock.advance(0)
        walking.stop()
        self.assertEqual(self.waiting(), 0)
        self.script.status = 0
        self.run_through()
        self.assertEqual(self.waiting(), 5)

    def test_waits(self) -> None:
        """While the store is left alone, or enough waits to be sent, nothing is looked up."""
        self.patch(walk, "ENOUGH", 5)
        for _ in range(MOST_FAILURES):
            self.breaker.failed(self.clock.seconds())
        self.run_through()
        self.assertEqual(self.script.counts, {})
        self.breaker.succeeded()
        self.clock.advance(PAUSE)
        self.assertEqual(self.waiting(), 5)
        self.stored(8)
        self.stored(9)
        self.clock.pump([PAUSE] * 5)
        self.assertEqual(self.waiting(), 5)

    def test_other_tier(self) -> None:
        """Another tier has nothing yet: it gets all."""
        self.run_through()
        for unsent in self.store.to_send(9):
            self.store.outbox.sent(unsent.name, unsent.since)
        self.store.outbox.walk("http://other/", "~")
        self.run_through()
        self.assertEqual(self.waiting(), 5)
