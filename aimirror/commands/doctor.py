"""``aimirror doctor``: what is wrong with this mirror and this machine, each with its remedy."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from aimirror.commands.common import Commands, Complaint
from aimirror.commands.findings import Finding, of_client
from aimirror.commands.link import Link, NotRunning, add_link, linked, run_to_end
from aimirror.commands.machine import own_url
from aimirror.commands.reaching import Reached, reach
from aimirror.commands.words import counted, size, span
from aimirror.config import Config
from aimirror.config.offers import moved, offered
from aimirror.service.checking import warned
from aimirror.settings.setting import Address

#: Clients that are looked at where they are installed.
LOOKED_AT = ("pip", "uv", "docker", "huggingface", "npm", "conda", "r", "maven", "go", "cargo")
#: Seconds by which a clock may be wrong: certificates and signed URLs last longer than that.
MOST_AHEAD = 60.0
#: Upstreams that one line names.
_NAMED = 5
#: Free bytes below which a cache keeps little.
LEAST_FREE = 1 << 30


def add(commands: Commands) -> None:
    """The parser of this command."""
    parser = commands.add_parser("doctor")
    add_link(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print what was found; status 1 when something fails."""
    link, config = linked(given)
    failed = 0
    for finding in findings(link, config, given.url):
        print(finding.line(), flush=True)
        failed += finding.mark == "FAIL"
    return 1 if failed else 0


def findings(link: Link, config: Config, url: str | None) -> Iterator[Finding]:
    """All that is looked at, one after the other."""
    running = _service(link)
    yield running
    yield from _configuration(config)
    answers = _asked_upstreams(config)
    yield from of_upstreams(answers)
    yield of_clock([each.ahead for each in answers if each.ahead is not None])
    yield of_room(config.cache.dir, config.cache.max_bytes, _used(link))
    mirror = Address(url.rstrip("/") if url else own_url(config), moved(config.rules))
    for client in LOOKED_AT:
        if client in offered(config.rules):
            yield from of_client(client, mirror, up=running.mark == "ok")


def _service(link: Link) -> Finding:
    try:
        status = link.get("overview")
    except NotRunning:
        remedy = "start it: aimirror, or systemctl start aimirror; --url names one elsewhere"
        return Finding("FAIL", "service", f"nothing listens on {link.url}", remedy)
    except Complaint as error:
        return Finding("FAIL", "service", str(error), "admin.token, or another service's --url?")
    up = f"{link.url}, version {status['version']}, up {span(status['uptime'])}"
    ready = sum(worker["state"] == "ready" for worker in status["workers"])
    if not ready:
        return Finding("FAIL", "service", f"{up}, but no worker is ready", "its log says why")
    return Finding("ok", "service", f"{up}, {counted(ready, 'worker')}")


def _used(link: Link) -> int | None:
    """The bytes that the service has stored on this machine's disk; None when it does not run."""
    try:
        stored: int = link.get("overview")["cache"]["bytes"]
    except (NotRunning, Complaint, KeyError):
        return None
    return stored


def _configuration(config: Config) -> Iterator[Finding]:
    for warning in warned(config):
        yield Finding("warn", "rules", warning, f"change {config.source}")
    clients = ", ".join(offered(config.rules)) or "no client that is known"
    count = counted(len(config.rules), "rule")
    yield Finding("ok", "rules", f"{config.source}: {count}, for {clients}")


def of_upstreams(answers: list[Reached]) -> Iterator[Finding]:
    """What fails, upstreams with the same fault together, and how many answer."""
    alike: dict[tuple[str, str], list[str]] = {}
    for each in answers:
        if each.problem:
            host = each.origin.partition("://")[2]
            fault = each.problem.replace(f": {host}", "").replace(host, "the host")
            alike.setdefault((each.proxy, fault), []).append(host)
    for (proxy, fault), hosts in alike.items():
        more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
        way = f" by the proxy {proxy}" if proxy else ""
        remedy = (
            f"is the proxy {proxy} right (server.upstream_proxy)?"
            if proxy
            else "no way out? A proxy goes into server.upstream_proxy; drop rules nobody needs"
        )
        yield Finding(
            "warn", "upstream", f"{', '.join(hosts[:_NAMED])}{more}{way}: {fault}", remedy
        )
    good = [each for each in answers if not each.problem]
    ways = sorted({f"by {each.proxy}" if each.proxy else "directly" for each in good})
    mark = "ok" if good or not answers else "FAIL"
    verb = "answers" if len(good) == 1 else "answer"
    text = f"{len(good)} of {counted(len(answers), 'upstream')} {verb}"
    yield Finding(mark, "upstream", text + (f", {' and '.join(ways)}" if ways else ""))


def of_clock(ahead: list[float]) -> Finding:
    """Whether this machine's clock agrees with those of the upstreams."""
    if not ahead:
        return Finding("warn", "clock", "no upstream told its time")
    wrong = -median(ahead)
    if abs(wrong) <= MOST_AHEAD:
        return Finding("ok", "clock", "agrees with the upstreams'")
    word = "ahead" if wrong > 0 else "behind"
    remedy = "certificates and tokens may be refused: timedatectl set-ntp true"
    return Finding("FAIL", "clock", f"{span(abs(wrong))} {word} of the upstreams'", remedy)


def of_room(folder: Path, limit: int, used: int | None) -> Finding:
    """Whether the cache has room on its disk; ``used`` bytes are its own already."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    disk = shutil.disk_usage(there)
    text = f"{size(disk.free)} free for {folder}, which may have {size(limit)}"
    if disk.free < LEAST_FREE:
        remedy = "make room, lower cache.max_size_gb, or put cache.dir on another disk"
        return Finding("FAIL", "room", text, remedy)
    if used is not None and disk.free + used < limit:
        most = size(disk.free + used)
        return Finding(
            "warn", "room", text, f"lower cache.max_size_gb, which can't exceed {most} here"
        )
    return Finding("ok", "room", text)


def _asked_upstreams(config: Config) -> list[Reached]:
    from twisted.internet import reactor as real

    reactor: Any = real
    return run_to_end(reactor, lambda: reach(config, reactor))
