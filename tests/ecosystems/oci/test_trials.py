"""Tags that move to manifests whose parts and blobs can't be had."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from attrs import evolve

from aimirror.download.tasks import Reason
from aimirror.ecosystems.making import Edges
from aimirror.ecosystems.oci.trials import FAILED_FOR, PASSED_FOR
from aimirror.ecosystems.registry import BY_NAME, made
from aimirror.http.egress import Outgoing
from aimirror.interfaces import UpstreamError
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.registries.registry import DOCKER_HUB, Registries, Registry
from tests.ecosystems.support import WorldCase
from tests.mirror.support import UPSTREAM, Played

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ACCEPT = f"Accept: {INDEX}, {MANIFEST}"
REPOSITORY = "/v2/library/app"
TAG = f"{REPOSITORY}/manifests/latest"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class TrialCase(WorldCase):
    """A registry of images, of which single digests are refused with a status."""

    name = "oci"
    registries: tuple[Registry, ...] = (Registry(name=DOCKER_HUB),)

    def setUp(self) -> None:
        super().setUp()
        self.contents: dict[str, tuple[str, bytes]] = {}
        self.tags: dict[str, str] = {}
        #: What is refused: a digest, or "METHOD digest".
        self.statuses: dict[str, int] = {}
        self.down = False
        self.use(path_prefix="/v2")
        self.upstream.handler = self.registry

    def world(self) -> Ecosystem:
        edges = Edges(library=self.library, registries=Registries(self.registries))
        return made(BY_NAME[self.name], edges)

    def registry(self, outgoing: Outgoing) -> Played | Exception:
        if self.down:
            return UpstreamError(Reason.CONNECT, "down")
        path = outgoing.url.removeprefix(UPSTREAM)
        if path == "/v2/":
            return Played(200, body=b"{}")
        kind, _, reference = path.removeprefix(f"{REPOSITORY}/").partition("/")
        digest = self.tags.get(reference, reference)
        refused = self.statuses.get(digest) or self.statuses.get(f"{outgoing.method} {digest}")
        media_type, content = self.contents.get(digest, ("", b""))
        if refused or not media_type:
            return Played(refused or 404, body=b"")
        fields = [f"Content-Type: {media_type}"]
        if kind == "manifests":
            fields.append(f"Docker-Content-Digest: {digest}")
        if outgoing.method == "HEAD":
            return Played(200, *fields, f"Content-Length: {len(content)}", body=None)
        return Played(200, *fields, body=content)

    def add(self, media_type: str, content: bytes) -> dict[str, Any]:
        digest = digest_of(content)
        self.contents[digest] = (media_type, content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def image(self, *layers: bytes, config: bytes = b"{}") -> str:
        """The digest of an image's manifest."""
        value = {
            "config": self.add("application/json", config),
            "layers": [self.add("application/gzip", layer) for layer in layers],
        }
        digest: str = self.add(MANIFEST, json.dumps(value).encode())["digest"]
        return digest

    def index(self, **parts: str) -> str:
        """The digest of an index, by architecture."""
        value = [
            {
                "mediaType": MANIFEST,
                "digest": digest,
                "platform": {"os": "linux", "architecture": name},
            }
            for name, digest in parts.items()
        ]
        digest: str = self.add(INDEX, json.dumps({"manifests": value}).encode())["digest"]
        return digest

    def at(self, reference: str = "latest", *fields: str, kind: str = "manifests") -> Any:
        """What the mirror answers: status, header, body."""
        return self.get(f"{REPOSITORY}/{kind}/{reference}", ACCEPT, *fields)

    def pulled(self, reference: str = "latest", arch: str = "") -> str:
        """The digest of what a client pulls, "" when it fails."""
        status, _, body = self.at(reference)
        if status != 200:
            return ""
        value = json.loads(body)
        for part in value.get("manifests", ()):
            if part["platform"]["architecture"] == arch and not self.pulled(part["digest"]):
                return ""
        named = [value["config"], *value["layers"]] if "config" in value else []
        for blob in named:
            if self.at(blob["digest"], kind="blobs")[0] != 200:
                return ""
        return digest_of(body)


