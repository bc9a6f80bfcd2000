"""What is fetched of an image."""

from __future__ import annotations

import hashlib
import json

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.internal_client import NotFetched
from aimirror.admin.prefetch_images import Images
from aimirror.admin.prefetch_lists import BadList, Image
from aimirror.http.headers import Headers
from tests.ecosystems.oci.test_manifests import attestation

BASE = "/v2/library/app"


class ImagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.texts: dict[str, str] = {}
        self.one, self.other = self.put(self.image("one")), self.put(self.image("other"))
        self.proof = self.put(self.image("proof"))

    def image(self, name: str) -> dict[str, object]:
        return {"config": {"digest": f"sha256:{name}", "size": 1}, "layers": []}

    def put(self, value: dict[str, object], reference: str = "") -> str:
        """A manifest at the registry; its digest."""
        text = json.dumps(value)
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        for each in filter(None, (digest, reference)):
            self.texts[f"{BASE}/manifests/{each}"] = text
        return digest

    async def text(self, path: str, headers: Headers) -> str:
        if path not in self.texts:
            raise NotFetched("404")
        return self.texts[path]

    def paths(self, platform: str = "") -> list[str]:
        wanted = Images(self.text).paths(Image("library/app", "1"), platform)
        return self.successResultOf(Deferred.fromCoroutine(wanted))

    def of(self, digest: str, config: str) -> list[str]:
        return [f"{BASE}/manifests/{digest}", f"{BASE}/blobs/sha256:{config}"]

    def test_attested(self) -> None:
        """With the manifest for a platform comes what attests something of it, and no other."""
        parts = [
            {"digest": self.one, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": self.other, "platform": {"os": "linux", "architecture": "amd64"}},
            attestation(self.proof, self.one),
            attestation("sha256:absent", self.other),
        ]
        self.put({"manifests": parts}, "1")
        wanted = [*self.of(self.one, "one"), *self.of(self.proof, "proof")]
        self.assertEqual(self.paths("linux/arm64"), [f"{BASE}/manifests/1", *wanted])

    def test_referrers(self) -> None:
        """So does what refers to a manifest, told by the API or under the tag of its digest."""
        digest = self.put(self.image("one"), "1")
        listed = json.dumps({"manifests": [{"digest": self.proof}]})
        wanted = [f"{BASE}/manifests/1", f"{BASE}/blobs/sha256:one", *self.of(self.proof, "proof")]
        for path in (f"{BASE}/referrers/{digest}", f"{BASE}/manifests/{digest.replace(':', '-')}"):
            self.texts[path] = listed
            self.assertEqual(self.paths(), wanted)
            del self.texts[path]
        self.assertEqual(self.paths(), wanted[:2])

    def test_absent(self) -> None:
        """An image that is not there, or is none, is told with its path."""
        for text in (None, "[]"):
            if text is not None:
                self.texts[f"{BASE}/manifests/1"] = text
            wanted = Deferred.fromCoroutine(Images(self.text).paths(Image("library/app", "1"), ""))
            self.assertIn(f"{BASE}/manifests/1", str(self.failureResultOf(wanted, BadList).value))
