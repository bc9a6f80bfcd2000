"""What ``make`` installs and from where, with a Python and a pip that only note what they do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

#: Makes an environment whose Python is this script, too; pip fails as told in the file "fails".
PYTHON = """#!/bin/sh
log={folder}/log
case "$*" in
*"-m venv "*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/aimirror;;
*"pip install"*) echo "$*" >> $log
    case "$*" in *--index-url*) exit 0;; *) exit $(cat {folder}/fails);; esac;;
*"pip config"*) echo http://mirror.invalid/simple;;
*"-c "*) ;;
*) echo "runs $*" >> $log;;
esac
"""


class MakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        if shutil.which("make") is None:
            raise SkipTest("there is no make")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        self.python = self.folder / "python"
        self.python.write_text(PYTHON.format(folder=self.folder))
        self.python.chmod(0o755)
        self.index_fails(False)

    def index_fails(self, fails: bool) -> None:
        (self.folder / "fails").write_text(str(int(fails)))

    def make(self, *words: str) -> str:
        """What it prints; it must succeed."""
        done = subprocess.run(
            ["make", "--no-print-directory", f"PYTHON={self.python}", *words],
            cwd=self.folder,
            env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def log(self) -> list[str]:
        """What Python was asked to do since the last time."""
        log = self.folder / "log"
        lines = log.read_text().splitlines()
        log.unlink()
        return lines

    def test_run(self) -> None:
        """It says that it installs, takes what running needs and no more, and does so once."""
        self.assertIn("installing what it needs to run", self.make("run", "CONFIG=a.yaml"))
        installed, ran = self.log()
        self.assertTrue(installed.endswith("--editable ."))
        self.assertEqual(ran, "runs --config a.yaml")
        self.assertNotIn("installing", self.make("run"))
        self.assertEqual(self.log(), ["runs "])

    def test_index_down(self) -> None:
        """Where pip's index can't be used, it says so and takes PyPI's."""
        self.index_fails(True)
        said = self.make("run")
        self.assertIn("(http://mirror.invalid/simple); once more from https://pypi.org", said)
        first, second, _ = self.log()
        self.assertNotIn("--index-url", first)
        self.assertIn("--index-url https://pypi.org/simple", second)

    def test_tests_need_more(self) -> None:
        """The tests' tools come with the tests' targets, and running needs nothing again then."""
        self.make("run")
        self.log()
        self.assertIn("what its tests need", self.make("unit", "BIN=.venv/bin", "TRIAL=true"))
        (installed,) = self.log()
        self.assertTrue(installed.endswith("--editable .[test]"))
        self.make("run")
        self.assertEqual(self.log(), ["runs "])

    def test_help(self) -> None:
        """``make help`` names each target that one calls by hand."""
        said = self.make("help")
        for target in ("run", "test", "test-quick", "check", "unit", "bench", "clean"):
            self.assertIn(f"make {target} ", said)
