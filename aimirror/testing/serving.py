"""The wire side of a scripted origin: parses requests and sends answers, faults included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Shape

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from aimirror.http.headers import Headers
from aimirror.testing.answers import Answer, Request, simple
from aimirror.testing.behaviour import Count

#: Bytes handed to the transport at once.
CHUNK = 1 << 20

#: Seconds between two writes of a rate-limited body.
TICK = 0.05

#: Bytes of one request that are held.
MAX_REQUEST = 64 << 20


class Answering(Shape):
    """Who decides what a connection answers: the origin."""

    reactor: Any
    connections: set[OriginProtocol]

    def closed(self, connection: OriginProtocol) -> None:
        """A connection is gone."""

    def count(self, path: str) -> Count:
        """What was asked of a path."""

    def refusal(self, asking: OriginProtocol, request: Request) -> Answer | None:
        """What one connection too many gets."""

    def respond(self, request: Request, connection_of: Callable[[str], int]) -> Answer:
        """What to answer; ``connection_of`` numbers the asking connection among a path's."""


class _Malformed(Exception):
    """The bytes are no request."""


def parse(buffer: bytes) -> tuple[Request, int] | None:
    """The first request in a buffer and its length in bytes, or None while it is incomplete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *rest = buffer[:end].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3:
        raise _Malformed(first)
    pairs = [line.partition(":") for line in rest]
    headers = Headers((name, value.strip()) for name, _, value in pairs)
    body = _body(buffer, end + 4, headers)
    if body is None:
        return None
    content, stop = body
    return Request(parts[0], parts[1], headers, content), stop


def _body(buffer: bytes, start: int, headers: Headers) -> tuple[bytes, int] | None:
    """The body that begins at ``start`` and where it stops, or None while it is incomplete."""
    if "chunked" not in headers.tokens("Transfer-Encoding"):
        stop = start + int(headers.get("Content-Length", "0") or "0")
        return (buffer[start:stop], stop) if len(buffer) >= stop else None
    chunks: list[bytes] = []
    while True:
        line = buffer.find(b"\r\n", start)
        if line < 0:
            return None
        size = int(buffer[start:line].split(b";")[0], 16)
        stop = line + 2 + size
        if len(buffer) < stop + 2:
            return None
        if size == 0:
            return b"".join(chunks), stop + 2
        chunks.append(buffer[line + 2 : stop])
        start = stop + 2


@implementer(IPullProducer)
class _Sending:
    """One body on its way into a transport, at the answer's rate."""

    def __init__(self, protocol: OriginProtocol, given: Answer) -> None:
        self._protocol = protocol
        self._answer = given
        self._position = given.start
        self._began = protocol.seconds()
        self._timer: Any = None

    def resumeProducing(self) -> None:
        """Write what is due; called again when the transport has sent it."""
        if self._timer is not None:
            return
        if self._position >= self._answer.stop:
            self._protocol.body_sent(self._answer)
            return
        count = self._due()
        if count > 0:
            self._write(min(count, self._answer.stop - self._position))
        else:
            self._timer = self._protocol.call_later(TICK, self._tick)

    def stopProducing(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.resumeProducing()

    def _due(self) -> int:
        if not self._answer.rate:
            return CHUNK
        elapsed = self._protocol.seconds() - self._began
        sent = self._position - self._answer.start
        return min(CHUNK, int(elapsed * self._answer.rate) - sent)

    def _write(self, count: int) -> None:
        data = self._answer.content[self._position : self._position + count]
        self._position += count
        if self._answer.framing == "chunked":
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._protocol.send(data)


class OriginProtocol(Protocol):
    """One connection; answers one request at a time."""

    def __init__(self, origin: Answering) -> None:
        self._origin = origin
        self._buffer = b""
        self._busy = False
        self._ordinals: dict[str, int] = {}
        self._head_left = 0
        self._count = Count()
        self._sending: _Sending | None = None
        self._waiting: Any = None
        self._gone: list[Deferred[None]] = []

    # -- for the sending side

    def seconds(self) -> float:
        """Now."""
        now: float = self._origin.reactor.seconds()
        return now

    def call_later(self, delay: float, function: Any, *arguments: Any) -> Any:
        """Schedule on the origin's reactor."""
        return self._origin.reactor.callLater(delay, function, *arguments)

    def send(self, data: bytes) -> None:
        """Write body bytes; behind TLS they count when written, else when the socket took them."""
        if self._encrypted:
            self._count.body_bytes += len(data)
        self._transport.write(data)

    def wrote(self, count: int) -> None:
        """The socket took so many bytes: first those of the head, then body."""
        head = min(count, self._head_left)
        self._head_left -= head
        self._count.body_bytes += count - head

    # -- life

    def connectionMade(self) -> None:
        """Begin to listen to the client."""
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        self._transport = transport
        self._encrypted = hasattr(self._transport, "getPeerCertificate")
        self._origin.connections.add(self)

    def connectionLost(self, reason: object = None) -> None:
        """Forget what was under way."""
        self._origin.closed(self)
        if self._sending is not None:
            self._sending.stopProducing()
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        waiting, self._gone = self._gone, []
        for each in waiting:
            each.callback(None)

    def cut(self) -> Deferred[None]:
        """Reset the connection; fires when it is gone."""
        if self not in self._origin.connections:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        self._transport.abortConnection()
        return gone

    def dataReceived(self, data: bytes) -> None:
        """Collect a request; the next one waits until this one is answered."""
        self._buffer += data
        if len(self._buffer) > MAX_REQUEST:
            self._transport.abortConnection()
        elif not self._busy:
            self._next()

    def _next(self) -> None:
        try:
            parsed = parse(self._buffer)
        except (_Malformed, ValueError):
            self._transport.write(simple(400).head())
            self._transport.loseConnection()
            return
        if parsed is None:
            return
        request, length = parsed
        self._buffer = self._buffer[length:]
        self._busy = True
        self.answer(request)

    def answer(self, request: Request) -> None:
        """Answer a request, or ask again whether it may be answered."""
        self._count = self._origin.count(request.path)
        given = self._origin.refusal(self, request)
        if given is None:
            given = self._origin.respond(request, self._ordinal)
        if given.delay:
            self._waiting = self.call_later(given.delay, self._answer, given)
        else:
            self._answer(given)

    def _ordinal(self, path: str) -> int:
        """Which of the connections that asked for ``path`` this is, from 1."""
        if path not in self._ordinals:
            self._count.connections += 1
            self._ordinals[path] = self._count.connections
        return self._ordinals[path]

    def _answer(self, given: Answer) -> None:
        if given.mute:
            if given.ending == "reset":
                self._transport.abortConnection()
            return
        head = given.head()
        self._head_left = len(head)
        self._transport.write(head)
        if given.size == 0:
            self.body_sent(given)
            return
        self._sending = _Sending(self, given)
        self._transport.registerProducer(self._sending, False)

    def body_sent(self, given: Answer) -> None:
        """All that the answer has was written: end as it says."""
        if self._sending is not None:
            self._sending = None
            self._transport.unregisterProducer()
        if given.framing == "chunked" and given.ending == "keep" and not given.head_only:
            self._transport.write(b"0\r\n\r\n")
        if given.ending == "reset":
            self._transport.abortConnection()
        elif given.ending == "close":
            self._transport.loseConnection()
        elif given.ending == "keep":
            self._busy = False
            self._next()
