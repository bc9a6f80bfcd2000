"""Uploads: the outbox is emptied, blob before entry, and loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from aimirror.caching.entries import Entry
from aimirror.download.tasks import SendResult, SendTask
from aimirror.http.headers import Headers
from aimirror.store.inuse import SLOW
from aimirror.testing.s3 import ACCESS, SECRET
from aimirror.tier import kin, names, uploads
from aimirror.tier.breaker import Breaker
from aimirror.tier.counts import Counts
from aimirror.tier.sigv4 import Secret
from aimirror.tier.uploads import Limits, Uploads
from tests.store.support import StoreCase, digest
from tests.tier.support import KEYS, URL, TierCase, entry


class Workers:
    """Sends at once, by the script."""

    def __init__(self, case: UploadsTests) -> None:
        self.case = case
        self.held: list[Deferred[SendResult]] | None = None
        self.sizes: list[int] = []

    def send(self, task: SendTask) -> Deferred[SendResult]:
        self.sizes.append(task.stop - task.start)
        if self.held is not None:
            self.held.append(Deferred())
            return self.held[-1]
        if self.case.script.away:
            return succeed(SendResult(0, detail="refused"))
        data = Path(task.path).read_bytes()[task.start : task.stop]
        reply = self.case.script.answer("PUT", task.url, task.headers, data)
        return succeed(SendResult(reply.status, dict(reply.headers).get("ETag", "")))


BASE = "http://debian.test"


class UploadsTests(StoreCase, TierCase):
    def setUp(self) -> None:
        TierCase.setUp(self)
        StoreCase.setUp(self)
        self.bucket = self.bucket_with(Secret(ACCESS, SECRET))
        self.workers: Any = Workers(self)
        self.patch(uploads, "AT_ONCE", 0)
        self.breaker, self.counts = Breaker(), Counts()
        self.uploads = self.made()

    def made(self, **limits: int) -> Uploads:
        return Uploads(
            self.bucket,
            KEYS,
            self.store,
            self.workers,
            self.clock,
            self.breaker,
            self.counts,
            Limits(**limits),
            lambda entry: BASE if entry.key.endswith("Packages") else "",
        )

    def stored(self, key: str, data: bytes, **fields: Any) -> Entry:
        """Something in the store and in the outbox."""
        made = self.add(data, key, **fields)
        self.assertTrue(self.store.put(made, send=True))
        return made

    def turn(self) -> None:
        for _ in range(50):
            self.clock.advance(0)

    def in_bucket(self, kind: str) -> int:
        return len(self.script.named(kind))

    def test_sent(self) -> None:
        """What is stored lies in the bucket: bytes by their digest, the entry signed."""
        entry = self.stored("http://h/a", b"some bytes", pinned=True)
        self.uploads.start()
        self.turn()
        path = f"/bucket/p/{names.blob_name(entry.blob)}"
        self.assertEqual(self.script.objects[path], b"some bytes")
        name = names.entry_name("http://h/a")
        record = names.unpacked(name, self.script.objects[f"/bucket/p/{name}"], KEYS)
        self.assertIn('"pinned":false', str(record))
        self.assertEqual(self.store.outbox.waiting(), (0, None))

    def test_variants(self) -> None:
        """An answer that was chosen by fields of the request is led to by a pointer."""
        headers = Headers([("Vary", "Accept")])
        self.stored("http://h/a", b"json", variant="accept:json", headers=headers)
        self.uploads.start()
        self.turn()
        name = names.entry_name("http://h/a")
        pointer = names.unpacked(name, self.script.objects[f"/bucket/p/{name}"], KEYS)
        self.assertEqual(pointer, names.Pointer(("accept",), "accept:json"))
        self.assertEqual(self.in_bucket("entries"), 2)

    def test_known_blob(self) -> None:
        """Bytes that are there already are not sent again."""
        entry = self.stored("http://h/a", b"same")
        self.script.objects[f"/bucket/p/{names.blob_name(entry.blob)}"] = b"same"
        self.uploads.start()
        self.turn()
        self.assertEqual(self.workers.sizes, [])
        self.assertEqual(self.in_bucket("entries"), 1)

    def test_private(self) -> None:
        """What is not for anybody stays, even if it was queued."""
        self.stored("http://h/a", b"secret", scope="someone")
        self.stored("http://h/b", b"not here", status=404)
        self.uploads.start()
        self.turn()
        self.assertEqual((self.script.objects, self.store.outbox.waiting()[0]), ({}, 0))

    def test_blob_first(self) -> None:
        """As long as the bytes are not there, no entry speaks of them."""
        self.workers.held = []
        self.stored("http://h/a", b"slow")
        self.uploads.start()
        self.turn()
        self.assertEqual(self.in_bucket("entries"), 0)
        self.workers.held[0].callback(SendResult(500))
        self.turn()
        self.assertEqual((self.in_bucket("entries"), self.store.outbox.waiting()[0]), (0, 1))

    def test_kept_meanwhile(self) -> None:
        """A file that is being sent is not evicted, however long that takes."""
        self.workers.held = []
        entry = self.stored("http://h/a", bytes(1000))
        self.uploads.start()
        self.turn()
        self.clock.advance(2 * SLOW)
        self.assertFalse(self.successResultOf(self.store.make_room(self.max_bytes)))
        self.assertIsNotNone(self.store.body(entry))
        held, self.workers.held = self.workers.held, None
        held[0].callback(SendResult(200))
        self.assertTrue(self.successResultOf(self.store.make_room(self.max_bytes)))

    def test_at_a_time(self) -> None:
        """No more than so many are under way, small ones first."""
        self.workers.held = []
        for number, size in enumerate((400_000, 10, 20)):
            self.stored(f"http://h/{number}", bytes(size) + bytes([number]))
        self.patch(uploads, "AHEAD", 1)
        self.uploads = self.made(uploads=2)
        self.uploads.start()
        self.turn()
        self.assertEqual(len(self.workers.sizes), 2)

    def test_again(self) -> None:
        """While the store is away everything stays in the outbox; once it is back it is sent."""
        for number in range(20):
            self.stored(f"http://h/{number}", b"%d" % number)
        self.script.away = True
        self.uploads.start()
        for _ in range(30):
            self.clock.advance(1)
        self.assertEqual(self.store.outbox.waiting()[0], 20)
        self.assertLess(self.script.counts["away"], 10)
        self.script.away = False
        for _ in range(300):
            self.clock.advance(1)
        self.assertEqual((self.store.outbox.waiting()[0], self.in_bucket("blobs")), (0, 20))

    def test_restart(self) -> None:
        """What another process has queued is sent by the next one."""
        self.stored("http://h/a", b"left behind")
        self.reopen()
        self.uploads = self.made()
        self.uploads.start()
        self.turn()
        self.assertEqual(self.in_bucket("blobs"), 1)

    def test_newer(self) -> None:
        """An entry that was renewed while it was sent is sent again."""
        self.workers.held = []
        entry = self.stored("http://h/a", b"bytes")
        self.uploads.start()
        self.clock.advance(1)
        self.store.put(evolve(entry, received_at=5.0), send=True)
        held, self.workers.held = self.workers.held, None
        held[0].callback(SendResult(200))
        self.turn()
        name = f"/bucket/p/{names.entry_name('http://h/a')}"
        self.assertIn(b'\\"received_at\\\\\\":5.0', self.script.objects[name])

    def test_parts(self) -> None:
        """A large body goes in parts, and is one object."""
        self.patch(uploads, "PART", 1000)
        entry = self.stored("http://h/a", bytes(range(250)) * 10)
        self.uploads.start()
        self.turn()
        self.assertEqual(self.workers.sizes, [1000, 1000, 500])
        path = f"/bucket/p/{names.blob_name(entry.blob)}"
        self.assertEqual(digest(self.script.objects[path]), entry.blob)

    def test_stop(self) -> None:
        """Stopping waits for what is under way, and begins nothing."""
        self.workers.held = []
        self.stored("http://h/a", b"a")
        self.stored("http://h/b", b"b")
        self.uploads = self.made(uploads=1)
        self.uploads.start()
        self.turn()
        stopped = self.uploads.stop()
        self.assertNoResult(stopped)
        self.workers.held[0].callback(SendResult(200))
        self.successResultOf(stopped)
        self.turn()
        self.assertEqual(len(self.workers.sizes), 1)

    def test_noted(self) -> None:
        """An index to which its packages do not lead is noted, once it is there; nothing else."""
        for name in ("Packages", "one.deb"):
            self.stored(f"{BASE}/dists/{name}", name.encode())
        self.uploads.start()
        self.turn()
        notes = [path.removeprefix("/bucket/p/") for path in self.script.named("kin")]
        self.assertEqual(kin.noted(BASE, notes), [f"{BASE}/dists/Packages"])

    def test_small(self) -> None:
        """A small body is sent without a worker, and without a file of its own."""
        self.patch(uploads, "AT_ONCE", 100)
        body = b"a small one"
        self.store.add(digest(body), body)
        self.assertTrue(self.store.put(entry(blob=digest(body), size=len(body)), send=True))
        self.uploads.start()
        self.turn()
        self.assertEqual(self.script.objects[f"/bucket/p/{names.blob_name(digest(body))}"], body)
        self.assertEqual((self.workers.sizes, self.counts.sent), ([], len(body)))
        self.assertEqual(self.store.outbox.waiting()[0], 0)

    def test_small_and_damaged(self) -> None:
        """One that is damaged on the disk is not sent under the name of what it was."""
        self.patch(uploads, "AT_ONCE", 100)
        made = self.stored(URL, b"right")
        body = self.store.body(made)
        assert body is not None
        body.path.write_bytes(b"wrong")
        self.uploads.start()
        self.turn()
        self.assertEqual(self.script.named("blobs"), [])
