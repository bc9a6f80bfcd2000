"""What entries and connections cost: ``python benchmarks/sizing.py``, for docs/sizing.md.

It makes a cache of so many entries by hand, with bodies of a few bytes, and starts a service on it.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from attrs import evolve

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aimirror.caching.entries import Entry
from aimirror.store import records
from aimirror.store.database import Blob
from aimirror.store.index import Index
from aimirror.store.layout import Layout, entry_name
from aimirror.testing import processes
from aimirror.testing.processes import ServiceProgram
from aimirror.testing.site import File, Site
from benchmarks.lab import memory

ENTRIES = (10_000, 100_000)
CONNECTIONS = 2000
#: Entries that are written in one transaction.
GROUP = 1000
#: Seconds: a service looks at every name of its cache before it is ready.
processes.START_LIMIT = 600.0


def main(counts: list[int]) -> None:
    """Print the figures."""
    site = Site()
    site.fallback = lambda asked: File(b"x" * 1000)
    site.start()
    rule = {"name": "r", "upstream": site.url, "strategy": "parallel", "immutable": True}
    with tempfile.TemporaryDirectory() as name, _ended(site):
        folder = Path(name)
        with _service(folder, rule) as service:
            before = _tell(service, "empty")
            service.get("/f/1.whl")
            with _connected(service.port):
                each = (_private(service) - before) / CONNECTIONS
                print(f"{CONNECTIONS} idle connections: {each / 1e3:.1f} kB each")
        layout, made = Layout(folder / "cache"), 0
        for count in counts:
            _fill(layout, made, count)
            made = count
            size = layout.index.stat().st_size
            began = time.monotonic()
            with _service(folder, rule) as service:
                took = time.monotonic() - began
                _tell(service, f"{count} entries: index {size / count:.0f} B each, {took:.1f} s")
            for place in (layout.entries, layout.blobs):
                used = sum(p.stat().st_blocks * 512 for p in place.rglob("*"))
                print(f"  {place.name}: {used / count:.0f} B each on the disk")


@contextlib.contextmanager
def _ended(site: Site) -> Iterator[None]:
    try:
        yield
    finally:
        site.stop()


@contextlib.contextmanager
def _service(folder: Path, rule: dict[str, object]) -> Iterator[ServiceProgram]:
    service = ServiceProgram(folder, [rule])
    try:
        service.wait_for_workers()
        yield service
    finally:
        service.program.stop()


def _private(service: ServiceProgram) -> int:
    return memory([service.program])[1]


def _tell(service: ServiceProgram, what: str) -> int:
    """Print private memory and CPU time of all processes; the memory."""
    private = _private(service)
    cpu = [round(stat.cpu, 1) for stat in service.program.family()]
    print(f"{what}: {private / 1e6:.0f} MB private, CPU seconds {cpu}", flush=True)
    return private


@contextlib.contextmanager
def _connected(port: int) -> Iterator[None]:
    """Idle connections, each of which has been used once."""
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(CONNECTIONS)
        ]
        for client in clients:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for client in clients:
            client.recv(1 << 16)
        yield


def _fill(layout: Layout, first: int, last: int) -> None:
    """Store bodies under names such as PyPI's."""
    index = Index(layout.index)
    try:
        (name,) = index._db.execute(
            "SELECT name FROM entries WHERE key LIKE '%/f/1.whl'"
        ).fetchone()
        pattern = records.read_sidecar(layout.sidecar(name))
        for start in range(first, last, GROUP):
            with index.transaction():
                for number in range(start, min(start + GROUP, last)):
                    _store(layout, index, pattern, number)
    finally:
        index.close()


def _store(layout: Layout, index: Index, pattern: Entry, number: int) -> None:
    digest = sha256(str(number).encode()).hexdigest()
    file = f"some_package_name-{number}.1.2-cp311-cp311-manylinux_2_28_x86_64.whl"
    key = pattern.key.replace(
        "/f/1.whl", f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{file}"
    )
    path = layout.blob(digest)
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(b"x" * 20)
    stat = path.stat()
    index.add_blob(Blob(digest, 20, stat.st_mtime_ns, stat.st_mtime))
    entry = evolve(pattern, key=key, blob=digest, size=20)
    index.put(entry, entry.received_at)
    sidecar = layout.sidecar(entry_name(entry))
    sidecar.parent.mkdir(exist_ok=True, parents=True)
    records.write_sidecar(sidecar, entry)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(ENTRIES))
