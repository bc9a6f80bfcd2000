"""What this machine is."""

from __future__ import annotations

import shlex
from pathlib import Path


def os_release(file: Path = Path("/etc/os-release")) -> dict[str, str]:
    """What os-release(5) says; nothing where there is none."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, is_set, value = line.strip().partition("=")
        if is_set and not name.startswith("#"):
            try:
                found[name] = " ".join(shlex.split(value))
            except ValueError:
                continue
    return found
