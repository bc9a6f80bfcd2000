"""Cold files without limits, and stored ones: what a byte and a request cost."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from aimirror.testing.processes import Program
from benchmarks.lab import GB, KB, MB, Lab, Missing, Usage
from benchmarks.results import Result, find

SIZE = 512_000_000
PAGE = 20_000
SMALL_FILE = 200_000
#: Seconds and connections of a wrk run.
WRK_SECONDS = 4
WRK_CONNECTIONS = 32


def _flow(case: str, who: str, seconds: float, sent: int, used: Usage, **more: float) -> Result:
    first, note = more.get("first"), more.get("note", "")
    return Result(
        case=case,
        who=who,
        seconds=seconds,
        first=None if first is None else first * KB,
        speed=sent / MB / seconds,
        cpu=used.cpu / (sent / GB),
        memory=used.private / MB,
        note=str(note),
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
    try:
        program, port = lab.proxy_cache(upstream)
    except Missing:
        yield Result(case=case, who="nginx proxy_cache", note="not installed")
    else:
        with lab.usage(program) as used:
            seen = lab.drain(port, path)
        yield _flow(case, "nginx proxy_cache", seen.slowest, seen.bytes, used, first=seen.first)
    service = lab.aimirror(upstream)
    lab.drain(service.port, lab.file(PAGE))
    with lab.usage(service.program) as used:
        seen = lab.drain(service.port, path)
        lab.settle(service)
    note = bar + (", FAILED" if seen.failures or seen.bytes != SIZE else "")
    note += f", PSS +{used.pss / MB:.0f} MB"
    yield _flow(case, "aimirror cold", seen.slowest, seen.bytes, used, first=seen.first, note=note)  # type: ignore[arg-type]


def plain(lab: Lab) -> Iterator[Result]:
    """512 MB, cold, no limits."""
    yield from _cold(lab, "cold 512 MB", False, "bars: as nginx, 1.2 s/GB, +64 MB")


def tls(lab: Lab) -> Iterator[Result]:
    """512 MB, cold, no limits, upstream over TLS."""
    yield from _cold(lab, "cold 512 MB, TLS", True, "bars: as nginx, 2.0 s/GB, +64 MB")


def _served(lab: Lab, *paths: str) -> Iterator[tuple[str, Program, int]]:
    """nginx with the files, and aimirror with these stored."""
    try:
        program, port = lab.static()
    except Missing:
        pass
    else:
        yield "nginx static", program, port
    service = lab.aimirror(f"http://127.0.0.1:{lab.origin()}")
    for path in paths:
        lab.drain(service.port, path)
        lab.settle(service)
    yield "aimirror hit", service.program, service.port


def hit(lab: Lab) -> Iterator[Result]:
    """512 MB from the cache to one and to eight clients."""
    path = lab.file(SIZE)
    for who, program, port in _served(lab, path):
        for clients in (1, 8):
            case = f"hit 512 MB, {clients} client{'s' if clients > 1 else ''}"
            with lab.usage(program) as used:
                seen = lab.drain(port, path, clients=clients)
            note = "bars: 0.9 of nginx's MB/s, 1.3 of its CPU" if "aim" in who else ""
            yield _flow(case, who, seen.slowest, seen.bytes, used, note=note)  # type: ignore[arg-type]


def small(lab: Lab) -> Iterator[Result]:
    """Requests for a 20 KB page and a 200 KB file, with access logs."""
    paths = {PAGE: lab.file(PAGE), SMALL_FILE: lab.file(SMALL_FILE)}
    binary = find("wrk")
    if binary is None:
        yield Result(case="hit 20 KB", who="wrk", note="not installed")
        return
    for who, program, port in _served(lab, *paths.values()):
        for size, path in paths.items():
            url = f"http://127.0.0.1:{port}{path}"
            command = [binary, "-t1", f"-c{WRK_CONNECTIONS}", f"-d{WRK_SECONDS}s", url]
            with lab.usage(program) as used:
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            rate = re.search(r"Requests/sec:\s*([\d.]+)", said)
            bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
            requests = float(rate[1]) if rate else 0.0
            cost = used.cpu / (requests * WRK_SECONDS) * 1e3 if requests else 0.0
            bar = ", bar: half of nginx" if "aim" in who else ""
            yield Result(
                case=f"hit {size // 1000} KB",
                who=who,
                requests=requests,
                speed=requests * size / MB,
                memory=used.private / MB,
                note=f"{cost:.3f} CPU ms each{bar}" + (f", {bad[1]} FAILED" if bad else ""),
            )
