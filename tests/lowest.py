"""Runs a program of an environment that has the lowest version of each dependency.

``python tests/lowest.py FOLDER PROGRAM WORDS...``: the versions are the bounds in pyproject.toml.
Where they can't be had (no wheels for a new Python, no network) it says so as trial says that a
test is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Seconds for the installation.
LIMIT = 600
#: What the tests need beside the product; any version will do.
TESTING = ("hypothesis",)


def requirements(project: str) -> list[str]:
    """The dependencies of a pyproject.toml, each in the lowest version that it allows."""
    dependencies: list[str] = tomllib.loads(project)["project"]["dependencies"]
    return [each.replace(">=", "==") for each in dependencies]


def install(folder: Path, wanted: Sequence[str]) -> str:
    """Make the environment unless it is there; why it can't be made, or nothing."""
    stamp = folder / ".ready"
    if stamp.is_file() and stamp.read_text("utf-8").split() == list(wanted):
        return ""
    print(f"installing {' '.join(wanted)}", flush=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*pip, "--disable-pip-version-check", *wanted, "--editable", str(ROOT)],
    ):
        try:
            subprocess.run(command, check=True, timeout=LIMIT)
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
    stamp.write_text("\n".join(wanted), "utf-8")
    return ""


def main(words: Sequence[str]) -> None:
    """Install, and become the program."""
    folder = Path(words[0]).absolute()
    wanted = [*requirements((ROOT / "pyproject.toml").read_text("utf-8")), *TESTING]
    if failure := install(folder, wanted):
        line = f"the lowest versions can't be installed: {failure}"
        print("=" * 79, "[SKIPPED]", line, "", "tests.lowest", "-" * 79, sep="\n")
        print("PASSED (skips=1)")
        return
    os.execv(folder / "bin" / words[1], list(words[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
