"""The tier as one node uses it: what it finds, what it takes for absent, when it is left alone."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.store import records
from aimirror.testing.s3 import ACCESS, SECRET, InMemory
from aimirror.tier import names
from aimirror.tier.breaker import MOST_FAILURES
from aimirror.tier.keys import Keys
from aimirror.tier.probe import Probe
from aimirror.tier.sigv4 import Secret
from aimirror.tier.tier import FIRST_LOOK, LOOK_AGAIN, MOST_BAD, Tier
from aimirror.tier.uploads import Limits
from tests.store.support import StoreCase
from tests.tier.support import KEYS, URL, TierCase, entry, no_wait

BLOB = b"0123456789"


class FindCase(StoreCase, TierCase):
    def setUp(self) -> None:
        TierCase.setUp(self)
        StoreCase.setUp(self)
        self.bucket = self.bucket_with(Secret(ACCESS, SECRET))
        self.tier = self.made()
        self.tier.start()
        self.script.counts.clear()

    def made(self, **more: Any) -> Tier:
        upstream = InMemory(self.script)
        probe = Probe(self.bucket, upstream, "us-east-1", no_wait)
        words = (self.bucket, probe, KEYS, upstream, self.store, None, self.clock, Limits())
        return Tier(*words, **more)  # type: ignore[arg-type]

    def leave(self, left: Entry, keys: Keys = KEYS, name: str = "") -> None:
        """What another node has put there."""
        name = name or names.entry_name(left.key, left.variant)
        self.put(name, names.packed(left, records.dump(left), keys))

    def put(self, name: str, data: bytes) -> None:
        self.script.objects[f"/bucket/p/{name}"] = data

    def left(self, **fields: Any) -> Entry:
        given = {"blob": sha256(BLOB).hexdigest(), "size": len(BLOB), "received_at": 5.0}
        return entry(**{**given, **fields})

    def find(self, *fields: tuple[str, str]) -> Entry | None:
        return self.run_now(self.tier.find(URL, Headers(fields)))


class FindTests(FindCase):
    def test_first_look(self) -> None:
        """Who asks before the first look at the store is over waits for it, but not for long."""
        for ends in (True, False):
            pause: Deferred[None] = Deferred()
            upstream = InMemory(self.script)
            probe = Probe(self.bucket, upstream, "us-east-1", lambda seconds, p=pause: p)
            words = (self.bucket, probe, KEYS, upstream, self.store, None, self.clock, Limits())
            tier = Tier(*words)  # type: ignore[arg-type]
            tier.start()
            self.leave(self.left())
            both = [Deferred.fromCoroutine(tier.find(URL, Headers())) for _ in range(2)]
            for each in both:
                self.assertNoResult(each)
            if ends:
                pause.callback(None)
            else:
                self.clock.advance(FIRST_LOOK)
            entries = [self.successResultOf(each) for each in both]
            self.assertEqual([entry is not None for entry in entries], [ends, ends])
            self.assertEqual(
                self.successResultOf(Deferred.fromCoroutine(tier.find(URL, Headers()))) is not None,
                ends,
            )

    def test_found(self) -> None:
        """What another node has left is found by one request."""
        self.leave(self.left())
        self.assertEqual(self.find(), self.left())
        self.assertEqual(self.script.counts, {"GET entries": 1})
        self.assertEqual(self.tier.counts.requests["find", "hit"], 1)

    def test_absent(self) -> None:
        """A key of which nobody has left anything costs one request."""
        self.assertIsNone(self.find())
        self.assertEqual(self.script.counts, {"GET entries": 1})

    def test_variants(self) -> None:
        """Of several answers the one is found that was chosen by the same fields."""
        self.put(names.entry_name(URL), names.pointing(URL, ("accept",), "", KEYS))
        vary = Headers([("Vary", "Accept")])
        self.leave(self.left(variant="accept:text/html", headers=vary))
        found = self.find(("Accept", "text/html"))
        self.assertEqual(None if found is None else found.variant, "accept:text/html")
        self.assertIsNone(self.find(("Accept", "application/json")))

    def test_not_believed(self) -> None:
        """Entries of others, of another key, private ones, and ones of the future are absent."""
        now = self.clock.seconds()
        self.leave(self.left(), Keys(("x" * 32,)))
        self.assertIsNone(self.find())
        for wrong in (
            self.left(key="http://files.test/two.bin"),
            self.left(scope="someone"),
            self.left(status=404),
            self.left(received_at=now + 3600),
            self.left(size=0),
            self.left(blob="zz"),
        ):
            self.leave(wrong, name=names.entry_name(URL))
            self.assertIsNone(self.find(), wrong)
        self.put(names.entry_name(URL), b"\xff")
        self.assertIsNone(self.find())

    def test_clock(self) -> None:
        """A clock that is a little ahead of ours makes nothing younger than now."""
        now = self.clock.seconds()
        self.leave(self.left(received_at=now + 30))
        found = self.find()
        self.assertEqual(None if found is None else found.received_at, now)

    def test_breaker(self) -> None:
        """A store that is away is asked a few times, then left alone; then once in a while."""
        self.script.away = True
        for _ in range(50):
            self.assertIsNone(self.find())
        self.assertEqual(self.script.counts["away"], MOST_FAILURES)
        self.clock.advance(6)
        self.assertIsNone(self.find())
        self.assertEqual(self.script.counts["away"], MOST_FAILURES + 1)
        self.script.away = False
        self.leave(self.left())
        self.clock.advance(11)
        self.assertIsNone(self.find())  # nobody waits for the trial
        self.assertIsNotNone(self.find())

    def test_slow_down(self) -> None:
        """503 is a failure like no answer at all."""
        self.script.status = 503
        for _ in range(50):
            self.assertIsNone(self.find())
        self.assertEqual(self.script.counts["GET entries"], MOST_FAILURES)


class OpenTests(FindCase):
    def setUp(self) -> None:
        super().setUp()
        self.put(names.blob_name(self.left().blob), BLOB)
        self.leave(self.left())

    def test_opened(self) -> None:
        """The first bytes come at once, and the URL gives the rest to whoever has it."""
        opened = self.run_now(self.tier.open(self.left(), (0, 4)))
        assert opened is not None
        self.assertEqual(opened.headers.get("content-range"), "bytes 0-3/10")
        rest = self.script.answer("GET", opened.url, Headers([("Range", "bytes=4-9")]), b"")
        self.assertEqual(rest.body, BLOB[4:])

    def test_lost(self) -> None:
        """An entry whose bytes are gone goes, too: nobody else shall look for them."""
        del self.script.objects[f"/bucket/p/{names.blob_name(self.left().blob)}"]
        self.assertIsNone(self.run_now(self.tier.open(self.left(), (0, 4))))
        self.assertEqual(self.script.objects, {})

    def test_bad(self) -> None:
        """Damaged bytes are deleted with their entry; after a few, the store is not used."""
        self.run_now(self.tier.bad(self.left()))
        self.assertEqual(self.script.objects, {})
        for _ in range(MOST_BAD - 1):
            self.assertEqual(self.tier.problem, "")
            self.run_now(self.tier.bad(self.left()))
        self.assertIn("damaged", self.tier.problem)
        self.leave(self.left())
        self.assertIsNone(self.find())
        self.flushLoggedErrors()


class StartTests(FindCase):
    def test_refused(self) -> None:
        """A store that lies is not used, and the reason is told."""
        self.script.part_as_200 = True
        tier = self.made()
        tier.start()
        self.assertIn("range", tier.problem)
        self.leave(self.left())
        self.assertIsNone(self.run_now(tier.find(URL, Headers())))

    def test_away(self) -> None:
        """One that is away at the start is looked at again, and used once it is there."""
        self.script.away = True
        tier = self.made()
        tier.start()
        self.assertIn("refused", tier.problem)
        self.script.away = False
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual(tier.problem, "")

    def test_wants(self) -> None:
        """Public bodies go there, up to a size."""
        tier = self.made(max_size=100)
        self.assertTrue(tier.wants(self.left(size=100)))
        for fields in ({"size": 101}, {"scope": "s"}, {"status": 404}, {"size": 0}):
            self.assertFalse(tier.wants(evolve(self.left(), **fields)), fields)
