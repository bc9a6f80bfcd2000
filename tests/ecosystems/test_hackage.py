"""Hackage: what the index says of packages."""

from __future__ import annotations

import io
import json
import tarfile

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import hackage
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import ReplacedTests, hexed


def index(**files: bytes) -> bytes:
    """An index with the targets of packages, each beside a description that names other hashes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            hashes = {"md5": hexed("md5", data), "sha256": hexed("sha256", data)}
            targets = {f"<repo>/package/{name}-1.0.tar.gz": {"hashes": hashes, "length": 1}}
            signed = {"_type": "Targets", "expires": None, "targets": targets, "version": 0}
            text = json.dumps({"signatures": [], "signed": signed}, separators=(",", ":"))
            for path, content in (("package.json", text), (f"{name}.cabal", 'x: "sha256"\n')):
                info = tarfile.TarInfo(f"{name}/1.0/{path}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


class IndexTests(SynchronousTestCase):
    def test_digests(self) -> None:
        """Each package has the digest of its own targets."""
        wanted = {
            f"{name}-1.0.tar.gz": Digest("sha256", hexed("sha256", data))
            for name, data in (("a", b"one"), ("b", b"two"))
        }
        self.assertEqual(hackage.digests(index(a=b"one", b=b"two")), wanted)
        self.assertEqual(hackage.digests(b"\xff\n{}"), {})


class ReplacedPackageTests(ReplacedTests, WorldCase):
    name, path, index = "hackage", "/package/a-1.0/a-1.0.tar.gz", "/01-index.tar"

    def says(self, data: bytes) -> bytes:
        return index(a=data)


class OldPathTests(ReplacedPackageTests):
    path = "/package/a-1.0.tar.gz"
