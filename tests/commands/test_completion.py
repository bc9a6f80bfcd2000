"""What shells and man are told, made of the parser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest

import aimirror
from aimirror.commands.completion import SHELLS
from tests.commands.support import LineTests

PAGE = Path(aimirror.__file__).parent / "shipped" / "aimirror.1"


class CompletionTests(LineTests):
    def complete(self, *words: str) -> list[str]:
        """What bash offers for the last of some words."""
        if shutil.which("bash") is None:
            raise SkipTest("bash is not installed")
        script = self.run_line("completion", "bash")[1]
        line = " ".join(f"'{word}'" for word in ("aimirror", *words))
        ask = f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _aimirror; echo "${{COMPREPLY[*]}}"'
        ended = subprocess.run(
            ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True
        )
        return ended.stdout.split()

    def test_bash(self) -> None:
        """Commands, their actions, operands and options are completed where they stand."""
        self.assertEqual(self.complete("pre"), ["prefetch"])
        self.assertEqual(self.complete("setup", "hugg"), ["huggingface"])
        self.assertEqual(self.complete("ca", "in"), ["init", "install-hint"])
        self.assertEqual(self.complete("purge", "--pre"), ["--prefix"])
        self.assertEqual(self.complete("-c", "f.yaml", "sta"), ["status"])

    def test_all_shells(self) -> None:
        """Each shell is told of every command, and its own parser takes what it is told."""
        for shell in SHELLS:
            script = self.run_line("completion", shell)[1]
            for word in ("prefetch", "doctor", "dry-run", "huggingface"):
                self.assertIn(word, script, shell)
            if (program := shutil.which(shell)) is not None:
                subprocess.run([program, "-n"], input=script, text=True, check=True)

    def test_manual(self) -> None:
        """The page in the package is the one that is made:
        aimirror manual > aimirror/shipped/aimirror.1
        """
        self.assertEqual(self.run_line("manual")[1], PAGE.read_text("utf-8"))
        self.assertIn(".SS aimirror setup", PAGE.read_text("utf-8"))
