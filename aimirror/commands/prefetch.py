"""``aimirror prefetch``: have files fetched before somebody asks; ``aimirror reload``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aimirror.commands.common import Complaint
from aimirror.commands.link import add_link, online
from aimirror.commands.words import follow, size

if TYPE_CHECKING:
    from aimirror.commands.common import Commands

#: Failures that are printed.
_SHOWN = 20


def add(commands: Commands) -> None:
    """The parsers of these commands."""
    prefetch = commands.add_parser("prefetch", help="fetch files before somebody asks")
    add_link(prefetch)
    what = prefetch.add_mutually_exclusive_group(required=True)
    what.add_argument("what", nargs="*", default=[], metavar="URL", help="URLs or paths")
    what.add_argument("--requirements", "-r", metavar="FILE", help="a requirements.txt")
    what.add_argument("--uv-lock", metavar="FILE", help="a uv.lock")
    what.add_argument("--package-lock", metavar="FILE", help="a package-lock.json of npm")
    what.add_argument("--huggingface", metavar="REPO", help="[datasets/]OWNER/NAME[@REVISION]")
    what.add_argument("--image", metavar="REFERENCE", help="such as nginx:1.27")
    prefetch.add_argument("--python", default="", help="wheels for this version alone, as 3.11")
    prefetch.add_argument("--platform", default="", help="as linux_x86_64; of images linux/amd64")
    prefetch.add_argument("--index", default="", help="path of the Python index (/simple)")
    prefetch.add_argument("--include", action="append", default=[], metavar="GLOB")
    prefetch.add_argument("--exclude", action="append", default=[], metavar="GLOB")
    prefetch.set_defaults(run=run)
    reload = commands.add_parser("reload", help="have the service read its configuration anew")
    add_link(reload)
    reload.set_defaults(run=again)


def run(given: argparse.Namespace) -> int:
    """Start the job and follow it; status 1 when something failed."""
    words: dict[str, Any] = {
        "requirements": _text(given.requirements),
        "uv_lock": _text(given.uv_lock),
        "package_lock": _text(given.package_lock),
        "huggingface": given.huggingface,
        "image": given.image,
        "urls": given.what or None,
        "include": given.include,
        "exclude": given.exclude,
        "python": given.python,
        "platform": given.platform,
        "index": given.index,
    }
    link = online(given)
    job = link.post("prefetch", **words)
    ended = follow(lambda: link.get("jobs", id=job["id"])["jobs"][0])
    for failure in ended["failures"][:_SHOWN]:
        print(f"  {failure['item']}: {failure['why']}")
    if ended["failed"] > _SHOWN:
        print(f"  … and {ended['failed'] - _SHOWN} more")
    fetched = ended["done"] - ended["cached"] - ended["failed"]
    told = f"{fetched} fetched ({size(ended['bytes'])}), {ended['cached']} were there"
    print(f"{ended['state']}: {told}, {ended['failed']} failed {ended['message']}".rstrip())
    return 0 if ended["state"] == "done" and not ended["failed"] else 1


def again(given: argparse.Namespace) -> int:
    """Reload; what is wrong with the new configuration is told in one line."""
    late = online(given).post("reload")["needs_restart"]
    print("reloaded" + (f"; needs a restart: {', '.join(late)}" if late else ""))
    return 0


def _text(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise Complaint(f"{path}: {getattr(error, 'strerror', None) or error}") from None
