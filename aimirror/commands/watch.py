"""``aimirror status`` and ``aimirror top``: what the service does."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import Any

from aimirror.commands.common import Commands, Complaint
from aimirror.commands.link import NotRunning, add_link, linked, online
from aimirror.commands.nodes import Node, lines, nodes
from aimirror.commands.words import bar, columns, counted, ending, fitted, size, span, strip

#: Columns where the terminal does not tell.
_COLUMNS = 100
#: What leads to a terminal's other screen, and back to what was there before.
_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


def add(commands: Commands) -> None:
    """The parsers of these commands."""
    status = commands.add_parser("status")
    add_link(status)
    status.add_argument("--json", action="store_true", help="all of it, as JSON")
    status.add_argument("--cluster", action="store_true", help="of all nodes")
    status.set_defaults(run=show_status)
    top = commands.add_parser("top")
    add_link(top)
    top.set_defaults(run=show_top)


def show_status(given: argparse.Namespace) -> int:
    """Print it; status 3 when no service runs, 1 when another node does not answer."""
    link, _ = linked(given)
    try:
        status = link.get("overview")
    except NotRunning as error:
        print(f"not running: {error}")
        return 3
    if given.cluster:
        return _show_cluster(given, nodes(link, status))
    if given.json:
        print(json.dumps(status, indent=1))
        return 0
    for line in (link.url, *_lines(status)):
        print(fitted(line, columns()))
    return 0


def _show_cluster(given: argparse.Namespace, asked: list[Node]) -> int:
    if given.json:
        answers = {each.name: each.overview or {"problem": each.problem} for each in asked}
        print(json.dumps(answers, indent=1))
    else:
        for line in lines(asked):
            print(fitted(line, columns()))
    return 0 if all(each.overview for each in asked) else 1


def show_top(given: argparse.Namespace) -> int:
    """Redraw once a second until q or ctrl-c; where there is no terminal, tell it once."""
    link, _ = online(given)
    if columns() is None or os.environ.get("TERM") == "dumb":
        status = next(link.events())
        print("\n".join([*_lines(status), "", *_downloads(status, {}, _COLUMNS)]))
        return 0
    before: dict[int, tuple[float, int]] = {}
    try:
        with _quit_by_key():
            print(_OTHER_SCREEN, end="")
            for status in link.events():
                _draw(status, before)
                before = {d["id"]: (status["time"], d["written"]) for d in status["downloads"]}
    except KeyboardInterrupt:
        return 0
    finally:
        print(_OWN_SCREEN, end="", flush=True)
    raise Complaint("the service has ended")


def _draw(status: dict[str, Any], before: dict[int, tuple[float, int]]) -> None:
    """One picture in as many lines and columns as there are."""
    width, height = columns() or _COLUMNS, shutil.get_terminal_size((_COLUMNS, 24)).lines
    lines = [*_lines(status), "", *_downloads(status, before, width)][: max(1, height - 1)]
    shown = "".join(f"{fitted(line, width)}\x1b[K\n" for line in (*lines, "q ends it"))
    print(f"\x1b[H{shown.rstrip(chr(10))}\x1b[J", end="", flush=True)


@contextlib.contextmanager
def _quit_by_key() -> Iterator[None]:
    """Have ``q`` be what ctrl-c is, and other keys nothing, while this lasts."""
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    threading.Thread(target=_read_keys, args=(number,), daemon=True).start()
    try:
        tty.setcbreak(number)
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _read_keys(number: int) -> None:
    while key := os.read(number, 1):
        if key in b"qQ":
            os.kill(os.getpid(), signal.SIGINT)


def _lines(status: dict[str, Any]) -> list[str]:
    totals, cache = status["totals"], status["cache"]
    asked = totals["hits"] + totals["misses"]
    rate = f"{100 * totals['hits'] / asked:.0f} %" if asked else "none yet"
    ready = sum(worker["state"] == "ready" for worker in status["workers"])
    clients, waiting = counted(status["clients"], "connection"), counted(status["queued"], "piece")
    lines = [
        f"aimirror {status['version']}, up {span(status['uptime'])}, {clients}",
        f"hits       {rate} ({totals['hits']} of {asked}), {size(totals['saved'])} saved",
        f"sent       {size(totals['served'])}, fetched {size(totals['fetched'])}",
        f"cache      {bar(cache['bytes'], cache['limit'], 20)} {size(cache['bytes'])}"
        f" of {size(cache['limit'])}, {counted(cache['entries'], 'entry')}",
        f"workers    {ready} of {len(status['workers'])} ready, {waiting} waiting",
        f"downloads  {len(status['downloads'])} running",
    ]
    for host in status["upstreams"]:
        if host["shunned"]:
            lines.append(
                f"upstream   {host['host']} failed, asked last for {span(host['shunned'])}"
            )
    return lines


def _downloads(
    status: dict[str, Any], before: dict[int, tuple[float, int]], columns: int
) -> list[str]:
    lines = []
    for each in status["downloads"]:
        at, written = before.get(each["id"], (status["time"] - 1, each["written"]))
        rate = (each["written"] - written) / max(0.1, status["time"] - at)
        total = each["total"]
        share = f"{100 * each['written'] / total:3.0f} %" if total else "    "
        readers = counted(each["readers"], "reader")
        facts = f"{share} {size(total):>8} {size(rate):>8}/s {readers:>10}"
        known = f"{strip(each['spans'], total, 30 if columns >= _COLUMNS else 8)} {facts}  "
        lines.append(known + ending(each["url"], columns - len(known)))
    return lines