class MovedTests(TrialCase):
    def moved(self, *layers: bytes) -> tuple[str, str]:
        """One was pulled; then the tag stands for another image."""
        one = self.tags["latest"] = self.image(b"one")
        self.assertEqual(self.pulled(), one)
        two = self.tags["latest"] = self.image(*(layers or (b"two",)))
        return one, two

    def test_blob_missing(self) -> None:
        """While a blob of the new image can't be had, the tag is what was pulled last."""
        for status in (404, 429, 500, 503):
            one, two = self.moved(b"two %d" % status)
            blob = digest_of(b"two %d" % status)
            self.statuses = {blob: status}
            for _ in range(2):
                answer = self.at()
                self.assertEqual((answer[0], answer[1].get("x-cache")), (200, "STALE"), status)
                self.assertEqual(self.pulled(), one, status)
            self.statuses = {}
            self.clock.advance(FAILED_FOR + 1)
            self.assertEqual(self.pulled(), two, status)
            self.assertEqual(self.at()[1].get("x-cache"), "HIT")

    def test_asked_once(self) -> None:
        """A blob that is missing is asked for once a while, not for each client."""
        self.moved()
        self.statuses = {digest_of(b"two"): 404}
        self.at()
        before = len(self.urls())
        for _ in range(5):
            self.at()
        self.assertEqual(set(self.urls()[before:]), {f"HEAD {TAG}"})

    def test_stored_blobs(self) -> None:
        """Blobs that are stored are not asked about; each other one once, by HEAD."""
        self.moved(b"one", b"two", b"three")
        before = len(self.urls())
        self.at()
        asked = [url for url in self.urls()[before:] if "/blobs/" in url]
        wanted = [f"HEAD {REPOSITORY}/blobs/{digest_of(each)}" for each in (b"two", b"three")]
        self.assertEqual(sorted(asked), sorted(wanted))

    def test_first_pull(self) -> None:
        """Without anything to fall back to, nothing is asked about beforehand."""
        self.tags["latest"] = self.image(b"one")
        self.at()
        self.assertEqual([url for url in self.urls() if "/blobs/" in url], [])

    def test_head(self) -> None:
        """A client that resolves a tag by HEAD is told of what it can pull."""
        one, two = self.moved()
        self.statuses = {digest_of(b"two"): 404}
        client = self.ask(TAG, ACCEPT, method="HEAD")
        self.assertIn(f"docker-content-digest: {one}".encode(), client.received.lower())
        self.statuses = {}
        self.clock.advance(FAILED_FOR + 1)
        client = self.ask(TAG, ACCEPT, method="HEAD")
        self.assertIn(f"docker-content-digest: {two}".encode(), client.received.lower())

    def test_fails_later(self) -> None:
        """A blob that is there for HEAD and not for GET fails one client, not the next ones."""
        one, two = self.moved()
        self.statuses = {f"GET {digest_of(b'two')}": 404}
        self.assertEqual(self.pulled(), "")
        self.assertEqual(self.pulled(), one)
        self.statuses = {}
        self.clock.advance(FAILED_FOR + 1)
        self.assertEqual(self.pulled(), two)

    def test_outage(self) -> None:
        """In an outage a tag is the last image that is stored whole."""
        one, two = self.moved()
        self.assertEqual(digest_of(self.at()[2]), two)  # its blobs were not asked for
        self.down = True
        self.assertEqual(self.pulled(), one)
        self.down = False
        self.clock.advance(FAILED_FOR + 1)
        self.assertEqual(self.pulled(), two)
        self.at()
        self.down = True
        self.assertEqual(self.pulled(), two)

    def test_not_allowed(self) -> None:
        """A registry that says no to a blob is not overruled."""
        _, two = self.moved()
        self.statuses = {digest_of(b"two"): 403}
        self.assertEqual(digest_of(self.at()[2]), two)

    def test_moves_on(self) -> None:
        """Whatever a tag moves to, what was whole last is kept, and little else."""
        one, _ = self.moved()
        for number in range(5):
            layer = b"more %d" % number
            self.tags["latest"] = self.image(layer)
            self.statuses = {digest_of(layer): 404}
            self.assertEqual(self.pulled(), one)
        key = f"{UPSTREAM}{TAG}"
        self.assertLessEqual(len(self.library.at(key).entries), 2)

    def test_believed(self) -> None:
        """An image that was found whole is not tried again for each client that asks."""
        self.moved()
        self.at()
        before = len(self.urls())
        for _ in range(3):
            self.clock.advance(PASSED_FOR / 4)
            self.at()
        self.assertEqual(set(self.urls()[before:]), {f"HEAD {TAG}"})


class IndexTests(TrialCase):
    def moved(self) -> tuple[str, str]:
        """An index was pulled for one platform; then the tag stands for another index."""
        before = {name: self.image(f"old {name}".encode()) for name in ("amd64", "arm64")}
        one = self.tags["latest"] = self.index(**before)
        self.assertEqual(self.pulled(arch="amd64"), one)
        after = {name: self.image(f"new {name}".encode()) for name in ("amd64", "arm64")}
        return one, self.index(**after)

    def test_platform_in_use(self) -> None:
        """A blob that is missing for a platform that is pulled here keeps the old index."""
        one, two = self.moved()
        self.tags["latest"] = two
        self.statuses = {digest_of(b"new amd64"): 404}
        self.assertEqual(self.pulled(arch="amd64"), one)

    def test_other_platform(self) -> None:
        """One that is missing for another platform does not, until somebody wants it."""
        one, two = self.moved()
        self.tags["latest"] = two
        self.statuses = {digest_of(b"new arm64"): 404}
        self.assertEqual(self.pulled(arch="amd64"), two)
        self.assertEqual(self.pulled(arch="arm64"), "")
        self.assertIn(self.pulled(arch="arm64"), (one, ""))

    def test_part_missing(self) -> None:
        """So does a manifest of the index that is missing."""
        one, two = self.moved()
        self.tags["latest"] = two
        (part, *_) = json.loads(self.contents[two][1])["manifests"]
        self.statuses = {part["digest"]: 404}
        self.assertEqual(self.pulled(arch="amd64"), one)


class SeveralTests(TrialCase):
    """A registry with two upstreams."""

    registries = (Registry(name=DOCKER_HUB, upstreams=("https://first.test", UPSTREAM)),)

    def test_another_upstream(self) -> None:
        """An upstream that can't give a blob leaves the tag to the next one that can."""
        one = self.tags["latest"] = self.image(b"one")
        first = "https://first.test"
        broken: list[str] = []
        whole = self.registry

        def registry(outgoing: Outgoing) -> Played | Exception:
            path = outgoing.url.removeprefix(first)
            if path != outgoing.url and any(each in path for each in broken):
                return Played(503, body=b"")
            if path == outgoing.url:
                return whole(outgoing)
            return whole(evolve(outgoing, url=UPSTREAM + path))

        self.upstream.handler = registry
        self.assertEqual(self.pulled(), one)
        two = self.tags["latest"] = self.image(b"two")
        broken.append(digest_of(b"two"))
        self.assertEqual(digest_of(self.at()[2]), two)
        self.assertIn(f"HEAD {TAG}", self.urls())
