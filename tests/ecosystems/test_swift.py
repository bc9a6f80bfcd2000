"""Swift package registries: a release's document names the digest of its archive."""

from __future__ import annotations

import base64
import hashlib
import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import swift
from aimirror.ecosystems.registry import setting
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import NEW, OLD, ReplacedTests, hexed

#: As SwiftPM 5.9 asks.
JSON = "Accept: application/vnd.swift.registry.v1+json"
SOURCE = "Accept: application/vnd.swift.registry.v1+swift"
ZIP = "Accept: application/vnd.swift.registry.v1+zip"
URL = "http://mirror:8081"


def release(data: bytes) -> bytes:
    """The document of a release."""
    archive = {"name": "source-archive", "type": "application/zip"}
    resources = [{"name": "other", "checksum": "0" * 64}]
    resources.append({**archive, "checksum": hexed("sha256", data)})
    told = {"id": "mona.LinkedList", "version": "1.1.1", "resources": resources, "metadata": {}}
    return json.dumps(told).encode()


class SayingTests(SynchronousTestCase):
    def test_digests(self) -> None:
        """The archive alone has a digest; what is no such document says nothing."""
        wanted = {"source-archive": Digest("sha256", hexed("sha256", OLD))}
        self.assertEqual(swift.digests(release(OLD)), wanted)
        for nothing in (b"", b"[]", b"{}", b'{"resources": [1, {"name": "source-archive"}]}'):
            self.assertEqual(swift.digests(nothing), {})

    def test_places(self) -> None:
        """An archive is named by its release, with or without .json."""
        places = [url for url, _ in swift._places("https://h/r/mona/LinkedList/1.1.1.zip")]
        release_url = "https://h/r/mona/LinkedList/1.1.1"
        self.assertEqual(places, [release_url, f"{release_url}.json"])
        self.assertEqual(list(swift._places("https://h/mona/LinkedList/1.1.1")), [])

    def test_setting(self) -> None:
        """Registries of other scopes, and what is known of the default one, stay."""
        before = json.dumps({"registries": {"mona": {"url": "https://x"}}, "version": 1})
        after = json.loads(setting("swift", URL).merges(before))
        self.assertEqual(after["registries"]["mona"], {"url": "https://x"})
        self.assertEqual(after["registries"]["[default]"]["url"], f"{URL}/swift")
        for bad in ("[]", "{", '{"registries": []}'):
            self.assertRaises(ValueError, setting("swift", URL).merges, bad)


class ReplacedArchiveTests(ReplacedTests, WorldCase):
    name, path = "swift", "/mona/LinkedList/1.1.1.zip"
    index = "/mona/LinkedList/1.1.1"

    def says(self, data: bytes) -> bytes:
        return release(data)


class RecordedTests(WorldCase):
    """What SwiftPM asks for a dependency, one after the other."""

    name = "swift"

    def test_dependency(self) -> None:
        """All that it needs is there, with the fields that it looks at; again with no upstream."""
        rewrite = ContentRewrite(members=("url",))
        self.use(path_prefix="/swift", strip_prefix=True, content_rewrite=rewrite)
        version = ("Content-Version: 1", "Cache-Control: max-age=60")
        listed = {"releases": {"1.1.1": {"url": "https://up.test/mona/LinkedList/1.1.1"}}}
        manifest = (200, [*version, "Content-Type: text/x-swift"], b"// swift-tools-version:5.0")
        digest = base64.b64encode(hashlib.sha256(OLD).digest()).decode()
        as_json = [*version, "Content-Type: application/json"]
        self.answers |= {
            "/mona/LinkedList": (200, as_json, json.dumps(listed).encode()),
            "/mona/LinkedList/1.1.1": (200, as_json, release(OLD)),
            "/mona/LinkedList/1.1.1/Package.swift": manifest,
            "/mona/LinkedList/1.1.1.zip": (200, [*version, f"Digest: sha-256={digest}"], OLD),
        }
        for _ in range(2):
            status, fields, body = self.get("/swift/mona/LinkedList", JSON)
            self.assertEqual((status, fields.get("content-version")), (200, "1"))
            self.assertIn(b'"http://mirror.test/swift/mona/LinkedList/1.1.1"', body)
            for path, accept in (("", JSON), ("/Package.swift", SOURCE), (".zip", ZIP)):
                status, fields, body = self.get(f"/swift/mona/LinkedList/1.1.1{path}", accept)
                self.assertEqual((status, fields.get("content-version")), (200, "1"), path)
            self.assertEqual(body, OLD)
        self.assertEqual(len(self.urls()), 4)

    def test_digest_field(self) -> None:
        """An archive that is not what the registry's Digest says is not given out."""
        self.use(immutable=True)
        digest = base64.b64encode(hashlib.sha256(OLD).digest()).decode()
        self.answers["/mona/L/1.0.0.zip"] = (200, [f"Digest: sha-256={digest}"], NEW)
        client = self.ask("/mona/L/1.0.0.zip", ZIP)
        for _ in range(20):
            self.clock.advance(1)
        self.assertEqual([a for a in client.answers() if a[0] == 200], [])
