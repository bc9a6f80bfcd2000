"""Downloads whose file another node has left in the tier."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.exchanges.heading import Heading
from aimirror.exchanges.running import Downloads
from aimirror.exchanges.tiered import LOOK
from aimirror.http.headers import Headers
from aimirror.interfaces import Arriving, Validated, Wanted
from aimirror.routing.digests import Digest
from aimirror.routing.policies import CachePolicy
from aimirror.store import records
from aimirror.testing.s3 import ACCESS, SECRET, InMemory, Script
from aimirror.tier import names
from aimirror.tier.probe import Probe
from aimirror.tier.s3 import Bucket, Place
from aimirror.tier.sigv4 import Secret, Signer
from aimirror.tier.tier import Tier
from aimirror.tier.uploads import Limits
from aimirror.upstream.health import Health
from tests.exchanges.support import MB, URL, DownloadCase, FakeResponse, Reading, pattern, whole
from tests.tier.support import KEYS, at_once, no_wait

SMALL = b"a small page"


class TieredCase(DownloadCase):
    if find_spec("botocore") is None:
        skip = "botocore is not installed"

    def setUp(self) -> None:
        super().setUp()
        self.script = Script()
        signer = Signer(
            "us-east-1", self.clock.seconds, at_once, lambda: lambda: Secret(ACCESS, SECRET)
        )
        upstream = InMemory(self.script)
        bucket = Bucket(Place(base="http://s3.test/bucket"), upstream, signer)
        probe = Probe(bucket, upstream, "us-east-1", no_wait)
        self.tier = Tier(bucket, probe, KEYS, upstream, self.store, self.pool, self.clock, Limits())
        self.tier.start()
        self.settings = {"tier": self.tier}
        self.downloads = Downloads(self.make_tools(), **self.limits)

    def leave(self, data: bytes, stored: bytes | None = None, **fields: Any) -> Entry:
        """What another node has left: an entry, and bytes that may be others."""
        blob = sha256(data).hexdigest()
        fields.setdefault("received_at", self.clock.seconds())
        given = {
            "requested_at": fields["received_at"],
            "headers": Headers([("ETag", '"v1"'), ("Cache-Control", "max-age=60")]),
            **fields,
        }
        entry = Entry(key=URL, blob=blob, size=len(data), **given)
        objects = self.script.objects
        packed = names.packed(entry, records.dump(entry), KEYS)
        objects[f"/bucket/{names.entry_name(URL)}"] = packed
        objects[f"/bucket/{names.blob_name(blob)}"] = data if stored is None else stored
        return entry

    def fetch(self, wanted: Wanted | None = None) -> Arriving:
        outcome = self.successResultOf(self.downloads.fetch(wanted or self.wanted()))
        assert isinstance(outcome, Arriving), outcome
        return outcome

    def reading(self, wanted: Wanted | None = None) -> Reading:
        """A client of what has its connections."""
        reading = Reading(self.fetch(wanted))
        self.clock.advance(0)
        return reading


class FreshTests(TieredCase):
    def test_small(self) -> None:
        """A fresh answer comes from the tier; the upstream hears nothing, the tier gets nothing."""
        left = self.leave(SMALL)
        outcome = self.fetch()
        self.assertEqual((Reading(outcome).data, outcome.via), (SMALL, "tier"))
        self.assertEqual(self.upstream.requests, [])
        (entry,) = self.store.entries(URL)
        self.assertEqual((entry.received_at, entry.rule), (left.received_at, "files"))
        self.assertEqual(self.store.outbox.waiting()[0], 0)

    def test_proxy(self) -> None:
        """Pages that are fetched by one stream are found, too."""
        self.leave(SMALL)
        self.assertEqual(Reading(self.fetch(self.wanted(rule=self.rule(strategy="x")))).data, SMALL)

    def test_pieces(self) -> None:
        """Workers fetch the pieces of a large one, with no field of the client's."""
        data = pattern(12 * MB, 3)
        self.leave(data)
        reading = self.reading(self.wanted(("Authorization", "secret")))
        while self.pool.flying:
            task = self.pool.flying[0].task
            self.assertIn("/bucket/blobs/", task.url)
            self.assertEqual(task.headers.items, ())
            self.pool.flying[0].bring(data)
        self.clock.advance(1)
        self.assertEqual(reading.data, data)

    def test_rule(self) -> None:
        """A rule without the tier asks its upstream, and leaves nothing."""
        self.leave(SMALL)
        rule = self.rule(tier=False)
        response = whole(SMALL)
        self.begin(response, self.wanted(rule=rule))
        response.flow(SMALL)
        response.end()
        self.assertEqual((len(self.store.entries(URL)), self.store.outbox.waiting()[0]), (1, 0))

    def test_other_digest(self) -> None:
        """Bytes that are not those that the path names are not looked at."""
        self.leave(SMALL)
        wanted = self.wanted(digest=Digest("sha256", 64 * "0"))
        fetching = self.downloads.fetch(wanted)
        self.assertNoResult(fetching)
        self.assertEqual(len(self.upstream.requests), 1)

    def test_damaged(self) -> None:
        """Damaged bytes are never whole; they are deleted, and the upstream is asked."""
        self.leave(SMALL, b"A small page")
        reading = Reading(self.fetch())
        self.assertIsNotNone(reading.failed)
        self.assertNotEqual(reading.data, SMALL)
        self.assertEqual((self.script.objects, self.tier.counts.bad), ({}, 1))
        self.assertEqual(len(self.upstream.requests), 1)
        self.flushLoggedErrors()

    def test_lost_piece(self) -> None:
        """When a piece does not come, the upstream is asked for it."""
        data = pattern(12 * MB, 3)
        self.leave(data)
        reading = self.reading()
        self.pool.flying[0].end(Reason.RESET)
        self.assertEqual(len(self.upstream.requests), 1)
        place = FakeResponse(206, ("Content-Range", f"bytes 0-0/{len(data)}"), length=1)
        self.upstream.answer(place)
        hosts = set()
        while self.pool.flying:
            task = self.pool.flying[0].task
            hosts.add(task.url.split("/")[2])
            self.pool.flying[0].bring(data)
        self.clock.advance(1)
        self.assertEqual((reading.data, "files.test" in hosts), (data, True))

    def test_slow(self) -> None:
        """When the tier brings next to nothing, the upstream is asked, too."""
        self.leave(pattern(12 * MB, 3))
        self.fetch()
        self.assertEqual(self.upstream.requests, [])
        self.clock.advance(LOOK)
        self.clock.advance(LOOK)
        self.assertEqual(len(self.upstream.requests), 1)
        self.successResultOf(self.stopped())

    def stopped(self) -> Any:
        stopping = self.downloads.stop()
        for each in self.pool.flying:
            each.end(Reason.CANCELLED)
        return stopping


