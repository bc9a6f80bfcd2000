"""``aimirror config`` and ``aimirror systemd``: what the package brings along for a machine."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from importlib import resources
from pathlib import Path

from aimirror.commands.common import Commands, Complaint

#: The units, and where an administrator's units and the service's files belong.
UNITS = ("aimirror.service", "aimirror.socket")
UNIT_FOLDER = Path("/etc/systemd/system")
SETTINGS = Path("/etc/aimirror")


def add(commands: Commands) -> None:
    """The parsers of these commands."""
    config = commands.add_parser("config")
    config.set_defaults(run=show_config)
    systemd = commands.add_parser("systemd")
    systemd.add_argument("--install", action="store_true", help=f"into {UNIT_FOLDER}")
    systemd.set_defaults(run=units)


def show_config(given: argparse.Namespace) -> int:
    """Print the file that can be started with."""
    print((resources.files("aimirror") / "default.yaml").read_text("utf-8"), end="")
    return 0


def units(given: argparse.Namespace) -> int:
    """Print the units, or install them beside a configuration.

    Nothing that is there already is replaced but units of ours.
    """
    if not given.install:
        for name in UNITS:
            print(f"# {UNIT_FOLDER / name}\n{unit(name, program())}")
        return 0
    try:
        for line in _install():
            print(line)
    except OSError as error:
        hint = "; is sudo needed?" if isinstance(error, PermissionError) else ""
        raise Complaint(f"{error.filename}: {error.strerror}{hint}") from None
    return 0


def unit(name: str, command: str) -> str:
    """The text of a unit that starts this very program."""
    text = (resources.files("aimirror") / "shipped" / name).read_text("utf-8")
    return re.sub(r"(?m)^(Exec\w+=)/usr/bin/env aimirror\b", rf"\g<1>{command}", text)


def program() -> str:
    """Where the ``aimirror`` command is, as a service finds it."""
    beside = Path(sys.executable).with_name("aimirror")
    path = str(beside) if beside.exists() else shutil.which("aimirror")
    return path or f"{sys.executable} -m aimirror"


def _install() -> list[str]:
    said = []
    command = program()
    if command.startswith(("/root/", "/home/")):
        said.append(f"{command} is in a home, which the service may not see (ProtectHome=yes)")
    SETTINGS.mkdir(parents=True, exist_ok=True)
    config, secrets = SETTINGS / "config.yaml", SETTINGS / "environment"
    for path, text, mode in (
        (config, (resources.files("aimirror") / "default.yaml").read_text("utf-8"), 0o644),
        (secrets, "# AIMIRROR_ADMIN_TOKEN=...\n", 0o600),
    ):
        if not path.exists():
            path.touch(mode)
            path.write_text(text, "utf-8")
            said.append(f"{path}: written")
    UNIT_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in UNITS:
        path = UNIT_FOLDER / name
        path.write_text(unit(name, command), "utf-8")
        said.append(f"{path}: written")
    start = "systemctl daemon-reload && systemctl enable --now aimirror.socket aimirror.service"
    return [*said, f"to start it: {start}"]
