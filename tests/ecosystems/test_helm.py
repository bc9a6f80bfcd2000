"""Helm: what index.yaml says of charts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import helm
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import ReplacedTests, hexed

HEX = "0f" * 32
INDEX = f"""apiVersion: v1
entries:
  one:
  - annotations:
      category: x
    dependencies:
    - name: common
      repository: https://up.test/common-9.tgz
    digest: {HEX}
    home: https://up.test/home
    maintainers:
    - name: a
      url: https://up.test/a
    name: one
    urls:
    - https://up.test/charts/one-1.0.tgz
    version: "1.0"
  - digest: sha256:{HEX[::-1]}
    urls:
    - charts/one-0.9.tgz
  two:
  - name: two
    urls:
      - "two-1.tgz?x=y"
    digest: "{HEX}"
generated: "2024-01-01T00:00:00Z"
"""


class HelmTests(SynchronousTestCase):
    def test_digests(self) -> None:
        """Each chart has the digest of its own item, whatever stands between."""
        wanted = {"one-1.0.tgz": HEX, "one-0.9.tgz": HEX[::-1], "two-1.tgz": HEX}
        found = helm.digests(INDEX.encode())
        self.assertEqual(found, {name: Digest("sha256", told) for name, told in wanted.items()})
        for nothing in (b"", b"\xff\n- \n", b"- - -\n" * 100):
            self.assertEqual(helm.digests(nothing), {})

    def test_places(self) -> None:
        """The index is in the chart's folder, or in one above."""
        places = list(helm._places("https://h/r/charts/a-1.tgz"))
        self.assertIn(("https://h/r/index.yaml", "a-1.tgz"), places)
        self.assertEqual(places[-1], ("https://h/index.yaml", "a-1.tgz"))
        self.assertEqual(list(helm._places("https://h/index.yaml")), [])


class ReplacedChartTests(ReplacedTests, WorldCase):
    name, path, index = "helm", "/r/charts/a-1.tgz", "/r/index.yaml"

    def says(self, data: bytes) -> bytes:
        head = "apiVersion: v1\nentries:\n  a:\n  - name: a\n"
        return f"{head}    digest: {hexed('sha256', data)}\n    urls:\n    - {self.path}\n".encode()


class LinkTests(WorldCase):
    name = "helm"

    def test_urls_alone(self) -> None:
        """Charts lead to the mirror; homes, maintainers and dependencies stay."""
        rewrite = ContentRewrite(content_types=("yaml",), members=("urls",))
        self.use(path_prefix="/helm", strip_prefix=True, content_rewrite=rewrite)
        self.answers["/index.yaml"] = (200, ["Content-Type: text/yaml"], INDEX.encode())
        wanted = INDEX.replace("https://up.test/charts", "http://mirror.test/helm/charts")
        self.assertEqual(self.get("/helm/index.yaml")[2].decode(), wanted)
