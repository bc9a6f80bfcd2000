"""``aimirror jobs``: what the service works on, and how a command waits for it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from aimirror.commands.common import Commands
from aimirror.commands.link import Link, add_link, online
from aimirror.commands.words import columns, fitted, follow, size, span


def add(commands: Commands) -> None:
    """The parser of this command."""
    parser = commands.add_parser("jobs")
    add_link(parser)
    parser.add_argument("--cancel", type=int, metavar="ID", help="end a job")
    parser.add_argument("--follow", type=int, metavar="ID", help="show how far a job is")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """List jobs, the newest first; status 1 when there are none."""
    link, _ = online(given)
    if given.cancel is not None:
        job = link.post("cancel", id=given.cancel)
        print(f"job {job['id']} ({job['what']}): {job['state']}")
        return 0
    if given.follow is not None:
        ended = followed(link, given.follow)
        print(line(ended, time.time()))
        return 0 if ended["state"] == "done" else 1
    jobs, now = link.get("jobs")["jobs"], time.time()
    for job in jobs:
        print(fitted(line(job, now), columns()))
    return 0 if jobs else 1


def line(job: dict[str, Any], now: float) -> str:
    """One job in one line."""
    done = job["done"] if job["total"] is None else f"{job['done']}/{job['total']}"
    ago = span(now - (job["ended"] or job["started"]))
    when = f"{'ended' if job['ended'] else 'began'} {ago} ago"
    failed = f", {job['failed']} failed" if job["failed"] else ""
    facts = f"{job['id']:>4} {job['kind']:<9} {job['state']:<9} {done:>9} {size(job['bytes']):>8}"
    return f"{facts}  {when:<16} {job['what']}{failed} {job['message']}".rstrip()


def followed(link: Link, number: int) -> dict[str, Any]:
    """The last state of a job, whose progress is shown until then.

    At ctrl-c somebody at a terminal is asked whether it goes on without being watched; else it
    does.
    """

    def look() -> dict[str, Any]:
        job: dict[str, Any] = link.get("jobs", id=number)["jobs"][0]
        return job

    while True:
        try:
            return follow(look)
        except KeyboardInterrupt:
            if not _goes_on(number):
                link.post("cancel", id=number)
                raise


def _goes_on(number: int) -> bool:
    """Whether to watch on; raises KeyboardInterrupt when the job is left to itself."""
    left = f"job {number} goes on: aimirror jobs --follow {number}, or --cancel {number}"
    print(file=sys.stderr)
    if not sys.stdin.isatty():
        print(left, file=sys.stderr)
        raise KeyboardInterrupt
    try:
        answer = input(f"Job {number}: [w]atch on, leave it [r]unning, or [c]ancel it? [r] ")
    except EOFError:
        answer = ""
    if answer.strip().lower().startswith("w"):
        return True
    if answer.strip().lower().startswith("c"):
        return False
    print(left, file=sys.stderr)
    raise KeyboardInterrupt
