"""What tests of huggingface_hub share: a small hub behind the default rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aimirror.testing.behaviour import pattern
from aimirror.testing.hub import Hub, Repo
from aimirror.testing.processes import ServiceProgram
from tests.clients.defaults import default_rules
from tests.clients.worlds import WorldTests, find_client

#: Bytes: fetched in ranges.
LARGE = 12_000_000

FILES = {
    "README.md": b"# A model\n" * 50,
    "config.json": b'{"model_type": "x"}',
    "empty.txt": b"",
    "model.safetensors": pattern(LARGE, 1),
    "onnx/quantised model.bin": pattern(1_500_000, 2),
}

#: Downloads by the library: repository, revision, kind, file or "" for all.
SCRIPT = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download
repo, revision, kind, file = sys.argv[1:]
common = dict(repo_type=kind, revision=revision or None)
print(hf_hub_download(repo, file, **common) if file else snapshot_download(repo, **common))
"""


class HuggingFaceTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.hub = Hub()
        self.hub.start()
        self.addCleanup(self.hub.stop)

    def serve(self, **cache: Any) -> ServiceProgram:
        """The default rules with the small hub behind them."""
        rules = default_rules("huggingface-", huggingface_co=self.hub.hub.url)
        for rule in rules:
            rule["cache"] = {**rule.get("cache", {}), **cache}
        return self.start(*rules)

    def publish(self, name: str = "models/ns/name", **more: Any) -> Repo:
        repo = self.hub.repo(name, **more)
        repo.commit(FILES)
        return repo

    def environment(self, home: Path, token: str = "", **more: str) -> dict[str, str]:
        tokens = {"HF_TOKEN": token} if token else {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        return {
            "HF_ENDPOINT": self.mirror,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **tokens,
            **more,
        }

    def command(self, venv: str, *words: str) -> list[str]:
        """``hf download`` or what came before it."""
        return [find_client("hf" if venv == "hf2" else "huggingface-cli", venv), "download", *words]

    def download(self, venv: str, name: str, *words: str, fails: bool = False, **more: str) -> Path:
        """The folder into which the command line downloads."""
        home = self.fresh(name)
        words = (*words, "--local-dir", str(home / "out"))
        run = self.assertFails if fails else self.assertRuns
        self.output = run(self.command(venv, *words), home, **self.environment(home, **more))
        return home / "out"

    def library(
        self,
        venv: str,
        name: str,
        repo: str,
        revision: str = "",
        kind: str = "model",
        file: str = "",
        fails: bool = False,
        **more: str,
    ) -> Path:
        """What the library says where it has put a file or a snapshot."""
        home = self.fresh(name)
        command = [find_client("python", venv), "-c", SCRIPT, repo, revision, kind, file]
        run = self.assertFails if fails else self.assertRuns
        self.output = run(command, home, **self.environment(home, **more))
        return Path(self.output.strip().splitlines()[-1])

    def assertSnapshot(self, folder: Path, files: dict[str, bytes] | None = None) -> None:
        for name, content in (files or FILES).items():
            self.assertTrue((folder / name).read_bytes() == content, name)

    def assertNothingPast(self) -> None:
        """No token went to the CDN, and nobody asked for the way to the chunks."""
        for asked in self.hub.cdn.requests:
            self.assertNotIn("authorization", asked.headers)
        self.assertFalse([a for a in self.hub.hub.requests if "xet-read-token" in a.target])

    def thrice(self, download: Any) -> None:
        """First, second without a byte of any large file, third with no hub at all."""
        self.assertSnapshot(download("first"))
        self.settle()
        before = self.hub.cdn.total()
        self.assertGreaterEqual(before, LARGE)
        self.assertLess(before, 1.3 * LARGE)
        self.assertSnapshot(download("second"))
        self.assertEqual(self.hub.cdn.total(), before)
        self.assertNothingPast()
        self.hub.stop()
        self.assertSnapshot(download("dead"))
