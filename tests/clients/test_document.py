"""The first version's document, word for word, before real clients: what it promises, it does."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

import yaml

from aimirror.config import expanded
from aimirror.testing.behaviour import pattern
from aimirror.testing.processes import ServiceProgram
from aimirror.testing.site import Asked, File
from tests.clients import test_huggingface, test_npm
from tests.clients.python_support import PythonTests
from tests.clients.worlds import ROOT, WorldTests

DOCUMENT = ROOT / "tests" / "config" / "document.yaml"


def document_rules(**upstreams: str) -> list[dict[str, Any]]:
    """The rules that the document stands for; ``pypi_org="http://..."`` takes a host's place."""
    text = expanded(DOCUMENT)
    for host, url in upstreams.items():
        text = text.replace(f"https://{host.replace('_', '.')}", url)
    rules: list[dict[str, Any]] = yaml.safe_load(text)["rules"]
    return rules


class HubTests(test_huggingface.ClientTests):
    """All that the built-in rules do for clients of the hub."""

    def serve(self, **cache: Any) -> ServiceProgram:
        """The document's rules with the small hub behind them."""
        rules = document_rules(huggingface_co=self.hub.hub.url)
        for rule in rules:
            if rule.get("ecosystem") == "huggingface":
                rule["cache"] = {**rule.get("cache", {}), **cache}
        return self.start(*rules)


class PipTests(PythonTests):
    """Python's clients: pages and files by the document's last rule and its ``pip-packages``."""

    def serve(self, **more: Any) -> ServiceProgram:
        """The document's rules with a small index, which redirects to its files as PyPI does."""
        files, pages = self.index.files.url, self.index.pages.fallback
        self.index.pages.fallback = lambda asked: _moved(asked, files) or pages(asked)
        rules = document_rules(
            pypi_org=self.index.pages.url, files_pythonhosted_org=self.index.files.url
        )
        service = self.start(*rules)
        self.simple = f"{self.mirror}/simple/"
        return service

    def test_pip(self) -> None:
        """pip installs; again without a byte of a file; and with no upstream."""
        self.publish()
        self.serve()
        self.thrice(lambda name: self.pip("pip", name, "demo.app")[0])

    def test_uv(self) -> None:
        """uv does the same."""
        self.publish()
        self.serve()
        self.thrice(lambda name: self.uv(name, "demo.app")[0])


class NpmTests(test_npm.NpmTests):
    """npm at the path that the document promises, which no rule of its own names."""

    def start(self, *rules: Any) -> ServiceProgram:
        """The document's rules with the test's registry behind them."""
        return super().start(*document_rules(registry_npmjs_org=self.upstream.url))


class PromiseTests(WorldTests):
    """Each promised path, its upstream host below a folder of one site."""

    def setUp(self) -> None:
        super().setUp()
        text = re.sub(r"\bhttps?://(?=[a-z])", f"{self.upstream.url}/", expanded(DOCUMENT))
        self.start(*yaml.safe_load(text)["rules"])

    def test_files(self) -> None:
        """A file of each kind is fetched from its upstream once and kept."""
        data = pattern(900_000, 5)
        digest = hashlib.blake2b(data, digest_size=32).hexdigest()
        wheel = f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/demo-1.0-py3-none-any.whl"
        for path, upstream in (
            (wheel, "/pypi.org"),
            ("/src/contrib/demo_1.0.tar.gz", "/cran.r-project.org"),
            ("/conda-forge/noarch/demo-1-0.conda", "/conda.anaconda.org"),
            ("/bioconda/noarch/demo-1-0.conda", "/conda.anaconda.org"),
            (f"/o/n/resolve/{'a' * 40}/a.bin", "/huggingface.co"),
        ):
            self.upstream.put(upstream + path, data)
            self.assertTrue(self.service.get(path).body == data, path)
            self.settle()
            asked = len(self.upstream.requests)
            self.assertTrue(self.service.get(path).body == data, path)
            self.assertEqual(len(self.upstream.requests), asked, path)

    def test_damaged(self) -> None:
        """A wheel that does not hash to what its path says never arrives whole."""
        path = f"/packages/aa/bb/{'c' * 60}/demo-1.0-py3-none-any.whl"
        self.upstream.put(f"/pypi.org{path}", pattern(900_000, 6))
        self.assertFails(["curl", "-sf", "-o", os.devnull, self.mirror + path])


def _moved(asked: Asked, files: str) -> File | None:
    """PyPI's redirect of a file's path to the host of its files."""
    if not asked.target.startswith("/packages/"):
        return None
    return File(b"", status=301, headers=(("Location", files + asked.target),))
