"""The headline: 148 packages through 0.9 MB/s a connection, by one uv and by five at once."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from aimirror.testing.processes import RelayProgram, ServiceProgram
from aimirror.testing.pypi import LONG_AGO, Wheel, wheel
from benchmarks.installing import CLIENT
from benchmarks.lab import MB, Lab
from benchmarks.many import CONNECTIONS_PER_HOST
from benchmarks.results import Result, find
from benchmarks.throttled import CONNECTIONS

RATE = 900_000
NETWORK = {"rate": RATE, "round_trip": 0.03}

#: Bytes of the wheels: many small ones, some of a few MB, and the large ones that decide.
LARGE = (105_000_000, 18_000_000, 18_000_000, 18_000_000)
SMALL = 144
TOTAL = 301_000_000

CASE = f"uv installs {SMALL + len(LARGE)} packages, {TOTAL / MB:.0f} MB"
CROWD = 5
#: Seconds that the slowest way may take.
PATIENCE = 240.0

_SERVER = """
    types {
        application/vnd.pypi.simple.v1+json json;
        text/html html; application/octet-stream whl; text/plain metadata;
    }
    server {
        listen 127.0.0.1:@port@ backlog=1024; root @files@; index @index@;
        location / { expires 10m; }
    }"""


def sizes() -> list[int]:
    """Bytes of each wheel, the same in each run."""
    draw = random.Random(3)
    drawn = [min(int(draw.lognormvariate(12.5, 1.4)), 12_000_000) for _ in range(SMALL)]
    scale = (TOTAL - sum(LARGE)) / sum(drawn)
    values = [max(3_000, int(size * scale)) for size in drawn] + list(LARGE)
    draw.shuffle(values)
    return values


def bound() -> float:
    """Seconds below which nobody can be: the largest file alone, or all of them together."""
    values = sizes()
    alone, together = max(values) / CONNECTIONS, sum(values) / CONNECTIONS_PER_HOST
    return max(alone, together) / RATE


def headline(lab: Lab) -> Iterator[Result]:
    """148 packages of 301 MB, 0.9 MB/s per connection: resolved, cold, again, five at once."""
    uv = str(CLIENT) if CLIENT.exists() else find("uv")
    if uv is None or find("nginx") is None:
        yield Result(case=CASE, who="uv", note="uv or nginx is not installed")
        return
    root = lab.fresh("index")
    names = _publish(root)
    relay = _index(lab, root, "index.json")
    alone = _resolved(lab, uv, f"http://127.0.0.1:{relay.port}", names)
    yield Result(case=CASE, who="uv alone, resolving", seconds=alone)
    service = _service(lab, relay)
    base = f"http://127.0.0.1:{service.port}"
    seconds = _resolved(lab, uv, base, names)
    note = f"{seconds / alone:.2f} of uv alone, bar: 1.3"
    yield Result(case=CASE, who="aimirror, resolving", seconds=seconds, note=note)
    service = _service(lab, relay)
    yield _row(lab, uv, relay, service, names, 1, "aimirror cold", "bar: 1.3")
    yield _row(lab, uv, relay, service, names, 1, "aimirror again", "")
    service = _service(lab, relay)
    yield _row(lab, uv, relay, service, names, CROWD, f"aimirror, {CROWD} at once", "bar: 1.6")
    # As uv then asks in any order, the largest file may be the last of all.
    relay = _index(lab, root, "index.html")
    service = _service(lab, relay)
    yield _row(lab, uv, relay, service, names, 1, "aimirror cold, HTML without sizes", "")


def _index(lab: Lab, root: Path, page: str) -> RelayProgram:
    _, port = lab.nginx(_SERVER.replace("@files@", str(root)).replace("@index@", page))
    return lab.relay(port, **NETWORK)


def _row(
    lab: Lab,
    uv: str,
    relay: RelayProgram,
    service: ServiceProgram,
    names: list[str],
    clients: int,
    who: str,
    bar: str,
) -> Result:
    base = f"http://127.0.0.1:{service.port}"
    relay.passed(restart=True)
    began = time.monotonic()
    with lab.usage(service.program) as used:
        threads = [
            threading.Thread(target=_installed, args=(lab, uv, base, names)) for _ in range(clients)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        seconds = time.monotonic() - began
        lab.settle(service)
    upstream = relay.passed()["to_clients"] / TOTAL
    return Result(
        case=CASE,
        who=who,
        seconds=seconds,
        ratio=seconds / bound(),
        speed=clients * TOTAL / MB / seconds,
        cpu=used.cpu / (clients * TOTAL / 1e9),
        note=", ".join(filter(None, [f"upstream {upstream:.2f}x", bar])),
    )


def _service(lab: Lab, relay: RelayProgram) -> ServiceProgram:
    upstream = f"http://127.0.0.1:{relay.port}"
    shared = {"ecosystem": "pypi", "upstream": upstream, "concurrency": CONNECTIONS}
    return lab.service(
        [
            {"name": "index", "pattern": "^/simple/", "content_rewrite": {}, **shared},
            {"name": "metadata", "pattern": r"^/files/.+\.metadata$", **shared},
            {
                "name": "files",
                "pattern": "^/files/",
                "strategy": "parallel",
                "chunk_size": 0,
                "immutable": True,
                **shared,
            },
        ]
    )


def _publish(root: Path) -> list[str]:
    names = []
    (root / "files").mkdir()
    for number, size in enumerate(sizes()):
        name = f"set{number}x"
        made = wheel(name, "1.0", size=size)
        (root / "files" / made.filename).write_bytes(made.content)
        (root / "files" / f"{made.filename}.metadata").write_bytes(made.metadata)
        page = root / "simple" / name
        page.mkdir(parents=True)
        (page / "index.json").write_text(_json_page(made), "utf-8")
        (page / "index.html").write_text(_html_page(made), "utf-8")
        names.append(name)
    return names


def _json_page(made: Wheel) -> str:
    """As PyPI writes it: it tells sizes, so that uv begins with the largest files."""
    sidecar = {"sha256": hashlib.sha256(made.metadata).hexdigest()}
    file = {
        "filename": made.filename,
        "url": f"/files/{made.filename}",
        "hashes": {"sha256": hashlib.sha256(made.content).hexdigest()},
        "requires-python": ">=3.7",
        "core-metadata": sidecar,
        "size": len(made.content),
        "upload-time": LONG_AGO,
        "yanked": False,
        "provenance": None,
    }
    name = made.filename.partition("-")[0]
    meta = {"api-version": "1.3"}
    return json.dumps({"meta": meta, "name": name, "versions": ["1.0"], "files": [file]})


def _html_page(made: Wheel) -> str:
    sidecar = hashlib.sha256(made.metadata).hexdigest()
    link = f"/files/{made.filename}#sha256={hashlib.sha256(made.content).hexdigest()}"
    return (
        f'<!DOCTYPE html><html><body><a href="{link}" data-core-metadata="sha256={sidecar}">'
        f"{made.filename}</a></body></html>"
    )


def _resolved(lab: Lab, uv: str, base: str, names: list[str]) -> float:
    """Seconds that uv takes to choose the versions."""
    wanted = lab.fresh("resolved") / "requirements.in"
    wanted.write_text("\n".join(names), "utf-8")
    return _run(
        *(uv, "pip", "compile", "--quiet", "--no-cache", "--no-config", "--index-url"),
        *(f"{base}/simple", "--python", sys.executable, str(wanted)),
    )


def _installed(lab: Lab, uv: str, base: str, names: list[str]) -> float:
    """Seconds that uv takes for all of it, into an empty folder."""
    place = lab.fresh("installed")
    seconds = _run(
        *(uv, "pip", "install", "--quiet", "--no-cache", "--no-config", "--no-deps"),
        *("--index-url", f"{base}/simple", "--python", sys.executable),
        *("--target", str(place), *names),
    )
    shutil.rmtree(place)
    return seconds


def _run(*command: str) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)
    return time.monotonic() - began
