"""``aimirror clean-old`` and what a start says."""

from __future__ import annotations

from pathlib import Path

from aimirror.commands.serve import Offer, welcome
from aimirror.config import load
from tests.commands.support import LineTests
from tests.store.test_legacy import old_cache


class CleanOldTests(LineTests):
    def test_removed_once(self) -> None:
        """A dry run removes nothing; then the files go, and after that there are none (1)."""
        folder = Path(self.mktemp())
        old_cache(folder)
        line = ("clean-old", "--cache-dir", str(folder))
        status, said = self.run_line(*line, "--dry-run")
        self.assertEqual((status, "3 files of version 0.3 would go" in said), (0, True))
        self.assertTrue((folder / "meta.db").exists())
        status, said = self.run_line(*line)
        self.assertEqual((status, list(folder.iterdir())), (0, []))
        self.assertEqual(self.run_line(*line)[0], 1)

    def test_welcome(self) -> None:
        """The welcome names the configuration in use, and an old cache with its remedy."""
        config = load(self.file)
        shown = welcome("http://localhost:1/", Offer.of(config))
        self.assertIn(f"aimirror reads {self.file.absolute()}\n", shown)
        self.assertNotIn("clean-old", shown)
        old_cache(config.cache.dir)
        self.assertIn("clean-old --cache-dir", welcome("http://localhost:1/", Offer.of(config)))
        self.assertIn(
            "aimirror reads its built-in configuration\n", welcome("http://h", Offer.of(load(None)))
        )

    def test_main_py(self) -> None:
        """``python main.py`` reads the file beside it, unless another is named or it is gone."""
        status, said = self.run_line("check", config=self.file)
        self.assertEqual((status, said.partition(": right")[0]), (0, str(self.file)))
        other = Path(self.mktemp())
        other.write_text("rules: [{name: r, upstream: 'http://h'}]")
        said = self.run_line("check", "-c", str(other), config=self.file)[1]
        self.assertTrue(said.startswith(str(other)), said)
        said = self.run_line("check", config=Path("missing.yaml"))[1]
        self.assertTrue(said.startswith("built-in"), said)
