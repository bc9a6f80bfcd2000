"""Many clients and many files at once."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.lab import KB, MB, Lab
from benchmarks.results import Result
from benchmarks.throttled import CONNECTIONS, NETWORK, RATE, ROUND_TRIP

#: 100 clients on one file: smaller than elsewhere, as 100 times this much crosses the loopback.
SHARED_SIZE = 32_000_000
SHARED_CLIENTS = 100

FILES = 50
FILE_SIZE = 4_000_000
#: The default of ``connections_per_host``.
CONNECTIONS_PER_HOST = 64

READERS = 200
READER_RATE = 100_000
READER_SECONDS = 8
READER_FILE = 64_000_000
#: Small buffers of the clients' sockets, so that the server has to wait for each.
RECEIVE_BUFFER = 65_536


def shared(lab: Lab) -> Iterator[Result]:
    """100 clients on one cold, throttled file."""
    path = lab.file(SHARED_SIZE)
    relay = lab.relay(lab.origin(), **NETWORK)
    service = lab.aimirror(f"http://127.0.0.1:{relay.port}")
    relay.passed(restart=True)
    with lab.usage(service.program) as used:
        seen = lab.drain(service.port, path, clients=SHARED_CLIENTS)
        lab.settle(service)
    ideal = SHARED_SIZE / (CONNECTIONS * RATE) + 2 * ROUND_TRIP
    upstream = relay.passed()["to_clients"] / SHARED_SIZE
    failed = f", {seen.failures} FAILED" if seen.failures else ""
    yield Result(
        case=f"{SHARED_CLIENTS} clients, one cold file",
        who="aimirror, the slowest",
        seconds=seen.slowest,
        ratio=seen.slowest / ideal,
        speed=seen.bytes / MB / seen.slowest,
        cpu=used.cpu / (seen.bytes / 1e9),
        memory=used.private / MB,
        note=f"upstream {upstream:.2f}x, bars: 1.3, 1.0x{failed}",
    )


def files(lab: Lab) -> Iterator[Result]:
    """50 cold files at once, each limited per connection."""
    paths = [lab.file(FILE_SIZE, number) for number in range(FILES)]
    relay = lab.relay(lab.origin(), **NETWORK)
    service = lab.aimirror(f"http://127.0.0.1:{relay.port}")
    relay.passed(restart=True)
    with lab.usage(service.program) as used:
        seen = lab.drain(service.port, *paths, clients=FILES)
        lab.settle(service)
    total = FILES * FILE_SIZE
    ideal = total / (CONNECTIONS_PER_HOST * RATE) + 2 * ROUND_TRIP
    upstream = relay.passed()["to_clients"] / total
    failed = f", {seen.failures} FAILED" if seen.failures else ""
    yield Result(
        case=f"{FILES} cold files at once",
        who="aimirror, the last",
        seconds=seen.slowest,
        ratio=seen.slowest / ideal,
        first=seen.first * KB,
        speed=seen.bytes / MB / seen.slowest,
        cpu=used.cpu / (seen.bytes / 1e9),
        memory=used.private / MB,
        note=f"upstream {upstream:.2f}x, ideal at {CONNECTIONS_PER_HOST} connections{failed}",
    )


def readers(lab: Lab) -> Iterator[Result]:
    """200 readers of 100 kB/s each: memory per reader."""
    path = lab.file(READER_FILE)
    service = lab.aimirror(f"http://127.0.0.1:{lab.origin()}")
    lab.drain(service.port, lab.file(FILE_SIZE))
    for case, target in (("cold", path), ("hit", path)):
        with lab.usage(service.program) as used:
            seen = lab.drain(
                service.port,
                target,
                clients=READERS,
                rate=READER_RATE,
                limit=READER_SECONDS,
                receive_buffer=RECEIVE_BUFFER,
            )
            lab.settle(service)
        each = used.private / READERS / KB
        yield Result(
            case=f"{READERS} slow readers, {case}",
            who="aimirror",
            speed=seen.bytes / MB / seen.slowest,
            memory=used.private / MB,
            note=f"{each:.0f} kB per reader, bar: 60",
        )
