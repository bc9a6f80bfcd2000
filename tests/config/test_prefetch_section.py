"""The ``prefetch`` section."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import Config, ConfigError, load
from aimirror.config.model import Prefetch


class PrefetchTests(SynchronousTestCase):
    def read(self, text: str) -> Config:
        file = Path(self.mktemp())
        file.write_text(f"rules: [{{preset: npm}}]\nprefetch:\n{text}")
        return load(file, {})

    def test_times(self) -> None:
        """A time of day, as text or as the number that YAML takes it for."""
        for written, hours in (('"03:00"', 3), ("03:00", 3), ("13:30", 13.5), ('"0:00"', 0)):
            entry = self.read(f"- {{what: /a, at: {written}}}").prefetch[0]
            self.assertEqual(entry, Prefetch(what=("/a",), at=hours * 3600.0))
        for written in ('"24:00"', '"3:60"', "noon", "-1", "true"):
            error = self.assertRaises(ConfigError, self.read, f"- {{what: /a, at: {written}}}")
            self.assertIn("prefetch[0].at", str(error))

    def test_all(self) -> None:
        """All keys; a mistake is told with its place."""
        entry = self.read(
            "- {what: [a.txt, 'image:x'], every: 6h, rate_limit: 20MB, python: '3.11',"
            " platform: linux_x86_64, index: /own, include: ['*.json'], exclude: [b]}"
        ).prefetch[0]
        self.assertEqual((entry.every, entry.rate_limit), (21_600.0, 20_000_000))
        self.assertEqual((entry.index, entry.include), ("/own", ("*.json",)))
        for wrong in ("- {every: 1d}", "- {what: []}", "- {what: a, every: 1s}"):
            self.assertRaises(ConfigError, self.read, wrong)
