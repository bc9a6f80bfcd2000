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
#: Documents, the versions in them by turns (8 kB in the mean), and how npm asks for them.
DOCUMENTS = 3_000
VERSIONS = (3, 6, 12, 24, 48)
NPM = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
COLD_BAR = "bars: 0.25 of nginx, 1.2 ms"
WARM_BAR = "bars: 10000/s, 0.1 ms"


def files(lab: Lab, count: int = COUNT) -> Path:
    """A list of the paths of so many files, all of which the origins have."""
    paths = [lab.file(SIZES[n % len(SIZES)], n) for n in range(count)]
    place = lab.fresh("distinct") / "paths"
    place.write_text("\n".join(paths), "utf-8")
    return place


def ask(
    lab: Lab, case: str, who: str, paths: Path, port: int, *programs: Program, accept: str = "*/*"
) -> Result:
    """Ask a server for each file once: requests a second, and CPU of all its processes."""
    command = [sys.executable, "-I", str(ASKER), f"--port={port}", f"--clients={CLIENTS}"]
    command.append(f"--accept={accept}")
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


def documents(lab: Lab, count: int = DOCUMENTS) -> Iterator[Result]:
    """Documents of npm packages, whose links are led to the mirror: cold, then from the cache."""
    upstream = f"http://127.0.0.1:{lab.origin()}/npm"
    (lab.files / "npm").mkdir()
    names = [f"package-{n}.json" for n in range(count)]
    for n, name in enumerate(names):
        (lab.files / "npm" / name).write_text(
            _document(name, VERSIONS[n % len(VERSIONS)], upstream)
        )
    place = lab.fresh("documents") / "paths"
    place.write_text("\n".join(f"/npm/{name}" for name in names), "utf-8")
    servers: list[tuple[str, Program, int]] = []
    try:
        servers.append(("nginx proxy_cache", *lab.proxy_cache(upstream.removesuffix("/npm"))))
    except Missing:
        yield Result(case="documents", who="nginx proxy_cache", note="not installed")
    service = lab.service(
        [
            {
                "name": "npm",
                "path_prefix": "/npm",
                "strip_prefix": True,
                "pattern": "^/",
                "upstream": upstream,
                "strategy": "proxy",
                "ecosystem": "npm",
                "public": True,
                "content_rewrite": {"members": ["tarball"]},
            }
        ]
    )
    servers.append(("aimirror, npm", service.program, service.port))
    for case in ("cold", "again"):
        for who, program, port in servers:
            name = f"{count} npm documents, {case}"
            yield ask(lab, name, who, place, port, program, accept=NPM)


def _document(name: str, versions: int, upstream: str) -> str:
    """What a registry says of a package with so many versions where npm installs."""
    each = {
        f"1.{n}.0": {
            "name": name,
            "version": f"1.{n}.0",
            "dependencies": {"is-number": "^6.0.0", "kind-of": "^3.0.2"},
            "dist": {
                "shasum": f"{n:040x}",
                "tarball": f"{upstream}/{name}/-/{name}-1.{n}.0.tgz",
                "fileCount": 4,
                "unpackedSize": 6510,
                "integrity": "sha512-" + "A" * 86 + "==",
            },
            "engines": {"node": ">=0.10.0"},
        }
        for n in range(versions)
    }
    latest = {"latest": f"1.{versions - 1}.0"}
    return json.dumps({"name": name, "dist-tags": latest, "versions": each})


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
