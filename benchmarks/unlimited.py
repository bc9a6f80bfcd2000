"""Cold files without limits, and stored ones: what a byte and a request cost."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
from collections.abc import Iterator

from attrs import define, field

from aimirror.testing.processes import Program
from benchmarks.lab import GB, KB, MB, Drained, Lab, Missing, Usage
from benchmarks.results import Result, find

SIZE = 512_000_000
PAGE = 20_000
SMALL_FILE = 200_000
COLD_RUNS = 3
HIT_RUNS = 5
HIT_BAR = "bars: 0.9 of nginx's MB/s, 1.3 of its CPU"
#: Seconds and connections of a wrk run.
WRK_SECONDS = 4
WRK_CONNECTIONS = 32
#: Has wrk send another User-Agent with each request.
AGENTS = """
local n = 0
request = function()
  n = n + 1
  wrk.headers["User-Agent"] = "client/" .. n
  return wrk.format()
end
"""


@define
class Flow:
    """The runs of one server in one case; medians, as single runs vary by a third."""

    case: str
    who: str
    note: str = ""
    speeds: list[float] = field(factory=list)
    firsts: list[float] = field(factory=list)
    costs: list[float] = field(factory=list)
    memory: int = 0
    failed: int = 0

    def add(self, seen: Drained, used: Usage, size: int) -> None:
        """One run, of which the clients should have got ``size`` bytes."""
        self.speeds.append(seen.bytes / seen.slowest)
        self.firsts.append(seen.first)
        self.costs.append(used.cpu / (size / GB))
        self.memory = max(self.memory, used.private)
        self.failed += seen.failures > 0 or seen.bytes != size

    def result(self, size: int) -> Result:
        """The line of the table for answers of ``size`` bytes in all."""
        speed = statistics.median(self.speeds)
        failed = f"{self.failed} of {len(self.speeds)} FAILED " if self.failed else ""
        return Result(
            case=self.case,
            who=self.who,
            seconds=size / speed,
            first=statistics.median(self.firsts) * KB,
            speed=speed / MB,
            cpu=statistics.median(self.costs),
            memory=self.memory / MB,
            note=failed + self.note,
        )


def _curl(lab: Lab, case: str, url: str) -> Result:
    binary = find("curl")
    if binary is None:
        return Result(case=case, who="curl, direct", note="not installed")
    arguments = [
        binary,
        "-sSk",
        "-o",
        "/dev/null",
        "-w",
        "%{time_starttransfer} %{time_total}",
        url,
    ]
    said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
    return Result(
        case=case,
        who="curl, direct",
        seconds=float(said[1]),
        first=float(said[0]) * KB,
        speed=SIZE / MB / float(said[1]),
    )


def _cold(lab: Lab, case: str, tls: bool, bar: str) -> Iterator[Result]:
    path = lab.file(SIZE)
    upstream = f"http{'s' if tls else ''}://127.0.0.1:{lab.origin(tls)}"
    yield _curl(lab, case, upstream + path)
    service = lab.aimirror(upstream)
    servers = [(Flow(case, "aimirror cold", bar), service.program, service.port)]
    try:
        program, port = lab.proxy_cache(upstream)
    except Missing:
        yield Result(case=case, who="nginx proxy_cache", note="not installed")
    else:
        servers.insert(0, (Flow(case, "nginx proxy_cache"), program, port))
    for _, _, port in servers:
        lab.drain(port, lab.file(PAGE))
    for run in range(COLD_RUNS):
        for flow, program, port in servers:
            with lab.usage(program) as used:
                seen = lab.drain(port, f"{path}?run={run}")
                lab.settle(service)
            flow.add(seen, used, SIZE)
    for flow, _, _ in servers:
        yield flow.result(SIZE)


def plain(lab: Lab) -> Iterator[Result]:
    """512 MB, cold, no limits."""
    yield from _cold(lab, "cold 512 MB", False, "bars: as nginx, 1.2 s/GB, +64 MB")


def tls(lab: Lab) -> Iterator[Result]:
    """512 MB, cold, no limits, upstream over TLS."""
    yield from _cold(lab, "cold 512 MB, TLS", True, "bars: as nginx, 2.0 s/GB, +64 MB")


def _served(lab: Lab, *paths: str) -> list[tuple[str, Program, int]]:
    """nginx with the files where it is installed, and aimirror with these stored."""
    servers = []
    with contextlib.suppress(Missing):
        servers.append(("nginx static", *lab.static()))
    service = lab.aimirror(f"http://127.0.0.1:{lab.origin()}")
    for path in paths:
        lab.drain(service.port, path)
        lab.settle(service)
    return [*servers, ("aimirror hit", service.program, service.port)]


def hit(lab: Lab) -> Iterator[Result]:
    """512 MB from the cache to one and to eight clients."""
    path = lab.file(SIZE)
    servers = _served(lab, path)
    for clients in (1, 8):
        case = f"hit 512 MB, {clients} client{'s' if clients > 1 else ''}"
        flows = [Flow(case, who, HIT_BAR if "aim" in who else "") for who, _, _ in servers]
        for _ in range(HIT_RUNS):
            for flow, (_, program, port) in zip(flows, servers, strict=True):
                with lab.usage(program) as used:
                    seen = lab.drain(port, path, clients=clients)
                flow.add(seen, used, SIZE * clients)
        for flow in flows:
            yield flow.result(SIZE * clients)


def small(lab: Lab) -> Iterator[Result]:
    """Requests for a 20 KB page and a 200 KB file, with access logs."""
    paths = {PAGE: lab.file(PAGE), SMALL_FILE: lab.file(SMALL_FILE)}
    agents = lab.fresh("wrk") / "agents.lua"
    agents.write_text(AGENTS, "utf-8")
    cases = (
        (f"hit {PAGE // 1000} KB", PAGE, []),
        (f"hit {PAGE // 1000} KB, each by another agent", PAGE, ["-s", str(agents)]),
        (f"hit {SMALL_FILE // 1000} KB", SMALL_FILE, []),
    )
    binary = find("wrk")
    if binary is None:
        yield Result(case="hit 20 KB", who="wrk", note="not installed")
        return
    for who, program, port in _served(lab, *paths.values()):
        for case, size, more in cases:
            url = f"http://127.0.0.1:{port}{paths[size]}"
            command = [binary, "-t1", f"-c{WRK_CONNECTIONS}", f"-d{WRK_SECONDS}s", *more, url]
            with lab.usage(program) as used:
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            rate = re.search(r"Requests/sec:\s*([\d.]+)", said)
            bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
            requests = float(rate[1]) if rate else 0.0
            cost = used.cpu / (requests * WRK_SECONDS) * 1e3 if requests else 0.0
            bar = ", bar: half of nginx" if "aim" in who else ""
            yield Result(
                case=case,
                who=who,
                requests=requests,
                speed=requests * size / MB,
                memory=used.private / MB,
                note=f"{cost:.3f} CPU ms each{bar}" + (f", {bad[1]} FAILED" if bad else ""),
            )
