"""What tests of Python's package clients share: a small PyPI behind the default rules."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from aimirror.testing.processes import ServiceProgram
from aimirror.testing.pypi import SimpleIndex, wheel
from tests.clients.defaults import default_rules
from tests.clients.worlds import ROOT, WorldTests, find_client

#: Bytes of the data in a wheel: enough to be fetched in ranges.
PAYLOAD = 3_000_000
#: What keeps pip from other places than the mirror.
NO_OTHERS = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}


class PythonTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.index = SimpleIndex()
        self.index.start()
        self.addCleanup(self.index.stop)

    def serve(self, **more: Any) -> ServiceProgram:
        """The default rules for PyPI with the small one behind them."""
        rules = default_rules(
            "pip-",
            pypi_org=self.index.pages.url,
            files_pythonhosted_org=self.index.files_url or self.index.files.url,
        )
        service = self.start(*({**rule, **more} for rule in rules))
        self.simple = f"{self.mirror}/simple/"
        return service

    def publish(self, size: int = PAYLOAD) -> None:
        """Two projects, one of which needs the other."""
        self.index.add(wheel("demo.app", "1.0", ["Demo_Lib>=1"], size))
        self.index.add(wheel("demo-lib", "1.5"))

    def pip(self, venv: str, name: str, *words: str, fails: bool = False) -> tuple[Path, str]:
        folder = self.fresh(name) / "target"
        command = [find_client("pip", venv), "install", "--no-cache-dir", "--target", str(folder)]
        command += ["--index-url", self.simple, "--disable-pip-version-check", *words]
        run = self.assertFails if fails else self.assertRuns
        return folder, run(command, folder.parent, **NO_OTHERS)

    def uv(self, name: str, *words: str, fails: bool = False) -> tuple[Path, str]:
        folder = self.fresh(name) / "target"
        command = [find_client("uv", "uv"), "pip", "install", "--no-cache", "--target", str(folder)]
        command += ["--python", sys.executable, "--index-url", self.simple, *words]
        run = self.assertFails if fails else self.assertRuns
        return folder, run(command, folder.parent)

    def assertInstalled(self, folder: Path, size: int = PAYLOAD) -> None:
        self.assertTrue((folder / "demo_lib" / "__init__.py").exists())
        self.assertEqual((folder / "demo_app" / "data.bin").stat().st_size, size)

    def thrice(self, install: Any) -> None:
        """First, second without a byte of any file, and third with no upstream at all."""
        first = install("first")
        self.assertInstalled(first)
        self.settle()
        before = self.index.files.total()
        self.assertGreater(before, PAYLOAD)
        self.assertInstalled(install("second"))
        self.assertEqual(self.index.files.total(), before)
        self.index.stop()
        self.assertInstalled(install("dead"))

    def purge(self, service: ServiceProgram, what: str) -> None:
        """``aimirror purge``."""
        command = [sys.executable, "-m", "aimirror", "purge", "--config", str(service.config)]
        self.assertRuns([*command, "--url", self.mirror, what], PYTHONPATH=str(ROOT))
