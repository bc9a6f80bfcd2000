"""Artifacts that are no images: oras pulls them through the mirror."""

from __future__ import annotations

from pathlib import Path

from tests.clients.oci_support import OciTests, run
from tests.clients.worlds import find_python

#: Pushes or pulls: what, registry, repository with tag, folder.
_ORAS = """
import os, sys
from oras.client import OrasClient
what, registry, target, folder = sys.argv[1:]
os.chdir(folder)
client = OrasClient(hostname=registry, insecure=True)
if what == "push":
    client.push(target=f"{registry}/{target}", files=["chart.tgz"], disable_path_validation=True)
elif what == "pull":
    print(client.pull(target=f"{registry}/{target}", outdir=folder))
else:
    print(client.get_tags(f"{registry}/{target}"))
"""


class OrasTests(OciTests):
    def oras(self, what: str, port: int, target: str, folder: Path) -> str:
        words = (what, f"127.0.0.1:{port}", target, str(folder))
        return run(find_python("oras"), "-c", _ORAS, *words)

    def test_pull(self) -> None:
        """An artifact comes whole, again without a byte of it, and in an outage; so do its tags."""
        upstream = self.registry()
        pushed = self.folder / "pushed"
        pushed.mkdir()
        content = b"a chart" * 10_000
        (pushed / "chart.tgz").write_bytes(content)
        self.oras("push", upstream.port, "team/chart:1.0", pushed)
        service = self.mirror(upstream.url)
        for state in ("cold", "warm", "down"):
            if state == "down":
                upstream.kill()
            upstream.restart_counts()
            folder = self.folder / state
            folder.mkdir()
            self.oras("pull", service.port, "team/chart:1.0", folder)
            self.assertEqual((folder / "chart.tgz").read_bytes(), content, state)
            self.settle(service)
            if state == "warm":
                self.assertEqual(upstream.blob_bytes(), 0)
            tags = self.oras("tags", service.port, "team/chart", folder)
            self.assertIn("1.0", tags, state)
