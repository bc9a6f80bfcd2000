"""Terraform: providers by the network mirror protocol, out of a registry."""

from __future__ import annotations

import json

from aimirror.routing.policies import CachePolicy
from aimirror.routing.rules import Rule
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import NEW, OLD, hexed
from tests.mirror.support import refused

PLATFORMS = [{"os": "linux", "arch": "amd64"}, {"os": "darwin", "arch": "arm64"}]
VERSIONS = {"versions": [{"version": "1.2.0", "platforms": PLATFORMS}, {"version": "1.3.0"}]}
PROVIDER = "/t/up.test/ns/kind"
DOWNLOAD = "/v1/providers/ns/kind/1.2.0/download/linux/amd64"


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

    def test_replaced(self) -> None:
        """One that was published anew under its version is followed once the registry says so."""
        self.assertEqual(self.fetch(), OLD)
        self.clock.advance(100)
        self.publish(NEW, NEW)
        for _ in range(2):
            self.assertEqual(self.fetch(), NEW)
        self.assertEqual(self.urls().count("GET https://files.test/a.zip"), 2)

    def test_elsewhere(self) -> None:
        """The registry can't send the mirror to a host that no rule names."""
        self.publish(OLD, OLD, "https://inside.test/a.zip")
        self.assertEqual(self.get(f"{PROVIDER}/1.2.0/linux_amd64.zip")[0], 404)
        self.assertNotIn("GET https://inside.test/a.zip", self.urls())


COMMIT = "0123456789abcdef0123456789abcdef01234567"
PLACE = "/v1/modules/ns/net/aws/1.0.0/download"


class ModuleTests(WorldCase):
    name = "terraform"
    registry = "https://registry.terraform.io"

    def setUp(self) -> None:
        super().setUp()
        hub = Rule(
            name="hub", upstreams=("https://github.com",), path_prefix="/github", strip_prefix=True
        )
        cache = CachePolicy(ttl=60, stale_if_error=10_000)
        options = {"path_prefix": "/t", "strip_prefix": True, "cache": cache}
        self.use(hub, upstreams=(self.registry,), **options)

    def said(self, address: str) -> None:
        fields = (f"X-Terraform-Get: {address}",)
        self.answers[self.registry + PLACE] = (204, fields, b"")

    def place(self) -> str | None:
        status, fields, _ = self.get(f"/t{PLACE}")
        self.assertEqual(status, 204)
        return fields.get("x-terraform-get")

    def test_field(self) -> None:
        """The field leads to the archive at the mirror; it is kept, and outlives the registry."""
        self.said(f"git::https://github.com/ns/net//modules/a?ref={COMMIT}")
        wanted = (
            f"http://mirror.test/github/ns/net/archive/{COMMIT}.tar.gz//*/modules/a?archive=tar.gz"
        )
        for _ in range(2):
            self.assertEqual(self.place(), wanted)
        self.assertEqual(len(self.urls()), 1)
        self.upstream.handler = lambda outgoing: refused()
        self.clock.advance(1000)
        self.assertEqual(self.place(), wanted)

    def test_document(self) -> None:
        """So does the document of newer registries."""
        told = {"location": f"git::https://github.com/ns/net?ref={COMMIT}", "more": 1}
        self.answers[self.registry + PLACE] = self.as_json(told)
        body = json.loads(self.get(f"/t{PLACE}")[2])
        archive = f"http://mirror.test/github/ns/net/archive/{COMMIT}.tar.gz"
        self.assertEqual(body, {"location": f"{archive}//*?archive=tar.gz", "more": 1})

    def as_json(self, value: object) -> tuple[int, list[str], bytes]:
        return 200, ["Content-Type: application/json"], json.dumps(value).encode()

    def test_rooted(self) -> None:
        """What the registry has itself is below the mirror's mount of it."""
        self.said("/files/net.tgz?archive=tar.gz")
        self.assertEqual(self.place(), "http://mirror.test/t/files/net.tgz?archive=tar.gz")

    def test_elsewhere(self) -> None:
        """What no rule serves stays."""
        for address in ("./net.tgz", "https://inside.test/a.zip", "git::ssh://git@h/a", "h/a//b"):
            self.said(address)
            self.clock.advance(1000)
            self.assertEqual(self.place(), address)
