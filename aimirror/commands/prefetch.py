"""``aimirror prefetch``: have files fetched before somebody asks; ``aimirror reload``."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aimirror.admin.prefetch_locks import is_list
from aimirror.commands import resolving, solving
from aimirror.commands.common import Commands, Complaint, complain
from aimirror.commands.jobs import followed
from aimirror.commands.link import Link, add_link, online
from aimirror.commands.words import size
from aimirror.config import Config
from aimirror.config.offers import moved
from aimirror.settings.setting import Address

#: Failures that are printed.
_SHOWN = 20
#: Names of files that conda reads, such as ``environment-gpu.yml``.
_CONDA = re.compile(r"(.*[-._])?env(ironment)?([-._].*)?\.ya?ml")


def add(commands: Commands) -> None:
    """The parsers of these commands."""
    prefetch = commands.add_parser("prefetch")
    add_link(prefetch)
    words = (
        "URLs, paths, or lists: requirements.txt, poetry.lock, pnpm-lock.yaml, go.sum and others"
    )
    what = prefetch.add_mutually_exclusive_group(required=True)
    what.add_argument("what", nargs="*", default=[], metavar="WHAT", help=words)
    what.add_argument(
        *("--requirements", "-r"),
        action="append",
        metavar="FILE",
        help="a requirements.txt, with all that it needs",
    )
    what.add_argument("--lock", metavar="FILE", help="a lock file, its kind told by its name")
    what.add_argument("--uv-lock", metavar="FILE", help="a uv.lock")
    what.add_argument("--package-lock", metavar="FILE", help="a package-lock.json of npm")
    what.add_argument("--huggingface", metavar="REPO", help="[datasets/]OWNER/NAME[@REVISION]")
    what.add_argument("--image", metavar="REFERENCE", help="such as nginx:1.27")
    prefetch.add_argument("--no-deps", action="store_true", help="what is named, and no more")
    prefetch.add_argument("--python", default="", help="wheels for this version alone, as 3.11")
    prefetch.add_argument("--platform", default="", help="as linux_x86_64; of images linux/amd64")
    prefetch.add_argument("--index", default="", help="path of the Python index (/simple)")
    prefetch.add_argument("--include", action="append", default=[], metavar="GLOB")
    prefetch.add_argument("--exclude", action="append", default=[], metavar="GLOB")
    prefetch.add_argument("--detach", action="store_true", help="do not wait for the end")
    prefetch.set_defaults(run=run)
    reload = commands.add_parser("reload")
    add_link(reload)
    reload.set_defaults(run=again)


def run(given: argparse.Namespace) -> int:
    """Start the jobs and follow them; status 1 when something failed."""
    link, config = online(given)
    common = {
        "include": given.include,
        "exclude": given.exclude,
        "python": given.python,
        "platform": given.platform,
        "index": given.index,
    }
    status = 0
    for words in _orders(given, (link, config)):
        job = link.post("prefetch", **common, **words)
        if given.detach:
            print(f"job {job['id']} runs: aimirror jobs")
        else:
            status = max(status, _told(followed(link, job["id"])))
    return status


def _orders(given: argparse.Namespace, service: tuple[Link, Config]) -> Iterator[dict[str, Any]]:
    """What is asked of the service, one job each."""
    lists = [file for file in (given.lock, given.uv_lock, given.package_lock) if file]
    names = {given.uv_lock: "uv.lock", given.package_lock: "package-lock.json"}
    urls: list[str] = []
    required = list(given.requirements or ())
    for word in given.what:
        if "://" not in word and Path(word).is_file():
            (required if word.endswith((".txt", ".in")) else lists).append(word)
        else:
            urls.append(word)
    for file in lists:
        yield from _list(file, names.get(file, ""), given, service)
    if required:
        yield _required(tuple(required), given, service[0])
    if urls:
        yield {"urls": urls}
    for key in ("huggingface", "image"):
        if getattr(given, key):
            yield {key: getattr(given, key)}


def _list(
    file: str, name: str, given: argparse.Namespace, service: tuple[Link, Config]
) -> Iterator[dict[str, Any]]:
    link, config = service
    name = name or Path(file).name
    mirror = Address(link.url, moved(config.rules))
    if _CONDA.fullmatch(name):
        yield from _environment(file, given, link, mirror)
        return
    if name == "pom.xml" and not given.no_deps:
        if (needed := solving.from_pom(file, mirror)) is not None:
            yield {"urls": needed}
            return
        complain("mvn is not here: what a pom.xml names comes, but not what that needs in turn")
    if not is_list(name):
        raise Complaint(f"{file}: not a list whose name is known, such as poetry.lock or go.sum")
    yield {"lock": resolving.read(Path(file)), "lock_name": name}


def _environment(
    file: str, given: argparse.Namespace, link: Link, mirror: Address
) -> Iterator[dict[str, Any]]:
    """What an environment.yml needs: packages of conda, and what pip is to add."""
    wanted = solving.environment(file)
    if wanted.packages:
        yield {"urls": solving.from_conda(file, wanted, mirror, given.platform)}
    if wanted.pip:
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / "pip.txt"
            lines.write_text(solving.pip_lines(file, wanted))
            yield _required((str(lines),), given, link)


def _required(files: tuple[str, ...], given: argparse.Namespace, link: Link) -> dict[str, Any]:
    """Requirements with all that they need, where somebody here can find that out."""
    index = f"{link.url}{given.index or '/simple'}"
    answer = None
    if not given.no_deps:
        wanted = resolving.Wanted(files, index, given.python, given.platform)
        answer = resolving.resolved(wanted)
        if answer is None:
            complain("neither uv nor pip is here: the service looks for what they need, less well")
    if answer is None:
        words = {"requirements": resolving.flattened(files), "dependencies": not given.no_deps}
        return {key: value for key, value in words.items() if value}
    return {"urls": answer.urls} if answer.urls else {"requirements": answer.requirements}


def _told(ended: dict[str, Any]) -> int:
    """Say how a job ended; the exit status."""
    for failure in ended["failures"][:_SHOWN]:
        print(f"  {failure['item']}: {failure['why']}")
    if ended["failed"] > _SHOWN:
        print(f"  … and {ended['failed'] - _SHOWN} more")
    fetched = ended["done"] - ended["cached"] - ended["failed"]
    text = f"{fetched} fetched ({size(ended['bytes'])}), {ended['cached']} were there"
    print(f"{ended['state']}: {text}, {ended['failed']} failed {ended['message']}".rstrip())
    return 0 if ended["state"] == "done" and not ended["failed"] else 1


def again(given: argparse.Namespace) -> int:
    """Reload; what is wrong with the new configuration is told in one line."""
    late = online(given)[0].post("reload")["needs_restart"]
    print("reloaded" + (f"; needs a restart: {', '.join(late)}" if late else ""))
    return 0
