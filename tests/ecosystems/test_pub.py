"""pub.dev: what a package's document says of archives."""

from __future__ import annotations

import json

from aimirror.ecosystems import pub
from aimirror.routing.choices import ContentRewrite
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import ReplacedTests, hexed


class ReplacedArchiveTests(ReplacedTests, WorldCase):
    name, path, index = "pub", "/api/archives/a_b-1.0.0.tar.gz", "/api/packages/a_b"

    def says(self, data: bytes) -> bytes:
        told = {
            "archive_url": f"https://up.test{self.path}",
            "archive_sha256": hexed("sha256", data),
        }
        return json.dumps({"name": "a_b", "versions": [{"version": "1.0.0", **told}]}).encode()

    def test_malformed(self) -> None:
        """A document that is none says nothing."""
        for bad in (b"", b"[]", b'{"versions": 1}', b'{"versions": [1, {}]}', b"["):
            self.assertEqual(pub.digests(bad), {})

    def test_links(self) -> None:
        """Archives lead to the mirror in documents of pub's own type; the homepage stays."""
        rewrite = ContentRewrite(members=("archive_url",))
        self.use(path_prefix="/pub", strip_prefix=True, content_rewrite=rewrite)
        body = b'{"homepage": "https://up.test/a", "archive_url": "https://up.test/b"}'
        fields = ["Content-Type: application/vnd.pub.v2+json"]
        self.answers["/api/packages/a"] = (200, fields, body)
        wanted = body.replace(b"https://up.test/b", b"http://mirror.test/pub/b")
        self.assertEqual(self.get("/pub/api/packages/a")[2], wanted)
