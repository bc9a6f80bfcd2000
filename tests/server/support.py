"""What the tests of the HTTP edge share: a connection in memory and bodies that grow on command."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from aimirror.download.spans import Spans
from aimirror.download.tasks import Reason
from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed, IBody, IBodyReader
from aimirror.server.answers import Answer
from aimirror.server.channel import MirrorChannel
from aimirror.server.request import MirrorRequest
from aimirror.server.site import MirrorSite
from aimirror.server.site_base import SWEEP

NOW = 1_700_000_000.0
GET = b"GET / HTTP/1.1\r\nHost: mirror.test\r\n\r\n"
#: What tcp.Server lets be buffered before it pauses its producer.
BUFFER = 64 * 1024

Handler = Callable[[MirrorRequest], Awaitable[Answer | None]]


class Wire(StringTransport):
    """The server's transport; the client takes bytes when it likes, and until then they wait."""

    def __init__(self, clock: Clock, greedy: bool) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.7", 50000), lenient=True)
        self.clock = clock
        self.greedy = greedy
        self.protocol: MirrorChannel | None = None
        self.taken = bytearray()
        self.waiting = bytearray()
        self.most_waiting = 0
        self.aborted = False
        self.closed = False
        self._paused = False

    @property
    def reading(self) -> bool:
        return self.producerState == "producing" and not self.disconnecting

    def write(self, data: bytes) -> None:
        if self.closed or self.aborted:
            return
        self.waiting += data
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        if self.greedy:
            self.taken += self.waiting
            self.waiting.clear()
        elif len(self.waiting) > BUFFER and self.producer is not None:
            self._paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def take(self, count: int | None = None) -> None:
        """The client reads ``count`` bytes, or all."""
        count = len(self.waiting) if count is None else count
        self.taken += self.waiting[:count]
        del self.waiting[:count]
        if self.waiting:
            return
        if self._paused and self.producer is not None:
            self._paused = False
            self.producer.resumeProducing()
        if self.disconnecting and not self.waiting:
            self.lose()

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            if not self.waiting:
                self.clock.callLater(0, self.lose)

    def abortConnection(self) -> None:
        self.aborted = True
        self.waiting.clear()
        self.clock.callLater(0, self.lose, ConnectionAborted())

    def lose(self, reason: Exception | None = None) -> None:
        """The connection is gone."""
        if not self.closed:
            self.closed = True
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))


@define
class Connection:
    """One client of a site."""

    site: MirrorSite
    clock: Clock
    wire: Wire
    _held: bytearray = field(factory=bytearray)

    def send(self, data: bytes) -> None:
        """The client sends; what the server does not read waits."""
        self._held += data
        self.deliver()

    def deliver(self, size: int = BUFFER) -> None:
        while self._held and self.wire.reading and not self.wire.closed:
            piece = bytes(self._held[:size])
            del self._held[:size]
            self.wire.protocol.dataReceived(piece)

    @property
    def unread(self) -> int:
        """Bytes that the server has not read."""
        return len(self._held)

    def settle(self) -> None:
        """Let what was put off to the next turn happen."""
        self.clock.advance(0)
        self.deliver()

    def wait(self, seconds: float) -> None:
        """Let time pass, with the site looking at its deadlines."""
        for _ in range(int(seconds / SWEEP)):
            self.clock.advance(SWEEP)
        self.settle()

    @property
    def closed(self) -> bool:
        self.clock.advance(0)
        return self.wire.closed

    @property
    def received(self) -> bytes:
        return bytes(self.wire.taken)

    def answers(self) -> list[tuple[int, Headers, bytes]]:
        """What the client understands so far of what it got; complete answers only."""
        return parse_answers(self.received)

    def answer(self) -> tuple[int, Headers, bytes]:
        """The one complete answer."""
        (only,) = self.answers()
        return only


def clock_at_now() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


def connect(
    handler: Handler | None = None,
    *,
    site: MirrorSite | None = None,
    clock: Clock | None = None,
    greedy: bool = True,
    **options: object,
) -> Connection:
    """A client of a site whose handler this is."""
    clock = clock or (site.reactor if site is not None else clock_at_now())
    if site is None:
        site = MirrorSite(handler or hello, clock, **options)
        site.startFactory()
    channel = site.buildProtocol(None)
    wire = Wire(clock, greedy)
    wire.protocol = channel
    channel.makeConnection(wire)
    return Connection(site, clock, wire)


