"""JSR: what a version's manifest says of files."""

from __future__ import annotations

import json

from aimirror.ecosystems import jsr
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import ReplacedTests, hexed


class ReplacedModuleTests(ReplacedTests, WorldCase):
    name, path, index = "jsr", "/@s/p/1.0.0/sub/mod.ts", "/@s/p/1.0.0_meta.json"

    def says(self, data: bytes) -> bytes:
        told = {"size": len(data), "checksum": f"sha256-{hexed('sha256', data)}"}
        return json.dumps({"manifest": {"/sub/mod.ts": told}, "exports": {}}).encode()

    def test_malformed(self) -> None:
        """A document that is none says nothing."""
        for bad in (b"", b"[]", b'{"manifest": 1}', b'{"manifest": {"/a": 1, "/b": {}}}'):
            self.assertEqual(jsr.digests(bad), {})
