"""Registries that lie, stutter or know less than the specification asks of them."""

from __future__ import annotations

import gzip
import time

from aimirror.testing import client
from aimirror.testing.registry import described, digest_of
from tests.e2e.support import CONTENT, SIZE, InBackground
from tests.e2e.test_oci import BLOB, BLOB_PATH, NAME, TYPE, OciTests

TEXT = '{"schemaVersion": 2, "layers": []}'
DIGEST = digest_of(TEXT.encode())
TAG = f"/v2/{NAME}/manifests/latest"
BY_DIGEST = f"/v2/{NAME}/manifests/{DIGEST}"


class ManifestTests(OciTests):
    def script(self, **behaviour: object) -> None:
        self.registry.script(described(NAME, TEXT.encode(), TYPE, "latest", **behaviour))

    def assertManifest(self, reply: client.Reply, body: bytes = TEXT.encode()) -> None:
        told = (reply.status, reply.headers.get("Content-Type"), reply.body)
        self.assertEqual(told, (200, TYPE, body))
        self.assertEqual(reply.headers.get("Docker-Content-Digest"), DIGEST)
        self.assertEqual(reply.headers.get("Content-Length"), str(len(TEXT)))

    def test_no_digest_told(self) -> None:
        """A registry that does not name digests: tags are right all the same, and revalidated."""
        self.script(headers=[])
        service = self.mirror()
        for _ in range(2):
            for method in ("GET", "HEAD"):
                reply = service.get(TAG, ("Accept", TYPE), method=method)
                self.assertEqual((reply.status, reply.headers.get("Content-Type")), (200, TYPE))
                self.assertEqual(reply.headers.get("Content-Length"), str(len(TEXT)))
        self.assertManifest(self.target(service, BY_DIGEST))
        self.registry.program.kill()
        self.assertEqual(self.target(service, TAG).body, TEXT.encode())

    def test_wrong_manifest(self) -> None:
        """Bytes that are not what the digest says are never a manifest, and never kept."""
        self.script()
        wrong = {"text": TEXT.replace("2", "3"), "media_type": TYPE}
        self.registry.script({BY_DIGEST: wrong})
        service = self.mirror()
        for path in (TAG, BY_DIGEST):
            try:
                reply = self.target(service, path)
            except client.Broken as broken:
                self.assertLess(len(broken.received), len(TEXT))
            else:
                self.assertGreaterEqual(reply.status, 500, path)
        self.assertEqual(service.get("/stats").json()["cache"]["file_count"], 0)

    def test_compressed(self) -> None:
        """A manifest that comes compressed is given out as its digest says."""
        self.script(encoding="gzip")
        service = self.mirror()
        for _ in range(2):
            for path in (TAG, BY_DIGEST):
                for accepted in ("identity", "gzip"):
                    reply = self.target(service, path, ("Accept-Encoding", accepted))
                    packed = reply.headers.get("Content-Encoding") == "gzip"
                    body = gzip.decompress(reply.body) if packed else reply.body
                    self.assertEqual((reply.status, body), (200, TEXT.encode()), path)

    def test_stale_by_status(self) -> None:
        """A tag is what it was while the registry is out of order, until it says no."""
        self.script()
        service = self.mirror()
        self.assertManifest(self.target(service, TAG))
        for status, wanted in ((429, 200), (500, 200), (503, 200), (404, 404), (403, 403)):
            self.registry.policy(status=status, reason="no")  # without Retry-After
            reply = self.target(service, TAG)
            self.assertEqual(reply.status, wanted, status)
            head = service.get(TAG, ("Accept", TYPE), method="HEAD")
            self.assertEqual(head.status, wanted, status)
            if wanted == 200:
                self.assertManifest(reply)

    def test_many_accept_lines(self) -> None:
        """All Accept lines count, in whatever order they come."""
        self.script()
        service = self.mirror()
        lines = [("Accept", f"application/x-{n}") for n in range(5)]
        for fields in ((*lines, ("Accept", TYPE)), (("Accept", TYPE), *lines)):
            self.assertManifest(service.get(TAG, *fields))


class BlobTests(OciTests):
    def test_resets(self) -> None:
        """A blob whose connections are reset midway comes whole, at a client's one try."""
        self.blob(short=SIZE // 2, times=3)
        self.assertWhole(self.mirror().get(BLOB_PATH))

    def test_busy(self) -> None:
        """A 503 is the registry's word, for it has its clients wait; it is left alone so long."""
        self.blob(status=503, times=1, retry_after="3")
        service = self.mirror()
        reply = service.get(BLOB_PATH)
        self.assertRefused(reply, 503, "UNAVAILABLE")
        self.assertEqual(reply.headers.get("Retry-After"), "3")
        until = time.monotonic() + 20
        while (reply := service.get(BLOB_PATH)).status == 503 and time.monotonic() < until:
            self.assertEqual(self.registry.count(BLOB_PATH).requests, 1)
            self.assertIn(reply.headers.get("Retry-After"), ("1", "2", "3"))
            time.sleep(0.2)
        self.assertWhole(reply)

    def test_without_ranges(self) -> None:
        """A registry without ranges is no error, nor one that does not know HEAD's length."""
        self.blob(ranges=False, framing="chunked")
        service = self.mirror()
        self.assertWhole(service.get(BLOB_PATH))
        self.settle(service)
        part = service.get(BLOB_PATH, ("Range", "bytes=-100"))
        self.assertEqual((part.status, part.body), (206, CONTENT[-100:]))

    def test_silent(self) -> None:
        """Connections that fall silent are given up, and the blob comes whole."""
        self.blob(silent_after=100_000, times=2)
        service = self.mirror(server={"timeouts": {"silence": 1.0}})
        self.assertWhole(service.get(BLOB_PATH))

    def test_joined(self) -> None:
        """Readers of several repositories' equal blob at once are not confused."""
        self.blob(rate=2_000_000)
        other = f"/v2/library/other/blobs/{BLOB}"
        self.blob(other, rate=2_000_000)
        service = self.mirror()
        pulls = [InBackground(service.get, path) for path in (BLOB_PATH, other) * 3]
        time.sleep(0.2)
        for pull in pulls:
            self.assertWhole(pull.result())
