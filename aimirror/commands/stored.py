"""``aimirror ls``, ``purge``, ``pin`` and ``verify``: what is stored."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.task import LoopingCall

from aimirror.admin.entries import BadSelection, Entries, Selection
from aimirror.commands.common import Commands, Complaint
from aimirror.commands.link import Link, NotRunning, add_link, either, linked, on_folder, own_path
from aimirror.commands.words import (
    LOOK,
    columns,
    counted,
    ending,
    follow,
    show_progress,
    size,
    span,
)
from aimirror.config.scalars import duration
from aimirror.config.schema import At
from aimirror.store.listing import Listing, Order
from aimirror.store.verification import Verification

T = TypeVar("T")

#: Columns of a terminal below which a line has no room for the name of a rule.
_NARROW = 80


def add(commands: Commands) -> None:
    """The parsers of these commands."""
    ls = commands.add_parser("ls")
    add_link(ls)
    ls.add_argument("text", nargs="?", default="", help="part of the URL")
    ls.add_argument("--rule", help="of this rule")
    ls.add_argument("--order", choices=[each.value for each in Order], default="largest")
    ls.add_argument("--count", "-n", type=int, default=50, help="how many (50)")
    ls.add_argument("--pinned", action="store_true", help="pinned ones alone")
    ls.add_argument("--json", action="store_true", help="as JSON, one a line")
    ls.set_defaults(run=show)
    purge = commands.add_parser("purge")
    _add_selection(purge)
    purge.add_argument("--dry-run", action="store_true", help="only say how many")
    purge.set_defaults(run=drop)
    pin = commands.add_parser("pin")
    _add_selection(pin)
    pin.add_argument("--undo", action="store_true", help="let it be evicted again")
    pin.set_defaults(run=keep)
    verify = commands.add_parser("verify")
    add_link(verify)
    verify.set_defaults(run=prove)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    add_link(parser)
    parser.add_argument("what", nargs="*", metavar="URL", help="a URL, or a path of the mirror")
    parser.add_argument("--prefix", default="", help="whose URL begins so")
    parser.add_argument("--rule", help="of this rule")
    parser.add_argument("--older-than", metavar="TIME", help="received longer ago, such as 30d")
    parser.add_argument("--all", action="store_true", help="everything")


def show(given: argparse.Namespace) -> int:
    """List entries."""
    pinned = True if given.pinned else None
    wanted = Listing(
        contains=given.text,
        rule=given.rule,
        pinned=pinned,
        order=Order(given.order),
        count=given.count,
    )

    text, width = own_path(given.text, linked(given)), columns()
    wanted = evolve(wanted, contains=text)

    def running(link: Link) -> Any:
        words = {"contains": text, "rule": given.rule, "order": given.order}
        return link.get("entries", count=given.count, pinned=pinned and "true", **words)["entries"]

    now = time.time()
    page = _meant(lambda: either(given, running, lambda entries: entries.listed(wanted)))
    for entry in page:
        if given.json:
            print(json.dumps(entry))
            continue
        mark = "*" if entry["pinned"] else " "
        facts = f"{size(entry['size']):>9} {span(now - entry['received']):>7} {mark}"
        narrow = width is not None and width < _NARROW
        known = f"{facts} " if narrow else f"{facts} {entry['rule']:<20} "
        url = entry["url"] if width is None else ending(entry["url"], max(10, width - len(known)))
        print(known + url)
    return 0 if page else 1


def drop(given: argparse.Namespace) -> int:
    """Purge entries."""
    count = total = 0
    for selection in _selections(given):
        purged, freed = _drop_one(given, selection)
        count, total = count + purged, total + freed
    verb = "would go" if given.dry_run else "purged"
    print(f"{counted(count, 'entry')} {verb}, {size(total)}")
    return 0 if count else 1


def _drop_one(given: argparse.Namespace, selection: Selection) -> tuple[int, int]:
    def running(link: Link) -> tuple[int, int]:
        count = link.post("purge", dry_run=given.dry_run, **_words(selection))
        return count["purged"], count["bytes"]

    async def alone(entries: Entries) -> tuple[int, int]:
        return await entries.purge(selection, dry=given.dry_run)

    return _meant(lambda: either(given, running, alone))


def keep(given: argparse.Namespace) -> int:
    """Pin entries, or no longer."""
    pinned, matched, changed = not given.undo, 0, 0
    for selection in _selections(given):
        meant, count = _keep_one(given, selection, pinned)
        matched, changed = matched + meant, changed + count
    print(f"{counted(changed, 'entry')} {'pinned' if pinned else 'no longer pinned'}")
    return 0 if matched else 1


def _keep_one(given: argparse.Namespace, selection: Selection, pinned: bool) -> tuple[int, int]:
    def running(link: Link) -> tuple[int, int]:
        count = link.post("pin", pinned=pinned, **_words(selection))
        return count["matched"], count["changed"]

    async def alone(entries: Entries) -> tuple[int, int]:
        return await entries.pin(selection, pinned)

    return _meant(lambda: either(given, running, alone))


def prove(given: argparse.Namespace) -> int:
    """Hash every stored file again; status 1 when some were damaged."""
    link, config = linked(given)
    try:
        job = link.post("verify")
    except NotRunning as error:
        if given.url:
            raise Complaint(str(error)) from None
        verification = on_folder(config, _prove_alone)
        print(verification.told())
        return 1 if verification.bad or verification.unreadable else 0
    ended = follow(lambda: link.get("jobs", id=job["id"])["jobs"][0])
    print(ended["message"] or ended["state"])
    right = ended["state"] == "done" and not ended["failed"] and " 0 damaged" in ended["message"]
    return 0 if right else 1


async def _prove_alone(store: Any, clock: Any) -> Verification:
    """Hash what is in an open folder, and show how far it is."""
    usage, verification = store.usage(), Verification()

    def look(ended: bool = False) -> None:
        done = {
            "done": verification.checked + verification.unreadable,
            "bytes": verification.hashed,
        }
        show_progress({**done, "total": usage.files, "total_bytes": usage.blobs}, ended)

    looking = LoopingCall(look)
    looking.clock = clock
    looking.start(LOOK)
    try:
        await store.verify(verification)
    finally:
        looking.stop()
    look(ended=True)
    return verification


def _selections(given: argparse.Namespace) -> list[Selection]:
    older = None
    if given.older_than is not None:
        seconds = given.older_than + "s" if given.older_than.isdecimal() else given.older_than
        older = duration().read(seconds, At("--older-than", Path(), Path()))
    common = Selection(prefix=given.prefix, rule=given.rule, older_than=older, everything=given.all)
    if not given.what:
        if common.empty:
            raise Complaint("say which: URLs, --prefix, --rule, --older-than or --all")
        return [common]
    service = linked(given)
    return [
        Selection(url=own_path(url, service), rule=given.rule, older_than=older)
        for url in given.what
    ]


def _words(selection: Selection) -> dict[str, Any]:
    words = {
        "url": selection.url,
        "prefix": selection.prefix,
        "rule": selection.rule,
        "older_than": selection.older_than,
        "everything": selection.everything or None,
    }
    return {key: value for key, value in words.items() if value not in (None, "")}


def _meant(work: Callable[[], T]) -> T:
    try:
        return work()
    except BadSelection as bad:
        raise Complaint(str(bad)) from None
