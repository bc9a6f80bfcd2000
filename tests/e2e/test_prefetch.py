"""Whole images and repositories fetched before somebody asks, by the command."""

from __future__ import annotations

import json
import subprocess
import sys

from aimirror.testing.hub import Hub
from aimirror.testing.processes import ServiceProgram, own_environment
from aimirror.testing.registry import described, digest_of
from tests.clients.defaults import default_rules
from tests.e2e.test_oci import OciTests

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
#: Seconds for a command.
LIMIT = 50


def prefetch(case: OciTests, service: ServiceProgram, *words: str, status: int = 0) -> str:
    """What ``aimirror prefetch`` says."""
    command = [sys.executable, "-m", "aimirror", "prefetch", "--config", str(service.config)]
    ended = subprocess.run(
        [*command, "--url", f"http://127.0.0.1:{service.port}", *words],
        env=own_environment(),
        cwd=case.folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    case.assertEqual(ended.returncode, status, ended.stdout + ended.stderr)
    return ended.stdout


class ImageTests(OciTests):
    def layer(self, architecture: str) -> str:
        """Have the registry serve an image of one layer; its manifest's digest."""
        layer, config = (
            f"layer {architecture}".encode() * 1000,
            f'{{"a": "{architecture}"}}'.encode(),
        )
        for content in (layer, config):
            path = f"/v2/library/app/blobs/{digest_of(content)}"
            self.scripts[path] = {"text": content.decode()}
        entries = [{"digest": digest_of(c), "size": len(c)} for c in (layer, config)]
        manifest = json.dumps({"layers": entries[:1], "config": entries[1]}).encode()
        self.scripts.update(described("library/app", manifest, MANIFEST))
        return digest_of(manifest)

    def test_image(self) -> None:
        """Of an image for many platforms comes all that one of them needs, also in an outage."""
        self.scripts: dict[str, dict[str, object]] = {}
        digests = {name: self.layer(name) for name in ("amd64", "arm64")}
        manifests = [
            {"digest": digest, "platform": {"os": "linux", "architecture": name}}
            for name, digest in digests.items()
        ]
        index = json.dumps({"manifests": manifests}).encode()
        self.registry.script({**self.scripts, **described("library/app", index, INDEX, "1.0")})
        service = self.mirror()
        words = ("--image", "app:1.0", "--platform", "linux/arm64")
        # The index and the manifest came while it was found out what there is.
        self.assertIn("done: 2 fetched (11.0 kB), 2 were there", prefetch(self, service, *words))
        self.settle(service)
        self.assertIn("4 were there", prefetch(self, service, *words))
        self.registry.program.kill()
        for path in ("manifests/1.0", f"manifests/{digests['arm64']}"):
            reply = service.get(f"/v2/library/app/{path}", ("Accept", f"{INDEX}, {MANIFEST}"))
            self.assertEqual(reply.status, 200, path)
        layer = digest_of(b"layer arm64" * 1000)
        self.assertEqual(service.get(f"/v2/library/app/blobs/{layer}").status, 200)
        other = digest_of(b"layer amd64" * 1000)
        self.assertGreaterEqual(service.get(f"/v2/library/app/blobs/{other}").status, 500)

    def test_no_image(self) -> None:
        """An image that is not there is told."""
        said = prefetch(self, self.mirror(), "--image", "none:1", status=1)
        self.assertIn("failed", said)
        self.assertIn("404", said)


class RepositoryTests(OciTests):
    def test_repository(self) -> None:
        """The chosen files of a repository of the hub come, and are there without the hub."""
        hub = Hub()
        hub.start()
        self.addCleanup(hub.stop)
        files = {
            "config.json": b"{}",
            "model.safetensors": b"m" * 1_500_000,
            "model.bin": b"b" * 10,
        }
        commit = hub.repo("models/ns/name").commit(files)
        rules = default_rules("huggingface-", huggingface_co=hub.hub.url)
        service = ServiceProgram(self.folder, rules)
        self.addCleanup(service.program.kill)
        words = ("--huggingface", "ns/name", "--exclude", "*.bin")
        self.assertIn("done: 2 fetched (1.5 MB)", prefetch(self, service, *words))
        self.settle(service)
        hub.stop()
        for revision in ("main", commit):
            reply = service.get(f"/ns/name/resolve/{revision}/model.safetensors")
            self.assertEqual((reply.status, len(reply.body)), (200, 1_500_000), revision)
