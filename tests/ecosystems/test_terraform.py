"""Terraform: providers by the network mirror protocol, out of a registry."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import terraform
from aimirror.routing.rules import Rule
from tests.ecosystems.support import WorldCase
from tests.ecosystems.test_proving import NEW, OLD, hexed
from tests.mirror.support import refused

PLATFORMS = [{"os": "linux", "arch": "amd64"}, {"os": "darwin", "arch": "arm64"}]
VERSIONS = {"versions": [{"version": "1.2.0", "platforms": PLATFORMS}, {"version": "1.3.0"}]}
PROVIDER = "/t/up.test/ns/kind"
DOWNLOAD = "/v1/providers/ns/kind/1.2.0/download/linux/amd64"


class SayingTests(SynchronousTestCase):
    def test_versions(self) -> None:
        """Each version with its platforms."""
        found = terraform.versions(json.dumps(VERSIONS).encode())
        self.assertEqual(found, {"1.2.0": ["linux_amd64", "darwin_arm64"], "1.3.0": []})

    def test_malformed(self) -> None:
        """What is no such document is an error."""
        for bad in (b"", b"[]", b'{"versions": 1}'):
            self.assertRaises(ValueError, terraform.versions, bad)
        for told in ({}, {"shasum": "0f" * 32}, {"shasum": "x", "download_url": "https://h/a"}):
            self.assertRaises(ValueError, terraform.archive, json.dumps(told).encode())


class MirrorTests(WorldCase):
    name = "terraform"

    def setUp(self) -> None:
        super().setUp()
        files = Rule(
            name="files", upstreams=("https://files.test",), path_prefix="/f", strip_prefix=True
        )
        self.use(files, path_prefix="/t", strip_prefix=True)
        self.answers["/v1/providers/ns/kind/versions"] = self.told(VERSIONS)
        self.publish(OLD, OLD)

    def told(self, value: object) -> tuple[int, list[str], bytes]:
        return 200, ["Cache-Control: max-age=60"], json.dumps(value).encode()

    def publish(self, said: bytes, sent: bytes, url: str = "https://files.test/a.zip") -> None:
        self.answers[DOWNLOAD] = self.told({"download_url": url, "shasum": hexed("sha256", said)})
        self.answers["https://files.test/a.zip"] = (200, [], sent)

    def fetch(self, path: str = f"{PROVIDER}/1.2.0/linux_amd64.zip") -> bytes:
        client = self.ask(path)
        for _ in range(20):
            self.clock.advance(1)
        answers = [body for status, _, body in client.answers() if status == 200]
        return answers[0] if answers else b""

    def test_indexes(self) -> None:
        """Versions, and the archives of one, are told by the mirror's protocol."""
        index = json.loads(self.get(f"{PROVIDER}/index.json")[2])
        self.assertEqual(index, {"versions": {"1.2.0": {}, "1.3.0": {}}})
        archives = json.loads(self.get(f"{PROVIDER}/1.2.0.json")[2])["archives"]
        self.assertEqual(archives["linux_amd64"], {"url": "1.2.0/linux_amd64.zip"})
        self.assertEqual(self.get(f"{PROVIDER}/9.9.9.json")[0], 404)
        self.assertEqual(self.get("/t/other.test/ns/kind/index.json")[0], 404)

    def test_archive(self) -> None:
        """It is fetched once, and is there with all that leads to it when nothing else is."""
        for _ in range(2):
            self.assertEqual(self.fetch(), OLD)
        self.assertEqual(self.urls().count("GET https://files.test/a.zip"), 1)
        self.fetch(f"{PROVIDER}/index.json")
        self.upstream.handler = lambda outgoing: refused()
        self.clock.advance(1000)
        self.assertIn(b"1.2.0", self.fetch(f"{PROVIDER}/index.json"))
        self.assertEqual(self.fetch(), OLD)

    def test_damaged(self) -> None:
        """One that is not what the registry says is not given out whole."""
        self.publish(OLD, NEW)
        self.assertEqual(self.fetch(), b"")

    def test_elsewhere(self) -> None:
        """The registry can't send the mirror to a host that no rule names."""
        self.publish(OLD, OLD, "https://inside.test/a.zip")
        self.assertEqual(self.get(f"{PROVIDER}/1.2.0/linux_amd64.zip")[0], 404)
        self.assertNotIn("GET https://inside.test/a.zip", self.urls())
