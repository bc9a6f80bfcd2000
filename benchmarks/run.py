"""The benchmark: ``run.py [ROW ...]`` measures all rows, or some, and prints one table.

Everything runs on 127.0.0.1 and ends by itself.  The table is also written to results.md when
all rows were measured, or to the file that ``--output`` names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import distinct, field, headline, installing, many, throttled, unlimited
from benchmarks.lab import Lab
from benchmarks.results import Result, conditions, table

ROWS: dict[str, Callable[[Lab], Iterator[Result]]] = {
    "throttled": throttled.throttled,
    "crawling": throttled.crawling,
    "dead": throttled.dead,
    "plain": unlimited.plain,
    "tls": unlimited.tls,
    "hit": unlimited.hit,
    "small": unlimited.small,
    "distinct": distinct.distinct,
    "documents": distinct.documents,
    "shared": many.shared,
    "files": many.files,
    "readers": many.readers,
    "install": installing.install,
    "headline": headline.headline,
    "ranges": field.ranges,
    "mirrors": field.mirrors,
    "unstored": field.unstored,
}

OUTPUT = Path(__file__).with_name("results.md")

EXPLANATION = f"""\
- throttled: {throttled.SIZE / 1e6:.0f} MB, each connection limited to {throttled.RATE / 1e6:.0f} \
MB/s with a {throttled.ROUND_TRIP * 1e3:.0f} ms round trip; ideal is \
{throttled.CONNECTIONS} connections at full rate and two round trips, {throttled.IDEAL:.2f} s. \
crawling: every seventh connection has 10 kB/s; dead: it falls silent after 16 kB.
- aimirror's throttled rows are medians of {throttled.RUNS} runs, each by a service just started.
- The rows of 512 MB are medians of {unlimited.COLD_RUNS} (cold) and {unlimited.HIT_RUNS} (hit) \
runs, in turns with nginx.
- CPU is user and system time of all processes of the server, per GB sent to clients.
- memory is the peak of the private memory of all its processes above what it was before.
"""


def measure(names: list[str]) -> list[Result]:
    """All results of some rows, each printed as soon as it is there."""
    results: list[Result] = []
    lab = Lab()
    try:
        for name in names:
            sys.stderr.write(f"{name}: {ROWS[name].__doc__}\n")
            try:
                for result in ROWS[name](lab):
                    results.append(result)
                    sys.stderr.write(f"    {' | '.join(filter(None, result.cells()))}\n")
            except Exception as failure:
                # One broken row must not cost the others.
                last = (str(failure).strip() or repr(failure)).splitlines()[-1]
                results.append(Result(case=name, who="", note=f"FAILED: {last[:100]}"))
                sys.stderr.write(f"    {results[-1].note}\n")
            finally:
                lab.end_programs()
    finally:
        lab.close()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--output", type=Path, help="write the table to this file")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    results = measure(options.rows or list(ROWS))
    cases = [result.case for result in results]
    results.sort(key=lambda result: cases.index(result.case))
    measured = table(results)
    sys.stdout.write(measured + "\n")
    output = options.output or (None if options.rows else OUTPUT)
    if output is not None:
        lines = ["# Benchmark", "", *(f"- {line}" for line in conditions()), EXPLANATION, measured]
        output.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
