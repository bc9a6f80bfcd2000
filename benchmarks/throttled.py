"""Cold files behind a network that limits each connection."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from aimirror.testing.processes import RelayProgram
from benchmarks.lab import GB, KB, MB, Lab, Missing
from benchmarks.results import Result

RATE = 1_000_000
ROUND_TRIP = 0.03
CONNECTIONS = 20
SIZE = 64_000_000
#: A single connection is measured on this much and computed for the rest.
SAMPLE = 4_000_000
RUNS = 3

NETWORK = {"rate": RATE, "round_trip": ROUND_TRIP}
IDEAL = SIZE / (CONNECTIONS * RATE) + 2 * ROUND_TRIP

#: A tool that is not done by then counts as not ending.
PATIENCE = 10 * IDEAL


def tools(lab: Lab, case: str, relay: RelayProgram) -> Iterator[Result]:
    """The downloaders of the field."""
    url = f"http://127.0.0.1:{relay.port}{lab.file(SIZE)}"
    folder = str(lab.fresh("tools"))
    plain = ["-q", "-x16", "-s16", "-k1M", "--allow-overwrite=true", f"--dir={folder}"]
    for who, tool, arguments in (
        ("axel -n20", "axel", ["-q", "-n20", "-o", f"{folder}/axel", url]),
        ("aria2c -x16 -s16", "aria2c", [*plain, "-oone", url]),
        (
            "aria2c, lowest-speed-limit",
            "aria2c",
            [*plain, "-otwo", "--lowest-speed-limit=200K", "--max-tries=0", url],
        ),
    ):
        if case == "throttled" and "lowest" in who:
            continue
        try:
            seconds = lab.command(tool, *arguments, limit=PATIENCE)
        except Missing:
            yield Result(case=case, who=who, note="not installed")
            continue
        if seconds is None:
            yield Result(case=case, who=who, note=f"not over after {PATIENCE:.0f} s")
        else:
            yield Result(
                case=case,
                who=who,
                seconds=seconds,
                ratio=seconds / IDEAL,
                speed=SIZE / MB / seconds,
            )


def aimirror(lab: Lab, case: str, relay: RelayProgram, note: str) -> Result:
    """The median of several cold runs, each by a service that has no connection yet."""
    taken, first, sent, cpu, memory, failures = [], [], [], 0.0, 0, 0
    for _ in range(RUNS):
        service = lab.aimirror(f"http://127.0.0.1:{relay.port}")
        relay.passed(restart=True)
        with lab.usage(service.program) as used:
            seen = lab.drain(service.port, lab.file(SIZE), limit=PATIENCE)
            lab.settle(service)
        service.program.kill()
        sent.append(relay.passed()["to_clients"] / SIZE)
        taken.append(seen.slowest)
        first.append(seen.first)
        cpu += used.cpu / RUNS
        memory = max(memory, used.private)
        failures += seen.failures
    seconds = statistics.median(taken)
    said = [f"runs {min(taken):.2f}-{max(taken):.2f} s", f"upstream {max(sent):.2f}x", note]
    if failures:
        said.insert(0, f"{failures} of {RUNS} FAILED")
    return Result(
        case=case,
        who="aimirror cold",
        seconds=seconds,
        ratio=seconds / IDEAL,
        first=statistics.median(first) * KB,
        speed=SIZE / MB / seconds,
        cpu=cpu / (SIZE / GB),
        memory=memory / MB,
        note=", ".join(said),
    )


def throttled(lab: Lab) -> Iterator[Result]:
    """64 MB, 1 MB/s per connection, 30 ms."""
    lab.file(SIZE)
    sample = lab.file(SAMPLE)
    relay = lab.relay(lab.origin(), **NETWORK)
    seen = lab.drain(relay.port, sample)
    seconds = seen.first + (seen.slowest - seen.first) * SIZE / SAMPLE
    yield Result(
        case="throttled",
        who="one connection",
        seconds=seconds,
        ratio=seconds / IDEAL,
        first=seen.first * KB,
        speed=SIZE / MB / seconds,
        note=f"computed from {SAMPLE / MB:.0f} MB",
    )
    yield from tools(lab, "throttled", relay)
    yield aimirror(lab, "throttled", relay, "bars: 1.05, first byte + 30 ms")


def crawling(lab: Lab) -> Iterator[Result]:
    """The same, and every seventh connection crawls at 10 kB/s."""
    lab.file(SIZE)
    relay = lab.relay(lab.origin(), **NETWORK, crawl_every=7)
    yield from tools(lab, "crawling", relay)
    yield aimirror(lab, "crawling", relay, "bar: 1.25-1.6")


def dead(lab: Lab) -> Iterator[Result]:
    """The same, and every seventh connection falls silent after 16 kB."""
    lab.file(SIZE)
    relay = lab.relay(lab.origin(), **NETWORK, die_every=7)
    yield from tools(lab, "dead", relay)
    yield aimirror(lab, "dead", relay, "bar: 1.25-1.6")
