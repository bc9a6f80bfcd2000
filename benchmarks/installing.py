"""What the mirror is for: the installation of a set of packages over a slow network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aimirror.testing.pypi import SimpleIndex, wheel
from benchmarks.lab import MB, Lab
from benchmarks.results import Result, find
from benchmarks.throttled import NETWORK

#: Packages of the set as (how many, bytes of each): many small ones, and a few that matter.
SET = ((140, 60_000), (6, 4_000_000), (2, 24_000_000))
CASE = f"uv installs {sum(count for count, _ in SET)} packages"
#: The environment that the clients' tests use, where there is one.
CLIENT = Path(__file__).resolve().parent.parent / ".venv-clients/uv/bin/uv"
#: Seconds that the slowest way may take.
PATIENCE = 180.0


def install(lab: Lab) -> Iterator[Result]:
    """148 packages by uv, 1 MB/s per connection, 30 ms: direct, cold, again."""
    uv = str(CLIENT) if CLIENT.exists() else find("uv")
    if uv is None:
        yield Result(case=CASE, who="uv", note="not installed")
        return
    index = SimpleIndex(life="max-age=600")
    index.start()
    files = lab.relay(index.files.port, **NETWORK)
    index.files_url = f"http://127.0.0.1:{files.port}"
    pages = lab.relay(index.pages.port, **NETWORK)
    names = _publish(index)
    upstream = f"http://127.0.0.1:{pages.port}"
    service = lab.service(_rules(upstream, index.files_url))
    mirror = f"http://127.0.0.1:{service.port}"
    try:
        for who, base in (
            ("uv, direct", upstream),
            ("uv, aimirror cold", mirror),
            ("uv, aimirror again", mirror),
        ):
            files.passed(restart=True)
            seconds = _installed(lab, uv, f"{base}/simple", names)
            lab.settle(service)
            fetched = files.passed()["to_clients"] / MB
            size = sum(count * bytes_ for count, bytes_ in SET)
            yield Result(
                case=CASE,
                who=who,
                seconds=seconds,
                speed=size / MB / seconds,
                note=f"{fetched:.0f} MB of files from upstream",
            )
    finally:
        index.stop()


def _publish(index: SimpleIndex) -> list[str]:
    names = []
    for count, size in SET:
        for number in range(count):
            names.append(f"set{size}x{number}")
            index.add(wheel(names[-1], "1.0", size=size))
    return names


def _rules(pages: str, files: str) -> list[dict[str, object]]:
    shared = {"ecosystem": "pypi", "concurrency": 20, "chunk_size": 0}
    return [
        {
            "name": "metadata",
            "pattern": r"^/packages/.+\.metadata$",
            "upstream": files,
            "strategy": "proxy",
            **shared,
        },
        {
            "name": "files",
            "pattern": "^/packages/",
            "upstream": files,
            "strategy": "parallel",
            "immutable": True,
            **shared,
        },
        {
            "name": "index",
            "pattern": "^/simple/",
            "upstream": pages,
            "strategy": "proxy",
            "content_rewrite": {},
            **shared,
        },
    ]


def _installed(lab: Lab, uv: str, index: str, names: list[str]) -> float:
    """Seconds that uv takes for all of it, into an empty folder."""
    place = lab.fresh("installed")
    began = time.monotonic()
    subprocess.run(
        [
            *(uv, "pip", "install", "--quiet", "--no-cache", "--no-config"),
            *("--index-url", index, "--python", sys.executable, "--target", str(place), *names),
        ],
        check=True,
        timeout=PATIENCE,
    )
    seconds = time.monotonic() - began
    shutil.rmtree(place)
    return seconds
