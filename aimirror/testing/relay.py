"""A TCP relay that stands for a slow network: a limit per connection and a round trip.

Each direction of each connection is a line of its own: a chunk leaves ``delay`` after it came and
takes ``length / rate`` on the line, one after the other.  An idle line saves nothing up, so that
small requests, each after a pause, cannot escape the limit as they can with a bucket that fills.
Only the way to the client is limited; both ways are delayed by half a round trip, and a new
connection by one more, as the kernel accepts for us without asking.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from attrs import asdict, define, frozen
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, ServerFactory

#: Seconds of line time per write: small enough to flow, large enough to cost little.
QUANTUM = 0.008
_MIN_QUANTUM = 2048
_MAX_QUANTUM = 1 << 16

#: Bytes waiting in a line, beyond what the delay itself holds, before its source is paused.
BACKLOG = 1 << 17

#: Seconds by which a chunk may leave early, so that neighbours leave together.
_SLACK = 0.0005


@frozen(kw_only=True)
class Network:
    """What the relay stands for: bytes per second and connection (0 = no limit), seconds."""

    rate: int = 0
    #: Of all connections together (0 = no limit): what a host that limits itself gives.
    host_rate: int = 0
    round_trip: float = 0.0
    #: Every k-th connection crawls at ``crawl_rate``; 0 = none.
    crawl_every: int = 0
    crawl_rate: int = 10_000
    #: Every k-th connection falls silent after ``die_after`` bytes to the client; 0 = none.
    die_every: int = 0
    die_after: int = 16_384

    def rate_of(self, ordinal: int) -> int:
        """The limit of the ``ordinal``-th connection, from 1."""
        crawls = self.crawl_every and ordinal % self.crawl_every == 0
        return self.crawl_rate if crawls else self.rate

    def budget_of(self, ordinal: int) -> int | None:
        """After how many bytes the ``ordinal``-th connection dies, None for never."""
        return self.die_after if self.die_every and ordinal % self.die_every == 0 else None


@define
class Passed:
    """What went through: connections so far, and body and header bytes to the clients."""

    connections: int = 0
    to_clients: int = 0


@define
class Shared:
    """What all connections of a host have in common: a limit, and when the line is free again."""

    rate: int
    free: float = 0.0

    def after(self, due: float, length: int) -> float:
        """When some bytes that are due at a time have left."""
        self.free = max(due, self.free) + length / self.rate
        return self.free


class Line:
    """One direction of a connection: chunks leave in order, each at its own time."""

    def __init__(
        self,
        clock: Any,
        rate: int,
        delay: float,
        held_until: float = 0.0,
        shared: Shared | None = None,
    ) -> None:
        self._clock = clock
        self._rate = rate
        self._shared = shared
        self._delay = delay
        self._free = held_until
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._waiting = 0
        self._timer: Any = None
        self._quantum = min(max(int(rate * QUANTUM), _MIN_QUANTUM), _MAX_QUANTUM)
        self._room = BACKLOG + int(rate * delay * 2) if rate else 64 * BACKLOG
        if shared is not None:  # what a closed connection had booked is lost to the others
            self._quantum, self._room = _MIN_QUANTUM, BACKLOG // 8
        #: Where chunks go, how the source is paused, and who is told of sent bytes.
        self.target: Any = None
        self.source: Any = None
        self.ended = False
        self.budget: int | None = None
        self.sent = 0

    def put(self, data: bytes) -> None:
        """Some bytes came in."""
        due = self._clock.seconds() + self._delay
        step = self._quantum if self._rate or self._shared else len(data)
        for start in range(0, len(data), step):
            chunk = data[start : start + step]
            self._free = max(due, self._free) + (len(chunk) / self._rate if self._rate else 0.0)
            if self._shared is not None:
                self._free = max(self._free, self._shared.after(due, len(chunk)))
            self._chunks.append((self._free, chunk))
        self._waiting += len(data)
        if self._waiting > self._room and self.source is not None:
            self.source.pauseProducing()
        self._schedule()

    def end(self) -> None:
        """The source closed: close the target after the last chunk."""
        self.ended = True
        if not self._chunks and self.budget != 0:
            self._close()

    def stop(self) -> None:
        """Drop all."""
        self._chunks.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is None and self._chunks and self.target is not None:
            wait = max(0.0, self._chunks[0][0] - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._run)

    def attach(self, target: Any) -> None:
        """The way out is there."""
        self.target = target
        self._schedule()
        if self.ended and not self._chunks:
            self._close()

    def _run(self) -> None:
        self._timer = None
        limit = self._clock.seconds() + _SLACK
        due = []
        while self._chunks and self._chunks[0][0] <= limit:
            due.append(self._chunks.popleft()[1])
        self._send(b"".join(due))
        if self._waiting <= self._room and self.source is not None:
            self.source.resumeProducing()
        self._schedule()
        if self.ended and not self._chunks and self.budget != 0:
            self._close()

    def _send(self, data: bytes) -> None:
        self._waiting -= len(data)
        if self.budget is not None:
            data = data[: self.budget]
            self.budget -= len(data)
        if data:
            self.sent += len(data)
            self.target.write(data)

    def _close(self) -> None:
        if self.target is not None:
            self.target.loseConnection()


class _Outward(Protocol):
    """The relay's own connection to the server."""

    def __init__(self, inward: _Inward) -> None:
        self._inward = inward

    def connectionMade(self) -> None:
        """Let the client's bytes out."""
        self._inward.reached(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Bytes for the client."""
        self._inward.down.put(data)

    def connectionLost(self, reason: object = None) -> None:
        """The server closed."""
        self._inward.up.stop()
        self._inward.down.end()


class _Inward(Protocol):
    """A client's connection to the relay."""

    def __init__(self, relay: Relay, ordinal: int) -> None:
        network, clock = relay.network, relay.reactor
        half = network.round_trip / 2
        held = clock.seconds() + network.round_trip + half if network.round_trip else 0.0
        self._relay = relay
        self._outward: Any = None
        self._closed = False
        self.up = Line(clock, 0, half, held)
        self.down = Line(clock, network.rate_of(ordinal), half, shared=relay.shared)
        self.down.budget = network.budget_of(ordinal)

    def connectionMade(self) -> None:
        """Dial the server."""
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        self.up.source = transport
        self.down.attach(transport)
        host, port = self._relay.to
        endpoint = TCP4ClientEndpoint(self._relay.reactor, host, port)
        factory = Factory.forProtocol(lambda: _Outward(self))
        factory.noisy = False
        endpoint.connect(factory).addErrback(lambda _: transport.abortConnection())

    def reached(self, transport: Any) -> None:
        """The server is there."""
        if self._closed:
            transport.abortConnection()
            return
        transport.setTcpNoDelay(True)
        self._outward = transport
        self.down.source = transport
        self.up.attach(transport)

    def dataReceived(self, data: bytes) -> None:
        """Bytes for the server."""
        self.up.put(data)

    def connectionLost(self, reason: object = None) -> None:
        """The client closed: the server must not go on."""
        self._closed = True
        self._relay.passed.to_clients += self.down.sent
        self._relay.live.discard(self)
        self.down.stop()
        self.up.stop()
        if self._outward is not None:
            self._outward.abortConnection()


class Relay(ServerFactory):
    """Relays connections to one address over a network."""

    noisy = False

    def __init__(self, reactor: Any, to: tuple[str, int], network: Network) -> None:
        self.reactor = reactor
        self.to = to
        self.network = network
        self.shared = Shared(network.host_rate) if network.host_rate else None
        self.passed = Passed()
        self.live: set[_Inward] = set()

    def buildProtocol(self, addr: object) -> _Inward:
        """The next connection."""
        self.passed.connections += 1
        inward = _Inward(self, self.passed.connections)
        self.live.add(inward)
        return inward

    def count(self) -> Passed:
        """What has passed until now, live connections included."""
        live = sum(inward.down.sent for inward in self.live)
        return Passed(self.passed.connections, self.passed.to_clients + live)

    def restart(self) -> None:
        """Count connections and bytes from nothing again."""
        self.passed = Passed()
        for inward in self.live:
            inward.down.sent = 0


class _Status(Protocol):
    """Says what has passed as one JSON line, then closes; "restart" also starts anew."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def dataReceived(self, data: bytes) -> None:
        """A line: "count" or "restart"."""
        assert self.transport is not None
        self.transport.write(json.dumps(asdict(self._relay.count())).encode() + b"\n")
        self.transport.loseConnection()
        if data.startswith(b"restart"):
            self._relay.restart()


def main(arguments: list[str] | None = None) -> None:
    """Run as a program until killed; prints one line with its port and its status port."""
    import argparse
    import sys

    from twisted.internet import reactor as installed

    parser = argparse.ArgumentParser(
        prog="python -m aimirror.testing.relay", description=main.__doc__
    )
    parser.add_argument("--to", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    for name, kind in Network.__annotations__.items():
        parse = float if kind == "float" else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=parse, default=None)
    options = vars(parser.parse_args(arguments))
    reactor: Any = installed
    network = {name: options[name] for name in Network.__annotations__ if options[name] is not None}
    relay = Relay(reactor, ("127.0.0.1", options["to"]), Network(**network))
    port = reactor.listenTCP(options["port"], relay, 511, "127.0.0.1").getHost().port
    status = ServerFactory.forProtocol(lambda: _Status(relay))
    status.noisy = False
    asked = reactor.listenTCP(0, status, 50, "127.0.0.1").getHost().port
    sys.stdout.write(f"listening {port} {asked}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
