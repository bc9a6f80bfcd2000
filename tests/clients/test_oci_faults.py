"""Registries that lose blobs, hang or limit: skopeo, podman, containerd and docker pull on."""

from __future__ import annotations

import shutil

from tests.clients.oci_clients import Client, Cri, Ctr, Docker, Podman, Skopeo
from tests.clients.oci_support import OciTests

NAME = "library/app"


class MissingBlobTests(OciTests):
    """A tag moves to an image of which the registry has lost a layer."""

    def tried(self, kind: type[Client]) -> None:
        """The client gets the last whole image, and the new one once it is whole."""
        upstream = self.registry()
        first, second = self.image("first", 1, 2), self.image("second", 2, 3)
        first.push(upstream.port, f"{NAME}:latest")
        service = self.mirror(upstream.url)
        pull = kind(self, service.port).pull
        self.assertEqual(pull("first"), first.digest)
        self.settle(service)
        second.push(upstream.port, f"{NAME}:latest")
        name = second.layers[1]["digest"].partition(":")[2]
        (stored,) = self.folder.glob(f"registry/data/**/blobs/sha256/{name[:2]}/{name}")
        shutil.move(stored, self.folder / "lost")
        upstream.restart_counts()
        for step in ("missing", "again"):
            self.assertEqual(pull(step), first.digest)
        self.assertLessEqual(len([path for _, path, _, _ in upstream.asked() if name in path]), 2)
        shutil.move(self.folder / "lost", stored)
        service.program.stop()  # or the mirror would not look for it again for a while
        self.mirror(upstream.url, server={"port": service.port})
        self.assertEqual(pull("whole"), second.digest)

    def test_skopeo(self) -> None:
        """skopeo."""
        self.tried(Skopeo)

    def test_podman(self) -> None:
        """podman."""
        self.tried(Podman)

    def test_containerd(self) -> None:
        """ctr."""
        self.tried(Ctr)

    def test_cri(self) -> None:
        """A kubelet's containerd."""
        self.tried(Cri)

    def test_docker(self) -> None:
        """docker."""
        self.tried(Docker)