async def hello(request: MirrorRequest) -> Answer:
    """Says which path was asked for."""
    return answer(request.raw_path.encode())


def answer(body: object = b"hello", **options: object) -> Answer:
    """A plain 200."""
    headers = Headers([("Content-Type", "text/plain"), ("ETag", '"v1"')])
    return Answer(**{"status": 200, "headers": headers, "body": body, **options})


def parse_answers(raw: bytes) -> list[tuple[int, Headers, bytes]]:
    """Read answers to GET requests one after the other; an incomplete last one is left out."""
    found = []
    while (end := raw.find(b"\r\n\r\n")) >= 0:
        first, *lines = raw[:end].decode("latin-1").split("\r\n")
        headers = Headers(tuple(line.split(": ", 1)) for line in lines)
        status = int(first.split(" ")[1])
        rest = raw[end + 4 :]
        if "transfer-encoding" in headers:
            body, rest, whole = _unchunk(rest)
        else:
            length = int(headers.get("content-length", "0"))
            body, rest, whole = rest[:length], rest[length:], len(rest) >= length
        if not whole:
            break
        found.append((status, headers, body))
        raw = rest
    return found


def _unchunk(raw: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while b"\r\n" in raw:
        size, _, raw = raw.partition(b"\r\n")
        count = int(size, 16)
        body, raw = body + raw[:count], raw[count + 2 :]
        if count == 0:
            return body, raw, True
    return body, raw, False


@implementer(IBodyReader)
class GrowingReader:
    """A place in a GrowingBody."""

    def __init__(self, body: GrowingBody, start: int, stop: int | None) -> None:
        self.body = body
        self.fd = body.fd
        self.position = start
        self._stop = stop
        self.closed = False
        self.waiting: Deferred[None] | None = None

    @property
    def stop(self) -> int | None:
        return self.body.size if self._stop is None else self._stop

    def ready(self) -> int:
        end = self.body.spans.run_from(self.position)
        return (end if self.stop is None else min(end, self.stop)) - self.position

    def wait(self) -> Deferred[None]:
        if self.body.failure is not None:
            raise self.body.failure
        if self.ready() > 0 or self.ended():
            return succeed(None)
        self.waiting = Deferred()
        return self.waiting

    def advance(self, count: int) -> None:
        if count > self.ready():
            raise AssertionError("more was sent than was readable")
        self.position += count

    def ended(self) -> bool:
        return self.stop is not None and self.position >= self.stop

    def close(self) -> None:
        self.closed = True

    def wake(self) -> None:
        if self.waiting is not None and not self.closed:
            waiting, self.waiting = self.waiting, None
            if self.body.failure is not None:
                waiting.errback(self.body.failure)
            elif self.ready() > 0 or self.ended():
                waiting.callback(None)
            else:
                self.waiting = waiting


@implementer(IBody)
class GrowingBody:
    """A file in which spans become readable as a test says; holes read as zeros until then."""

    complete = False

    def __init__(self, data: bytes, size: int | None = None, readable: bool = False) -> None:
        self.data = data
        self.size = size
        self.spans = Spans()
        self.failure: BodyFailed | None = None
        self.readers: list[GrowingReader] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the body
        self.fd = self._file.fileno()
        os.ftruncate(self.fd, len(data))
        if readable:
            self.grow(0, len(data))

    def reader(self, start: int, stop: int | None) -> GrowingReader:
        reader = GrowingReader(self, start, stop)
        self.readers.append(reader)
        return reader

    def grow(self, start: int, stop: int) -> None:
        os.pwrite(self.fd, self.data[start:stop], start)
        self.spans = self.spans.add(start, stop)
        self.wake()

    def finish(self) -> None:
        """The size is known now."""
        self.size = len(self.data)
        self.wake()

    def fail(self, why: str = "upstream fell silent", reason: Reason = Reason.SILENT) -> None:
        self.failure = BodyFailed(why, reason)
        self.wake()

    def wake(self) -> None:
        for reader in self.readers:
            reader.wake()

    @property
    def all_closed(self) -> bool:
        return all(reader.closed for reader in self.readers)

    def close(self) -> None:
        self._file.close()
