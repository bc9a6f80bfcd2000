"""What this machine is, and where its own mirror is."""

from __future__ import annotations

import shlex
from pathlib import Path

from aimirror.config import Config
from aimirror.settings.setting import Setting


def os_release(file: Path = Path("/etc/os-release")) -> dict[str, str]:
    """What os-release(5) says; nothing where there is none."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    values = {}
    for line in lines:
        name, is_set, value = line.strip().partition("=")
        if is_set and not name.startswith("#"):
            try:
                values[name] = " ".join(shlex.split(value))
            except ValueError:
                continue
    return values


def for_machine(wanted: Setting) -> Setting:
    """A setting as this machine's release needs it."""
    return wanted if wanted.on is None else wanted.on(os_release())


def own_url(config: Config) -> str:
    """Where a configuration's mirror is reached, from this machine at least."""
    server = config.server
    if "://" in server.public_host:
        return server.public_host
    host = "localhost" if server.host in ("0.0.0.0", "::") else server.host
    here = f"{f'[{host}]' if ':' in host else host}:{server.port}"
    return f"{'http' if server.tls is None else 'https'}://{server.public_host or here}"
