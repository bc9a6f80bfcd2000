"""Many different small files, as an install of packages asks for them: each one once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from aimirror.testing.processes import Program
from benchmarks.lab import KB, MB, Lab, Missing
from benchmarks.results import Result

ASKER = Path(__file__).with_name("asker.py")
COUNT = 10_000
CLIENTS = 32
#: Bytes: sizes of files by turns, 14 kB in the mean, as packages of npm are spread.
SIZES = (1_000, 2_000, 3_000, 5_000, 8_000, 12_000, 21_000, 60_000)
COLD_BAR = "bars: 0.25 of nginx, 1.2 ms"
WARM_BAR = "bars: 10000/s, 0.1 ms"


def files(lab: Lab, count: int = COUNT) -> Path:
    """A list of the paths of so many files, all of which the origins have."""
    paths = [lab.file(SIZES[n % len(SIZES)], n) for n in range(count)]
    place = lab.fresh("distinct") / "paths"
    place.write_text("\n".join(paths), "utf-8")
    return place


def ask(lab: Lab, case: str, who: str, paths: Path, port: int, *programs: Program) -> Result:
    """Ask a server for each file once: requests a second, and CPU of all its processes."""
    command = [sys.executable, "-I", str(ASKER), f"--port={port}", f"--clients={CLIENTS}"]
    with lab.usage(*programs) as used:
        ended = subprocess.run([*command, str(paths)], capture_output=True, text=True, check=True)
    seen = json.loads(ended.stdout)
    each = used.cpu / seen["requests"] * KB
    failed = f", {seen['failures']} FAILED" if seen["failures"] else ""
    return Result(
        case=case,
        who=who,
        seconds=seen["seconds"],
        requests=seen["requests"] / seen["seconds"],
        speed=seen["bytes"] / MB / seen["seconds"],
        memory=used.private / MB,
        note=f"{each:.3f} CPU ms each{failed}",
    )


def distinct(lab: Lab, count: int = COUNT) -> Iterator[Result]:
    """10,000 different small files: cold, then each for the first time from the cache."""
    paths = files(lab, count)
    upstream = f"http://127.0.0.1:{lab.origin()}"
    servers: list[tuple[str, Program, int]] = []
    try:
        servers.append(("nginx proxy_cache", *lab.proxy_cache(upstream)))
    except Missing:
        yield Result(case="distinct", who="nginx proxy_cache", note="not installed")
    for strategy in ("parallel", "proxy"):
        service = lab.aimirror(upstream, strategy=strategy)
        servers.append((f"aimirror, {strategy}", service.program, service.port))
    for case in ("cold", "again"):
        for who, program, port in servers:
            name = f"{count} small files, {case}"
            yield ask(lab, name, who, paths, port, program)
