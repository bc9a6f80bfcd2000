"""``aimirror setup``: what a client has to be told, printed, written, checked or taken back."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from urllib.parse import urlsplit

from aimirror.commands import editing, findings
from aimirror.commands.common import Commands, Complaint, add_config, complain
from aimirror.commands.machine import for_machine, own_url
from aimirror.config import load
from aimirror.config.offers import moved, offered, serves
from aimirror.ecosystems.registry import CLIENTS, setting
from aimirror.settings.setting import Address, Setting

#: Clients that take a mirror by its host alone.
_HOST_ONLY = frozenset({"docker", "podman"})
#: Paths that belong to one client, and that a setting adds by itself.
_PARTS = re.compile(r"/(simple|v2|registry|aimirror|health|stats|conda-forge|maven2|goproxy)(/|$)")


def add(commands: Commands) -> None:
    """The parser of this command."""
    parser = commands.add_parser("setup")
    names = ", ".join(CLIENTS)
    parser.add_argument("client", nargs="?", choices=[*CLIENTS], metavar="CLIENT", help=names)
    parser.add_argument("--url", help="the mirror's URL as the client sees it")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="write it, keeping a backup")
    how.add_argument("--dry-run", action="store_true", help="show what --write would change")
    how.add_argument("--check", action="store_true", help="ask the client, then the mirror")
    how.add_argument("--undo", action="store_true", help="take back what --write changed")
    add_config(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print the client's configuration, or write it."""
    if given.client is None:
        return _list(given)
    if given.undo:
        return _undo(given.client)
    address = _address(given)
    if given.check:
        return findings.checked(given.client, address)
    wanted = for_machine(setting(given.client, address))
    if given.dry_run or given.write:
        return _apply(given.client, wanted, write=given.write)
    print(f"# {wanted.path}\n{wanted.text}", end="")
    if wanted.note:
        print(f"# {wanted.note}")
    return 0


def _list(given: argparse.Namespace) -> int:
    """The clients that the configuration serves, each with its first line."""
    config = load(Path(given.config) if given.config else None)
    url = checked(given.url, "") if given.url else own_url(config)
    address = Address(url, moved(config.rules))
    for client in offered(config.rules):
        print(f"aimirror setup {client:<12} {for_machine(setting(client, address)).path}")
    return 0


def _apply(client: str, wanted: Setting, *, write: bool) -> int:
    changes = [edit for edit in editing.edits(client, wanted) if edit.after != edit.before]
    for edit in changes:
        print(edit.diff if not write else "".join(f"{x}\n" for x in editing.write(edit)), end="")
    if not changes:
        print(f"{client}: nothing to change")
    elif write and wanted.note:
        print(f"# {wanted.note}")
    return 0


def _undo(client: str) -> int:
    changes = editing.undoings(client)
    for edit in changes:
        print(editing.restore(edit))
    if not changes:
        print(f"{client}: nothing was written that could be taken back")
    return 0 if changes else 1


def _address(given: argparse.Namespace) -> Address:
    """Where the client finds the mirror; raises Complaint when that can't be."""
    if given.url:
        return Address(checked(given.url, given.client))
    config = load(Path(given.config) if given.config else None)
    address = Address(checked(own_url(config), given.client), moved(config.rules))
    if not serves(config.rules, given.client, address):
        known = ", ".join(offered(config.rules)) or "none that is known"
        problem = (
            f"{config.source} has no rule for {given.client}; it serves: {known}. "
            "For another mirror, give its --url"
        )
        if given.write or given.dry_run:
            raise Complaint(problem)
        complain(problem)
    return address


def checked(text: str, client: str) -> str:
    """A mirror's URL without slash; Complaint for one that can't be right."""
    url = (text if "://" in text else f"http://{text}").rstrip("/")
    allowed = "allowed: such as http://mirror:8081"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Complaint(f"--url: {text!r}: {error}; {allowed}") from None
    problem = _problem(url, client)
    if not problem and port == 0:
        problem = "a port of 0 can't be reached"
    if problem:
        raise Complaint(f"--url: {text!r}: {problem}; {allowed}")
    return url


def _problem(url: str, client: str) -> str:
    """What is wrong with the parts of a URL, or ""."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return "clients come by http or https"
    if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname):
        return "it names no host"
    if parts.hostname in ("0.0.0.0", "::"):
        return "that is where a server listens, not where clients find it"
    if parts.username is not None:
        return "a user and password don't belong into it"
    if parts.query or parts.fragment or re.search(r"[\s\"'\\<>]", url):
        return "it holds more than an address"
    part = _PARTS.match(parts.path)
    if part is not None:
        return f"leave {part[0]} away, each client adds what it needs"
    if parts.path and client in _HOST_ONLY:
        return f"{client} takes a host and port alone"
    return ""
