"""What manifests name."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.oci.manifests import Part, manifest

ARM = {"digest": "a", "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
AMD = {"digest": "b", "platform": {"os": "linux", "architecture": "amd64"}}
NOWHERE = {"os": "unknown", "architecture": "unknown"}


def attestation(digest: str, about: str) -> dict[str, object]:
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": about,
    }
    return {"digest": digest, "platform": NOWHERE, "annotations": notes}


class ManifestTests(SynchronousTestCase):
    def test_index(self) -> None:
        """An index names manifests by platform, and what attests something of them."""
        said = manifest(json.dumps({"manifests": [ARM, AMD, attestation("x", "a")]}))
        about_arm = Part("x", "unknown/unknown", "a")
        parts = (Part("a", "linux/arm64/v8"), Part("b", "linux/amd64"), about_arm)
        self.assertEqual(said.parts, parts)
        self.assertEqual(said.chosen("linux/arm64"), (parts[0], about_arm))
        self.assertEqual(said.chosen("linux/amd64"), (parts[1],))
        self.assertEqual(said.chosen(""), parts)

    def test_image(self) -> None:
        """An image names its config and layers, each once, but for those that are elsewhere."""
        layer = {"digest": "l", "size": 3}
        elsewhere = {"digest": "f", "size": 9, "urls": ["https://x/f"]}
        inside = {"digest": "e", "size": 2, "data": "e30="}
        one = {"config": {"digest": "c", "size": 1}, "layers": [layer, layer, elsewhere, inside]}
        self.assertEqual(manifest(json.dumps(one)).blobs, (("c", 1), ("l", 3)))

    @settings(max_examples=50, deadline=None)
    @given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
    def test_any(self, value: object) -> None:
        """Whatever others write is read, or is no manifest."""
        for text in (json.dumps(value), json.dumps({"manifests": value, "layers": value})):
            try:
                manifest(text)
            except ValueError:
                self.assertNotIsInstance(json.loads(text), dict)
