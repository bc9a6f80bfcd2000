"""Registries of a company: with an authority of its own, and below a project."""

from __future__ import annotations

from OpenSSL import crypto

from tests.clients.oci_clients import Cri, Docker, Podman, Skopeo
from tests.clients.oci_support import OciTests
from tests.upstream.test_tls import LOCALHOST, LOCALHOST_PEM

NAME = "library/app"


class AuthorityTests(OciTests):
    def test_of_registry(self) -> None:
        """It is believed where the table of registries says so, and nowhere else."""
        pem, key = self.folder / "cert.pem", self.folder / "key.pem"
        pem.write_bytes(LOCALHOST_PEM)
        key.write_bytes(LOCALHOST.privateKey.dump(crypto.FILETYPE_PEM))
        upstream = self.registry(f"  tls:\n    certificate: {pem}\n    key: {key}\n")
        image = self.image("image", 1)
        image.push(upstream.port, f"{NAME}:latest")
        url = f"https://localhost:{upstream.port}"
        client = None
        for number, trusted in enumerate((False, True)):
            entry = {"upstream": url, **({"ca_file": str(pem)} if trusted else {})}
            port = {"port": client.port} if client is not None else {}
            service = self.mirror(url, registries={"docker.io": entry}, server=port)
            client = client or Skopeo(self, service.port)
            digest = client.pull(str(number), ok=trusted)
            self.assertEqual(digest, image.digest if trusted else "")
            self.settle(service)
            service.program.stop()


class ProjectTests(OciTests):
    def test_below(self) -> None:
        """Clients of Docker Hub pull what lies below a project; its tags are listed, too."""
        upstream = self.registry()
        image = self.image("image", 1)
        image.push(upstream.port, f"proxied/hub/{NAME}:latest")
        entry = {"upstream": f"{upstream.url}/v2/proxied/hub"}
        service = self.mirror("http://127.0.0.1:1", registries={"docker.io": entry})
        for kind in (Skopeo, Podman, Cri, Docker):
            self.assertEqual(kind(self, service.port).pull("it"), image.digest)
        tags = self.fetched(service, f"/v2/{NAME}/tags/list").json()
        self.assertEqual(tags["tags"], ["latest"])
