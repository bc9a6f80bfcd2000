"""Installs what the tests with real clients use, as far as it can be had, and says what it does.

``python tests/clients/install.py [FOLDER]``; the folder is ``.venv-clients`` of this clone.  It
needs nothing but Python.  The lists beside this file say what is installed (see README.md).  Debian
packages need root and apt-get.  The tests of a client that can't be had are skipped, so that this
program always succeeds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LISTS = Path(__file__).resolve().parent
FOLDER = LISTS.parent.parent / ".venv-clients"
#: Seconds for one package or one environment, whatever hangs; and for all packages in one go.
LIMIT = 300
LIMIT_OF_ALL = 900
#: RUNLEVEL keeps Debian from starting the services that it installs.
APT = {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
APT_INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
#: ``PACKAGES=no`` leaves the system as it is.
SWITCH = "PACKAGES"


def say(text: str) -> None:
    """A line for people, from whichever thread."""
    sys.stdout.write(f"clients: {text}\n")
    sys.stdout.flush()


def entries(name: str) -> Iterator[tuple[str, str]]:
    """The lines ``key: value`` of a list, without its comments."""
    for line in (LISTS / name).read_text("utf-8").splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        if key.strip():
            yield key.strip(), value.strip()


def run(
    command: Sequence[str], limit: float, environment: Mapping[str, str] | None = None
) -> str | None:
    """None when the command succeeded, else the last line that it printed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not over after {limit} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


class Stamp:
    """A file that says what was made of a list: as long as that is the same, nothing is to do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def says(self, text: str) -> bool:
        """Whether exactly this was done before."""
        return self.path.is_file() and self.path.read_text("utf-8").strip() == text.strip()

    def write(self, text: str) -> None:
        """Note that this was done."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(text + "\n", "utf-8")


def has_program(program: str) -> bool:
    """Whether a program is on PATH, or where Debian puts servers."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    return bool(program) and shutil.which(program, path=path) is not None


def has_package(package: str) -> bool:
    """Whether dpkg knows the package as installed."""
    query = ("dpkg-query", "--show", "--showformat=${db:Status-Status}", package)
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=LIMIT, check=False)
    except OSError:
        return False
    return shown.stdout == "installed"


def missing_packages() -> list[str]:
    """The Debian packages of which neither the program nor the package is there."""
    listed = entries("debian-packages.txt")
    return [
        package
        for package, program in listed
        if not (has_program(program) if program else has_package(package))
    ]


def why_no_packages() -> str:
    """Why Debian packages can't be installed here, or nothing."""
    if os.environ.get(SWITCH) == "no":
        return f"{SWITCH}=no"
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    if os.geteuid() != 0:
        return "that needs root"
    return ""


def install_packages(folder: Path) -> None:
    """All Debian packages that are missing: at once, else one by one."""
    missing = missing_packages()
    if not missing:
        return
    if reason := why_no_packages():
        say(f"not installing {' '.join(missing)}: {reason}")
        return
    refused = Stamp(folder / "debian.refused")
    if refused.says("\n".join(missing)):
        say(f"{' '.join(missing)} can't be had (to try again, remove {refused.path})")
        return
    say(f"installing {len(missing)} Debian packages: {' '.join(missing)}")
    if failure := run(("apt-get", "update", "-qq"), LIMIT, APT):
        say(f"apt-get update: {failure}")
    if run((*APT_INSTALL, *missing), LIMIT_OF_ALL, APT) is not None:
        say("not all at once; one by one")
        for package in missing:
            if failure := run((*APT_INSTALL, package), LIMIT, APT):
                say(f"{package} can't be had: {failure}")
    refused.write("\n".join(missing_packages()))


def install_npm(folder: Path) -> None:
    """The clients that only npm has: in one folder, or in that which their line names."""
    together: dict[str, list[str]] = {}
    for name, packages in entries("npm-packages.txt"):
        together.setdefault(name if packages else "js", []).append(packages or name)
    for place, wanted in together.items():
        packages = " ".join(wanted)
        stamp = Stamp(folder / place / ".ready")
        if stamp.says(packages):
            continue
        if not has_program("npm"):
            say(f"not installing {packages}: there is no npm")
            continue
        say(f"installing {packages} by npm")
        command = ("npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder / place))
        if failure := run((*command, *packages.split()), LIMIT):
            say(f"{packages} can't be had: {failure}")
        else:
            stamp.write(packages)


def install_environments(folder: Path) -> None:
    """A Python environment for each line of the list; one whose line has changed is made anew."""
    for name, requirements in entries("pypi-packages.txt"):
        stamp = Stamp(folder / name / ".ready")
        if stamp.says(requirements):
            continue
        say(f"installing {requirements} into {folder.name}/{name}")
        python = folder / name / "bin" / "python"
        make = (sys.executable, "-m", "venv", "--clear", str(folder / name))
        pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        if failure := run(make, LIMIT) or run((*pip, *requirements.split()), LIMIT):
            say(f"{requirements} can't be had: {failure}")
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            stamp.write(requirements)


def main(words: Sequence[str]) -> None:
    """Packages and environments side by side; npm comes after the packages, which may bring it."""
    folder = Path(words[0]).absolute() if words else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        environments = threads.submit(install_environments, folder)
        install_packages(folder)
        install_npm(folder)
        environments.result()
    say(f"set up in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
