"""``aimirror drain``: take a node out before it is stopped."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from threading import Event

from aimirror.commands.common import Commands, Complaint
from aimirror.commands.link import add_link, online
from aimirror.commands.words import counted
from aimirror.config.scalars import duration
from aimirror.config.schema import At

#: Seconds between two looks, and until balancers have noticed: they look every second or two.
LOOK = 0.5
NOTICED = 5.0


def add(commands: Commands) -> None:
    """The parser of this command."""
    parser = commands.add_parser("drain")
    add_link(parser)
    parser.add_argument("--wait", metavar="TIME", default="10m", help="at most so long (10m)")
    parser.add_argument("--undo", action="store_true", help="take requests again")
    parser.set_defaults(run=drain)


def drain(given: argparse.Namespace) -> int:
    """Have balancers leave the node out, and wait until nothing is answered any more."""
    link = online(given)[0]
    link.post("drain", on=not given.undo)
    if given.undo:
        print("takes requests again")
        return 0
    began, pause = time.monotonic(), Event()
    until = began + duration().read(given.wait, At("--wait", Path(), Path()))
    while True:
        answering = link.get("drain")["answering"]
        now = time.monotonic()
        if not answering and now >= min(until, began + NOTICED):
            print("drained: nothing is answered any more, it can be stopped")
            return 0
        if now >= until:
            raise Complaint(f"{counted(answering, 'answer')} still running")
        pause.wait(LOOK)
