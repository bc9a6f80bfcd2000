"""Composer: what metadata says of archives, and where it leads."""

from __future__ import annotations

import json

from aimirror.ecosystems import composer
from aimirror.routing.choices import ContentRewrite
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import ReplacedTests, hexed


class ReplacedArchiveTests(ReplacedTests, WorldCase):
    name, path, index = "composer", "/dist/v/n/v-n-1.zip", "/p2/v/n.json"

    def says(self, data: bytes) -> bytes:
        dist = {"type": "zip", "url": f"https://up.test{self.path}", "shasum": hexed("sha1", data)}
        return json.dumps({"packages": {"v/n": [{"version": "1", "dist": dist}]}}).encode()

    def test_forms(self) -> None:
        """Versions are a list or an object; a dist without a digest says nothing."""
        dist = {"url": "https://h/a.zip", "shasum": "0f" * 20}
        for versions in ([{"dist": dist}], {"1.0": {"dist": dist}, "1.1": {"dist": None}}):
            found = composer.digests(json.dumps({"packages": {"v/n": versions}}).encode())
            self.assertEqual(list(found), ["a.zip"])
        for bad in (b"", b"[]", b'{"packages": []}', b'{"packages": {"a": 1, "b": [{}]}}'):
            self.assertEqual(composer.digests(bad), {})

    def test_links(self) -> None:
        """Whole URLs and paths from the root lead to the mirror, and nothing else does."""
        rewrite = ContentRewrite(members=("url", "metadata-url"))
        self.use(path_prefix="/composer", strip_prefix=True, content_rewrite=rewrite)
        body = b'{"metadata-url":"/p2/%package%.json","search":"/search","url":"https://up.test/a"}'
        self.answers["/packages.json"] = (200, ["Content-Type: application/json"], body)
        wanted = body.replace(b'"/p2', b'"/composer/p2')
        wanted = wanted.replace(b"https://up.test/a", b"http://mirror.test/composer/a")
        self.assertEqual(self.get("/composer/packages.json")[2], wanted)
