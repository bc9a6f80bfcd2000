"""What the tier costs and gives, before SeaweedFS: ``python -m benchmarks.tier`` prints a table.

Two nodes, one with the tier and one without, before one origin; all of it on this machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from aimirror.testing import client
from aimirror.testing.processes import OriginProgram, ServiceProgram
from tests.e2e.engines import Engines
from tests.e2e.test_balancers import free_port

#: Small cold files for each figure, bytes of one, and bytes of the large file.
SMALL, SMALL_SIZE, LARGE = 400, 2_000, 256_000_000
#: Rounds of the large file.
ROUNDS = 3


class Bench(Engines):
    """Engines in a folder of their own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.addCleanup = stack.callback
        self.origin = OriginProgram(folder / "origin.log")
        stack.callback(self.origin.program.kill)
        rule = {"name": "files", "pattern": "^/", "upstream": self.origin.url, "immutable": True}
        self.prepare({**rule, "strategy": "parallel", "min_size": 1, "concurrency": 8})
        self.store = self.start_store()

    def small(self, node: ServiceProgram, prefix: str) -> list[float]:
        """Seconds of each of many cold files, one after another."""
        paths = [f"/{prefix}-{number}" for number in range(SMALL)]
        self.origin.script({path: {"size": SMALL_SIZE, "seed": 1} for path in paths})
        return [node.get(path).took for path in paths]

    def large(self, node: ServiceProgram, path: str) -> client.Reply:
        """The large file, whole."""
        reply = node.get(path)
        assert len(reply.body) == LARGE, len(reply.body)
        return reply


def cpu(node: ServiceProgram) -> float:
    """CPU seconds of a node's processes."""
    return sum(stat.cpu for stat in node.program.family())


def row(what: str, *cells: str) -> None:
    """A line of the table."""
    print(f"| {what} | {' | '.join(cells)} |", flush=True)


def lookups(bench: Bench, near: ServiceProgram, alone: ServiceProgram) -> None:
    """What a look that finds nothing adds to a cold file."""
    figures = []
    for node, name in ((alone, "w"), (near, "w"), (alone, "alone"), (near, "tier")):
        before = cpu(node)
        took = bench.small(node, name)
        figures.append((median(took), quantiles(took, n=100)[98], (cpu(node) - before) / SMALL))
    (plain, plain_99, plain_cpu), (tier, tier_99, tier_cpu) = figures[2:]
    cells = (f"{1000 * (tier - plain):.1f} ms", f"{1000 * (tier_99 - plain_99):.1f} ms")
    row("lookup that misses: median, p99", *cells)
    cells = (f"{1000 * plain_cpu:.1f} ms", f"{1000 * tier_cpu:.1f} ms")
    row("CPU of a cold small file: without a tier, with a lookup", *cells)


def hits(bench: Bench, make: Callable[[int], ServiceProgram], alone: ServiceProgram) -> None:
    """A large file from the upstream, and from the tier on a node that has an empty disk."""
    paths = [f"/large-{number}" for number in range(ROUNDS)]
    bench.origin.script({path: {"size": LARGE, "seed": 1} for path in paths})
    filler = make(1)
    for path in paths:
        bench.large(filler, path)
    bench.all_sent(filler)
    filler.program.stop()
    reader = make(2)
    rates, firsts = [], []
    for path in paths:
        plain, tier = bench.large(alone, path), bench.large(reader, path)
        assert tier.headers.get("X-Cache") == "TIER", tier.headers.get("X-Cache")
        rates.append((LARGE / plain.took / 1e6, LARGE / tier.took / 1e6))
        firsts.append((plain.first_byte, tier.first_byte))
    plain_rate, tier_rate = (median(each) for each in zip(*rates, strict=True))
    plain_first, tier_first = (1000 * median(each) for each in zip(*firsts, strict=True))
    row("256 MB: upstream, tier", f"{plain_rate:.0f} MB/s", f"{tier_rate:.0f} MB/s")
    row("its first byte: upstream, tier", f"{plain_first:.0f} ms", f"{tier_first:.0f} ms")


def main() -> None:
    """Print the table."""
    folder = Path(tempfile.mkdtemp())
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        bench = Bench(folder, stack)
        bench.ports.append(free_port())
        near = bench.node(0, owners=False, max_size=1)  # looks, and sends nothing
        alone = bench.node(3, owners=False, store=0)
        time.sleep(5)
        lookups(bench, near, alone)
        print(f"load {os.getloadavg()[0]:.1f}")
        hits(bench, lambda number: bench.node(number, owners=False), alone)
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
