"""``aimirror setup``: what a client has to be told, printed or written with a backup."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aimirror.commands.common import Complaint, add_config
from aimirror.config import Config, load
from aimirror.ecosystems.clients import Setting
from aimirror.ecosystems.registry import CLIENTS, setting

if TYPE_CHECKING:
    from aimirror.commands.common import Commands


def add(commands: Commands) -> None:
    """The parser of this command."""
    parser = commands.add_parser("setup", help="configure a package client for this mirror")
    parser.add_argument("client", choices=sorted(CLIENTS), metavar="CLIENT", help=_names())
    parser.add_argument("--url", help="the mirror's URL as the client sees it")
    parser.add_argument("--write", action="store_true", help="write it, keeping a backup")
    add_config(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print the client's configuration, or write it."""
    url = given.url or _url(load(Path(given.config) if given.config else None))
    found = setting(given.client, (url if "://" in url else f"http://{url}").rstrip("/"))
    print(_write(found) if given.write else f"# {found.path}\n{found.text}", end="")
    if found.note:
        print(f"# {found.note}")
    return 0


def _names() -> str:
    return ", ".join(CLIENTS)


def _url(config: Config) -> str:
    server = config.server
    if "://" in server.public_host:
        return server.public_host
    host = "localhost" if server.host in ("0.0.0.0", "::") else server.host
    here = f"{f'[{host}]' if ':' in host else host}:{server.port}"
    return f"{'http' if server.tls is None else 'https'}://{server.public_host or here}"


def _write(found: Setting) -> str:
    """Put the setting into its file; the file of before stays beside it."""
    path = Path(found.path).expanduser()
    try:
        before = path.read_text("utf-8") if path.exists() else None
        after = found.merges(before)
        if after == before:
            return f"{path}: nothing to change\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        said = ""
        if before is not None:
            backup = _unused(path)
            _create(backup, before, path.stat().st_mode & 0o777)
            said = f"{path}: was kept as {backup}\n"
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        _create(fresh, after, 0o644 if before is None else path.stat().st_mode & 0o777)
        fresh.replace(path)
    except OSError as error:
        raise Complaint(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Complaint(f"{path}: not changed: {error}") from None
    return f"{said}{path}: written\n"


def _create(path: Path, text: str, mode: int) -> None:
    """A new file that is at no time wider open than ``mode``: settings may hold tokens."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", -1, "utf-8") as file:
        file.write(text)


def _unused(path: Path) -> Path:
    """The first free name of a backup."""
    number = 0
    while (backup := path.with_name(f"{path.name}.bak{number or ''}")).exists():
        number += 1
    return backup
