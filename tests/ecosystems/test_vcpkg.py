"""vcpkg: an asset by its URL is what the digest in the path says."""

from __future__ import annotations

import re

from aimirror.config.presets import presets
from aimirror.ecosystems.registry import setting
from aimirror.routing.rules import Rule
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import NEW, OLD, hexed
from tests.mirror.support import refused

FILE = "https://files.test/o/r/archive/v1.tar.gz"


class AssetTests(WorldCase):
    name = "vcpkg"

    def setUp(self) -> None:
        super().setUp()
        files = Rule(
            name="files", upstreams=("https://files.test",), path_prefix="/f", strip_prefix=True
        )
        (preset,) = presets()["vcpkg"]
        self.use(
            files,
            path_prefix="/vcpkg",
            strip_prefix=True,
            immutable=True,
            pattern=re.compile(preset["pattern"]),
        )
        self.answers[FILE] = (200, [], OLD)

    def fetch(self, data: bytes, url: str = FILE) -> bytes:
        client = self.ask(f"/vcpkg/{hexed('sha512', data).upper()}/{url}")
        for _ in range(20):
            self.clock.advance(1)
        answers = [body for status, _, body in client.answers() if status == 200]
        return answers[0] if answers else b""

    def test_asset(self) -> None:
        """It is fetched once, and is there with no upstream; one slash may have been lost."""
        for url in (FILE, FILE.replace("//", "/")):
            self.assertEqual(self.fetch(OLD, url), OLD)
        self.upstream.handler = lambda outgoing: refused()
        self.clock.advance(10_000)
        self.assertEqual(self.fetch(OLD), OLD)
        self.assertEqual(self.urls(), [f"GET {FILE}"])

    def test_damaged(self) -> None:
        """One that is something else is not given out whole, whoever has fetched it otherwise."""
        self.assertEqual(self.get("/f/o/r/archive/v1.tar.gz")[2], OLD)
        self.assertEqual(self.fetch(NEW), b"")
        self.clock.advance(1000)
        self.answers[FILE] = (200, [], NEW)
        self.assertEqual(self.fetch(NEW), NEW)

    def test_elsewhere(self) -> None:
        """No client can send the mirror to a host that no rule names, nor to itself."""
        for url in ("https://inside.test/a", "https://up.test/a", "ftp://files.test/a"):
            self.assertEqual(self.fetch(OLD, url), b"")
        self.assertEqual([u for u in self.urls() if "inside" in u], [])

    def test_query(self) -> None:
        """A query belongs to the asset's URL."""
        self.answers[f"{FILE}?a=b"] = (200, [], NEW)
        self.assertEqual(self.fetch(NEW, f"{FILE}?a=b"), NEW)

    def test_setting(self) -> None:
        """vcpkg puts digest, URL and place into the command; the mirror says that it is here."""
        text = setting("vcpkg", "http://mirror.test").text
        self.assertIn("curl -fsSL http://mirror.test/vcpkg/{sha512}/{url} -o {dst}", text)
        self.assertEqual(self.get("/vcpkg/here")[0], 200)
