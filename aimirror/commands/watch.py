"""``aimirror status`` and ``aimirror top``: what the service does."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import TYPE_CHECKING, Any

from aimirror.commands.common import Complaint
from aimirror.commands.link import NotRunning, add_link, linked, online
from aimirror.commands.words import bar, ending, size, span, strip

if TYPE_CHECKING:
    from aimirror.commands.common import Commands

#: Columns where the terminal does not tell.
_COLUMNS = 100


def add(commands: Commands) -> None:
    """The parsers of these commands."""
    status = commands.add_parser("status", help="say how the service is")
    add_link(status)
    status.add_argument("--json", action="store_true", help="all of it, as JSON")
    status.set_defaults(run=show_status)
    top = commands.add_parser("top", help="watch downloads as they run (ctrl-c ends it)")
    add_link(top)
    top.set_defaults(run=show_top)


def show_status(given: argparse.Namespace) -> int:
    """Print it; status 3 when no service runs."""
    link, _ = linked(given)
    try:
        told = link.get("overview")
    except NotRunning as error:
        print(f"not running: {error}")
        return 3
    print(json.dumps(told, indent=1) if given.json else "\n".join([link.url, *_lines(told)]))
    return 0


def show_top(given: argparse.Namespace) -> int:
    """Redraw once a second until ctrl-c."""
    link = online(given)
    before: dict[int, tuple[float, int]] = {}
    try:
        print("\x1b[?1049h", end="")
        for told in link.events():
            columns = shutil.get_terminal_size((_COLUMNS, 24)).columns
            lines = [*_lines(told), "", *_downloads(told, before, columns)]
            shown = "\n".join(f"{line[:columns]}\x1b[K" for line in lines)
            print(f"\x1b[H{shown}\x1b[J", end="", flush=True)
            before = {d["id"]: (told["time"], d["written"]) for d in told["downloads"]}
    except KeyboardInterrupt:
        return 0
    finally:
        print("\x1b[?1049l", end="", flush=True)
    raise Complaint("the service has ended")


def _lines(told: dict[str, Any]) -> list[str]:
    totals, cache = told["totals"], told["cache"]
    asked = totals["hits"] + totals["misses"]
    rate = f"{100 * totals['hits'] / asked:.0f} %" if asked else "none yet"
    ready = sum(worker["state"] == "ready" for worker in told["workers"])
    lines = [
        f"aimirror {told['version']}, up {span(told['uptime'])}, {told['clients']} connections",
        f"hits       {rate} ({totals['hits']} of {asked}), {size(totals['saved'])} saved",
        f"sent       {size(totals['served'])}, fetched {size(totals['fetched'])}",
        f"cache      {bar(cache['bytes'], cache['limit'], 20)} {size(cache['bytes'])}"
        f" of {size(cache['limit'])}, {cache['entries']} entries",
        f"workers    {ready} of {len(told['workers'])} ready, {told['queued']} pieces wait",
        f"downloads  {len(told['downloads'])} running",
    ]
    for host in told["upstreams"]:
        if host["shunned"]:
            lines.append(
                f"upstream   {host['host']} failed, asked last for {span(host['shunned'])}"
            )
    return lines


def _downloads(
    told: dict[str, Any], before: dict[int, tuple[float, int]], columns: int
) -> list[str]:
    lines = []
    for each in told["downloads"]:
        at, written = before.get(each["id"], (told["time"] - 1, each["written"]))
        rate = (each["written"] - written) / max(0.1, told["time"] - at)
        total = each["total"]
        share = f"{100 * each['written'] / total:3.0f} %" if total else "    "
        facts = f"{share} {size(total):>8} {size(rate):>8}/s {each['readers']:>3} readers"
        known = f"{strip(each['spans'], total)} {facts}  "
        lines.append(known + ending(each["url"], columns - len(known)))
    return lines
