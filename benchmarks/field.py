"""What the field does to one file: ranges in parallel, hosts that limit themselves, no storing."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator

from aimirror.testing.processes import Program, RelayProgram
from benchmarks.lab import MB, Lab, Missing
from benchmarks.results import Result
from benchmarks.throttled import CONNECTIONS, NETWORK, RATE, ROUND_TRIP

RANGED_SIZE = 40_000_000

HOST_RATE = 3_000_000
HOST_SIZE = 40_000_000
HOSTS = (1, 2, 3)

UNSTORED_SIZE = 16_000_000
UNSTORED_RATE = 2_000_000


def ranges(lab: Lab) -> Iterator[Result]:
    """40 MB, cold, at 1 MB/s per connection, asked as one stream and in 8 and 32 ranges."""
    case = "40 MB, cold, in ranges"
    path = lab.file(RANGED_SIZE)
    origin, port = lab.static()
    relay = lab.relay(port, **NETWORK)
    whole = 0.0
    for clients in (1, 8, 32):
        service = lab.aimirror(f"http://127.0.0.1:{relay.port}")
        before = _asked(origin)
        relay.passed(restart=True)
        seconds = _in_ranges(service.port, path, RANGED_SIZE, clients)
        lab.settle(service)
        whole = whole or seconds
        upstream = relay.passed()["to_clients"] / RANGED_SIZE
        note = f"{_asked(origin) - before} requests, upstream {upstream:.2f}x"
        yield Result(
            case=case,
            who=f"aimirror, {clients} range{'s' if clients > 1 else ''}",
            seconds=seconds,
            ratio=seconds / (RANGED_SIZE / (CONNECTIONS * RATE) + 2 * ROUND_TRIP),
            note=f"{note}, {seconds / whole:.2f} of one stream, bars: 1.5x the requests, 1.15",
        )
        service.program.kill()


def mirrors(lab: Lab) -> Iterator[Result]:
    """40 MB from 1, 2 and 3 upstreams, each of which gives 3 MB/s in all."""
    path = lab.file(HOST_SIZE)
    port = lab.origin()
    for hosts in HOSTS:
        ideal = HOST_SIZE / (hosts * HOST_RATE) + 2 * ROUND_TRIP
        relays = [lab.relay(port, host_rate=HOST_RATE, round_trip=ROUND_TRIP) for _ in range(hosts)]
        case = f"40 MB from {hosts} host{'s' if hosts > 1 else ''} of 3 MB/s"
        yield _by_aria2(lab, case, relays, path, ideal)
        upstreams = [f"http://127.0.0.1:{relay.port}" for relay in relays]
        service = lab.aimirror(upstreams)
        seen = lab.drain(service.port, path)
        yield Result(
            case=case,
            who="aimirror cold",
            seconds=seen.slowest,
            ratio=seen.slowest / ideal,
            speed=HOST_SIZE / MB / seen.slowest,
            note="bar: 1.15" + (f", {seen.failures} FAILED" if seen.failures else ""),
        )
        service.program.kill()


def _by_aria2(lab: Lab, case: str, relays: list[RelayProgram], path: str, ideal: float) -> Result:
    urls = [f"http://127.0.0.1:{relay.port}{path}" for relay in relays]
    folder = lab.fresh("tools")
    try:
        seconds = lab.command("aria2c", "-q", "-x6", "-s20", "-k1M", f"--dir={folder}", *urls)
    except Missing:
        return Result(case=case, who="aria2c", note="not installed")
    if seconds is None:
        return Result(case=case, who="aria2c -x6", note="does not end")
    return Result(
        case=case,
        who="aria2c -x6",
        seconds=seconds,
        ratio=seconds / ideal,
        speed=HOST_SIZE / MB / seconds,
    )


def unstored(lab: Lab) -> Iterator[Result]:
    """16 MB that may not be stored, at 2 MB/s per connection, beside the same that may."""
    path = lab.file(UNSTORED_SIZE)
    ideal = UNSTORED_SIZE / (CONNECTIONS * UNSTORED_RATE) + 2 * ROUND_TRIP
    for control in ("max-age=3600", "private, max-age=3600", "no-store"):
        _, port = lab.nginx(
            f"server {{ listen 127.0.0.1:@port@; root {lab.files};"
            f' location / {{ add_header Cache-Control "{control}"; }} }}'
        )
        relay = lab.relay(port, rate=UNSTORED_RATE, round_trip=ROUND_TRIP)
        service = lab.aimirror(f"http://127.0.0.1:{relay.port}")
        relay.passed(restart=True)
        seen = lab.drain(service.port, path)
        lab.settle(service)
        upstream = relay.passed()["to_clients"] / UNSTORED_SIZE
        yield Result(
            case=f"16 MB, {control.partition(',')[0]}",
            who="aimirror cold",
            seconds=seen.slowest,
            ratio=seen.slowest / ideal,
            speed=UNSTORED_SIZE / MB / seen.slowest,
            note=f"upstream {upstream:.2f}x" + (", FAILED" if seen.failures else ""),
        )
        service.program.kill()


def _asked(origin: Program) -> int:
    """Requests in the access log of an nginx."""
    return len((origin.log.parent / "access.log").read_bytes().splitlines())


def _in_ranges(port: int, path: str, size: int, clients: int) -> float:
    """Seconds in which so many clients, a range each, have all of a file."""
    step = -(-size // clients)
    failures: list[str] = []

    def fetch(start: int) -> None:
        stop = min(start + step, size)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Range": f"bytes={start}-{stop - 1}"} if clients > 1 else {}
        connection.request("GET", path, headers=headers)
        left = stop - start
        response = connection.getresponse()
        while data := response.read(1 << 18):
            left -= len(data)
        if left:
            failures.append(f"{left} bytes of {start}-{stop} are missing")

    began = time.monotonic()
    threads = [threading.Thread(target=fetch, args=(start,)) for start in range(0, size, step)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise RuntimeError(failures[0])
    return time.monotonic() - began