class StaleTests(TieredCase):
    def setUp(self) -> None:
        super().setUp()
        self.leave(SMALL, received_at=self.clock.seconds() - 100)

    def asked(self, wanted: Wanted | None = None) -> Any:
        fetching = self.downloads.fetch(wanted or self.wanted())
        self.assertNoResult(fetching)
        return fetching

    def test_confirmed(self) -> None:
        """A stale answer is confirmed by 304: its bytes come from the tier, it is fresh again."""
        fetching = self.asked()
        self.assertEqual(self.upstream.requests[0].headers.get("If-None-Match"), '"v1"')
        self.upstream.answer(FakeResponse(304, ("ETag", '"v1"')))
        self.assertEqual(Reading(self.successResultOf(fetching)).data, SMALL)
        (entry,) = self.store.entries(URL)
        self.assertEqual(entry.received_at, self.clock.seconds())

    def test_changed(self) -> None:
        """One that has changed is fetched from the upstream, by the answer to the question."""
        fetching = self.asked()
        response = self.upstream.answer(FakeResponse(200, ("ETag", '"v2"'), length=3))
        outcome = self.successResultOf(fetching)
        response.flow(b"new")
        response.end()
        self.assertEqual((Reading(outcome).data, outcome.via), (b"new", ""))
        self.assertEqual(len(self.upstream.requests), 1)

    def test_stands_in(self) -> None:
        """While the upstream is down, what may be stale is served."""
        rule = self.rule(cache=CachePolicy(stale_if_error=3600.0))
        fetching = self.asked(self.wanted(rule=rule))
        self.upstream.answer(FakeResponse(503))
        self.assertEqual(Reading(self.successResultOf(fetching)).data, SMALL)

    def test_generation(self) -> None:
        """A fresh answer that is older than its kin is confirmed, too."""
        self.leave(SMALL, received_at=self.clock.seconds() - 10)
        wanted = evolve(self.wanted(), not_before=self.clock.seconds() - 5)
        self.asked(wanted)
        self.assertEqual(len(self.upstream.requests), 1)

    def test_own_copy(self) -> None:
        """A node that has a copy itself asks the upstream, and the tier nothing."""
        own = self.add(b"own", URL)
        self.script.counts.clear()
        wanted = self.wanted(previous=own, conditional=Headers([("If-None-Match", '"v1"')]))
        fetching = self.asked(wanted)
        self.assertEqual(self.script.counts, {})
        self.upstream.answer(FakeResponse(304, ("ETag", '"v1"')))
        del fetching


class HeadTests(TieredCase):
    def head(self) -> Deferred[Any]:
        wanted = self.wanted()
        return Deferred.fromCoroutine(Heading(self.make_tools(), Health(), wanted).run())

    def test_fresh(self) -> None:
        """HEAD is answered by what another node has left; the upstream hears nothing."""
        self.leave(SMALL)
        described = self.successResultOf(self.head())
        self.assertEqual(described.entry.headers.get("ETag"), '"v1"')
        self.assertEqual(self.upstream.requests, [])

    def test_stale(self) -> None:
        """What may have changed is asked of the upstream."""
        self.leave(SMALL, received_at=self.clock.seconds() - 100)
        self.assertNoResult(self.head())
        self.assertEqual(len(self.upstream.requests), 1)


class LeavingTests(TieredCase):
    def test_left(self) -> None:
        """What is stored here goes to the tier, and what is private does not."""
        response = whole(SMALL)
        outcome = self.begin(response)
        response.flow(SMALL)
        response.end()
        self.assertEqual(Reading(outcome).data, SMALL)
        self.assertEqual(len(self.script.named("entries")), 1)

    def test_private(self) -> None:
        """What a login opened stays here."""
        response = whole(SMALL)
        wanted = self.wanted(("Authorization", "secret"), scope="someone")
        outcome = self.begin(response, wanted)
        response.flow(SMALL)
        response.end()
        self.assertNotIsInstance(outcome, Validated)
        self.assertEqual(len(self.store.entries(URL)), 1)
        self.assertEqual(self.script.named("entries"), [])
