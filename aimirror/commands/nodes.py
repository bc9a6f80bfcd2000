"""``aimirror status --cluster``: all nodes, a line for each."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import frozen

from aimirror.commands.common import Complaint
from aimirror.commands.link import Link, NotRunning
from aimirror.commands.words import counted, size, span

#: Nodes that are asked at a time, and seconds for each.
AT_ONCE = 32
PATIENCE = 5.0
_HEAD = ("node", "version", "up", "hits", "sent", "fetched", "cache", "running", "tier")


@frozen
class Node:
    """What a node says of itself, or why it says nothing."""

    name: str
    overview: dict[str, Any] | None
    problem: str = ""


def nodes(link: Link, overview: dict[str, Any]) -> list[Node]:
    """Ask every node that the one behind ``link`` knows; raises Complaint when it knows none."""
    cluster = overview["behind"]["cluster"]
    if cluster is None:
        raise Complaint(f"{link.url} has no `cluster.peers`: it is one node")
    names = [each["node"] for each in cluster["nodes"]]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda name: _ask(link.at(name, PATIENCE), name), names))


def _ask(link: Link, name: str) -> Node:
    try:
        return Node(name, link.get("overview"))
    except (Complaint, NotRunning) as error:
        return Node(name, None, str(error).removeprefix(f"{link.url}: "))


def lines(asked: Iterable[Node]) -> list[str]:
    """A table, and a last line that counts."""
    asked = list(asked)
    answered = [(node.name, node.overview) for node in asked if node.overview is not None]
    rows = [_HEAD, *(_row(name, overview) for name, overview in answered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    silent = [f"{node.name}  no answer: {node.problem}" for node in asked if node.overview is None]
    return [*table, *silent, f"{len(answered)} of {counted(len(asked), 'node')}"]


def _row(name: str, overview: dict[str, Any]) -> tuple[str, ...]:
    totals, tier = overview["totals"], overview["behind"]["tier"]
    asked = totals["hits"] + totals["misses"]
    state = "-" if tier is None else tier["state"]
    if tier is not None and tier["waiting"]:
        state += f", {tier['waiting']} to send"
    return (
        name,
        overview["version"],
        span(overview["uptime"]),
        f"{100 * totals['hits'] / asked:.0f} %" if asked else "-",
        size(totals["served"]),
        size(totals["fetched"]),
        size(overview["cache"]["bytes"]),
        str(len(overview["downloads"])),
        state,
    )
