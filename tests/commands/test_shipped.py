"""What the package brings along."""

from __future__ import annotations

from pathlib import Path

import aimirror
from aimirror.commands import shipped
from aimirror.config import load
from tests.commands.support import LineTests

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = Path(aimirror.__file__).parent


class ShippedTests(LineTests):
    def test_config(self) -> None:
        """What ``config`` prints is a file with which the service starts."""
        status, text = self.run_line("config")
        file = Path(self.mktemp())
        file.write_text(text)
        self.assertEqual((status, load(file).rules), (0, load(None).rules))

    def test_same_units(self) -> None:
        """The units in the package are those of the repository."""
        for name in shipped.UNITS:
            ours = (PACKAGE / "shipped" / name).read_text()
            self.assertEqual(ours, (ROOT / "systemd" / name).read_text())

    def test_units(self) -> None:
        """The printed unit starts this very program, and is otherwise as it is shipped."""
        said = self.run_line("systemd")[1]
        self.assertIn(f"\nExecStart={shipped.program()} --config ", said)
        self.assertIn(f"\nExecStartPre={shipped.program()} check ", said)
        self.assertNotIn("/usr/bin/env", said)
        self.assertIn("ListenStream=8081", said)

    def test_installed(self) -> None:
        """Units are written; a configuration where there is none; the token's file for root."""
        folder = Path(self.mktemp()).absolute()
        self.patch(shipped, "UNIT_FOLDER", folder / "units")
        self.patch(shipped, "SETTINGS", folder / "settings")
        status, said = self.run_line("systemd", "--install")
        self.assertEqual(status, 0, said)
        self.assertIn("systemctl daemon-reload", said)
        config = folder / "settings" / "config.yaml"
        self.assertEqual(load(config).rules, load(None).rules)
        self.assertEqual((folder / "settings" / "environment").stat().st_mode & 0o077, 0)
        config.write_text("rules: [{preset: npm}]\n")
        self.assertEqual(self.run_line("systemd", "--install")[0], 0)
        self.assertEqual(config.read_text(), "rules: [{preset: npm}]\n")
        self.assertIn("ExecStart=", (folder / "units" / "aimirror.service").read_text())
