"""What shells and man are told, made of the parser."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest

import aimirror
from aimirror.commands.completion import SHELLS
from tests.commands.support import LineTests

PAGE = Path(aimirror.__file__).parent / "shipped" / "aimirror.1"


#: Lines, and what their last words are completed to.
COMPLETED = {
    "prefe": ["prefetch"],
    "setup huggingf": ["huggingface"],
    "ca in": ["init", "install-hint"],
    "ca install": ["install-hint"],
    "ca init --da": ["--days"],
    "purge --pre": ["--prefix"],
    "-c f.yaml sta": ["status"],
}
#: Seconds that a shell on a busy machine may need to answer.
PATIENCE = 60.0


def at_prompt(folder: Path, line: str) -> str:
    """The arguments that zsh makes of ``aimirror``, a line, tab and enter."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb"})
    try:
        load = f"fpath=('{folder}' $fpath); autoload -U compinit; compinit -u -D"
        os.write(terminal, f"{load}; aimirror() {{ print -r '<'$*'>' }}; print re''ady\n".encode())
        _until(terminal, b"\nready")
        os.write(terminal, f"aimirror {line}\t\n".encode())
        return _until(terminal, b">\r\n").rpartition(b"\n<")[2].partition(b">\r")[0].decode()
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(child, 0)


def _until(terminal: int, end: bytes) -> bytes:
    """What a terminal shows up to some text."""
    shown = b""
    while end not in shown:
        if not select.select([terminal], [], [], PATIENCE)[0]:
            raise AssertionError(f"zsh is silent after {shown!r}")
        shown += os.read(terminal, 4096)
    return shown


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
        for line, words in COMPLETED.items():
            self.assertEqual(self.complete(*line.split()), words)

    def test_fish(self) -> None:
        """The same in fish, which also says what each is for; files are offered where they fit."""
        if shutil.which("fish") is None:
            raise SkipTest("fish is not installed")
        script = Path(self.mktemp())
        script.write_text(self.run_line("completion", "fish")[1])

        def complete(line: str) -> list[str]:
            ask = f"source '{script}'; complete -C 'aimirror {line}'"
            command = ["fish", "--no-config", "-c", ask]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            return ended.stdout.splitlines()

        self.assertEqual(complete("pre"), ["prefetch\tfetch files before somebody asks"])
        for line, words in COMPLETED.items():
            self.assertEqual([each.partition("\t")[0] for each in complete(line)], words)
        self.assertIn(str(script), complete(f"check {str(script)[:-1]}"))

    def test_zsh(self) -> None:
        """The same at the prompt of zsh, installed where the script says that it goes."""
        if shutil.which("zsh") is None:
            raise SkipTest("zsh is not installed")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "_aimirror").write_text(self.run_line("completion", "zsh")[1])
        for line, words in COMPLETED.items():
            if len(words) == 1:
                typed = line.rpartition(" ")[0]
                self.assertEqual(at_prompt(folder, line), f"{typed} {words[0]}".strip())
        file = str(folder / "_aimirror")
        self.assertEqual(at_prompt(folder, f"check {file[:-1]}"), f"check {file}")

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
