"""conda: what repodata says."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.conda import repodata as conda
from aimirror.routing.digests import Digest

HEX = "0f" * 32


class CondaTests(SynchronousTestCase):
    def test_digests(self) -> None:
        """Packages of both forms are found; malformed records are left out."""
        listed = {
            "packages": {"a-1-0.tar.bz2": {"sha256": HEX}, "b-1-0.tar.bz2": {"md5": "x"}},
            "packages.conda": {"a-1-0.conda": {"sha256": HEX}, "c-1-0.conda": []},
        }
        wanted = Digest("sha256", HEX)
        found = conda.digests(json.dumps(listed).encode())
        self.assertEqual(found, {"a-1-0.tar.bz2": wanted, "a-1-0.conda": wanted})
        for bad in (b"", b"[]", b'{"packages": []}'):
            self.assertEqual(conda.digests(bad), {})

    def test_urls(self) -> None:
        """Packages are told from indexes, which lie beside them."""
        self.assertEqual(conda.package("http://h/noarch/a-1-0.conda"), "a-1-0.conda")
        self.assertEqual(conda.package("http://h/noarch/repodata.json.zst"), "")
        self.assertIn("http://h/noarch/repodata.json", conda.indexes("http://h/noarch/a-1-0.conda"))
