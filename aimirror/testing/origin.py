"""An HTTP/1.1 origin that does what its script says, fast where it is honest.

In a test it runs in the same reactor (``Origin(reactor)``, ``listen()`` on 127.0.0.1); as a
program (``python -m aimirror.testing.origin``) it is scripted over HTTP, below ``/_origin/``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve
from twisted.internet import tcp
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from aimirror.testing.answers import Answer, Request, answer, simple
from aimirror.testing.behaviour import Count, Resource, resource, scripted
from aimirror.testing.serving import OriginProtocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IOpenSSLContextFactory

#: Requests remembered for tests to look at.
REMEMBERED = 1000

#: Where a separate process is scripted and asked.
CONTROL = "/_origin/"


class _CountingServer(tcp.Server):
    """A connection that tells its protocol what really went into the socket."""

    #: Bytes per send(2): large, since large responses are what this is for.
    SEND_LIMIT = 1 << 20

    def writeSomeData(self, data: bytes) -> int | ConnectionLost:
        """Write, and report how much was taken."""
        written = super().writeSomeData(data)
        wrote = getattr(self.protocol, "wrote", None)
        if wrote is not None and isinstance(written, int) and written > 0:
            wrote(written)
        return written


class _CountingPort(tcp.Port):
    transport = _CountingServer


class _Signatures:
    """Signed URLs: valid for a time and a number of requests."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}

    def sign(self, path: str, expires: float, uses: int) -> str:
        """The query that makes ``path`` valid until ``expires`` (0 = always)."""
        number = len(self._uses)
        said = f"expires={expires:.3f}&uses={uses}&n={number}"
        signature = self._digest(path, said)
        self._uses[signature] = 0
        return f"{said}&signature={signature}"

    def valid(self, path: str, query: str, now: float) -> bool:
        """Whether a request may pass; counts it."""
        said, _, signature = query.rpartition("&signature=")
        if signature not in self._uses or signature != self._digest(path, said):
            return False
        parts = dict(part.split("=", 1) for part in said.split("&"))
        expires, uses = float(parts["expires"]), int(parts["uses"])
        self._uses[signature] += 1
        return (not expires or now <= expires) and (not uses or self._uses[signature] <= uses)

    def _digest(self, path: str, said: str) -> str:
        return hmac.new(b"origin", f"{path}?{said}".encode(), hashlib.sha256).hexdigest()


class Origin(ServerFactory):
    """An origin on any number of ports of 127.0.0.1 (each is another host to a client)."""

    noisy = False

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.requests: deque[Request] = deque(maxlen=REMEMBERED)
        self.connections: set[OriginProtocol] = set()
        self.asking: set[OriginProtocol] = set()
        #: Connections at one time from which on one more is refused, 0 = none; and how: a status,
        #: "close", "hang" (for ever) or "queue" (until one of the others is closed).
        self.bears = 0
        self.refuses = "503"
        #: The most that there were, how many were refused, and how many were not.
        self.most_asking = self.refused = self.accepted = 0
        #: Requests that wait for a connection to be closed.
        self.queued: deque[tuple[OriginProtocol, Request]] = deque()
        self._counts: dict[str, Count] = {}
        self._resources: dict[str, Resource] = {}
        self._signatures = _Signatures()
        self._ports: list[Any] = []

    def listen(self, port: int = 0, tls: IOpenSSLContextFactory | None = None) -> int:
        """Listen on 127.0.0.1, for TLS where a context factory is given; returns the port."""
        factory = self if tls is None else TLSMemoryBIOFactory(tls, False, self)
        listening: Any = _CountingPort(port, factory, 511, "127.0.0.1", self.reactor)
        listening.startListening()
        self._ports.append(listening)
        number: int = listening.getHost().port
        return number

    def close(self) -> Deferred[Any]:
        """Stop listening and cut every connection; fires when all is closed."""
        stopped = [maybeDeferred(port.stopListening) for port in self._ports]
        gone = [connection.cut() for connection in tuple(self.connections)]
        return gatherResults([*stopped, *gone])

    def put(self, path: str, content: bytes = b"", **more: Any) -> None:
        """Serve ``content`` at a raw path; ``more`` as for ``behaviour.resource``."""
        self.add(resource(path, content, **more))

    def add(self, added: Resource) -> None:
        """Serve a resource at its path, with fresh counts."""
        self._resources[added.path] = added
        self._counts[added.path] = Count()

    def count(self, path: str) -> Count:
        """What was asked of a path; body bytes as the socket took them, framing included."""
        return self._counts.setdefault(path, Count())

    def buildProtocol(self, addr: object) -> OriginProtocol:
        """A protocol that asks this origin what to answer."""
        return OriginProtocol(self)

    def refusal(self, asking: OriginProtocol, request: Request) -> Answer | None:
        """What one connection too many gets, None for the others."""
        if request.path.startswith(CONTROL):
            return None
        if asking in self.asking or not self.bears or len(self.asking) < self.bears:
            self.accepted += asking not in self.asking
            self.asking.add(asking)
            self.most_asking = max(self.most_asking, len(self.asking))
            return None
        self.refused += 1
        if self.refuses == "queue":
            self.queued.append((asking, request))
        if self.refuses.isdigit():
            return evolve(simple(int(self.refuses)), ending="close")
        return Answer(status=0, mute=True, ending="reset" if self.refuses == "close" else "hang")

    def closed(self, connection: OriginProtocol) -> None:
        """A connection is gone: those that queue are answered in its place."""
        self.connections.discard(connection)
        self.asking.discard(connection)
        queued, self.queued = self.queued, deque()
        for other, request in queued:
            if other in self.connections:
                other.answer(request)

    def respond(self, request: Request, connection_of: Callable[[str], int]) -> Answer:
        """What to answer; ``connection_of`` numbers the asking connection among a path's."""
        if request.path.startswith(CONTROL):
            return self._control(request)
        self.requests.append(request)
        count = self.count(request.path)
        count.heads += request.method == "HEAD"
        count.requests += request.method == "GET"
        resource = self._resources.get(request.path)
        if resource is None:
            return simple(404)
        behaviour = resource.behaviour
        if behaviour.needs_signature and not self._valid(request):
            return simple(403, "signature missing, wrong or expired")
        if behaviour.redirect:
            return simple(302, "", ("Location", self._location(behaviour.redirect, resource)))
        given = answer(resource, request, count.requests, connection_of(request.path))
        count.ranged += given.status == 206
        count.not_modified += given.status == 304
        return given

    def _valid(self, request: Request) -> bool:
        return self._signatures.valid(request.path, request.query, self.reactor.seconds())

    def _location(self, url: str, resource: Resource) -> str:
        behaviour = resource.behaviour
        if not behaviour.signs:
            return url
        path = "/" + url.split("://", 1)[-1].partition("/")[2]
        expires = self.reactor.seconds() + behaviour.signed_for if behaviour.signed_for else 0.0
        return f"{url}?{self._signatures.sign(path, expires, behaviour.signed_uses)}"

    def _control(self, request: Request) -> Answer:
        """The face of a separate process: script, counts, echo."""
        what = request.path.removeprefix(CONTROL)
        if what == "script":
            for path, script in json.loads(request.body).items():
                self.add(scripted(path, script))
            return simple(200)
        if what == "limits":
            self.most_asking = self.refused = self.accepted = 0
            self.asking.clear()
            self.bears, self.refuses = json.loads(request.body)
            return simple(200)
        if what == "asking":
            return _json([self.most_asking, self.refused, self.accepted])
        if what == "counts":
            return _json({path: asdict(count) for path, count in self._counts.items()})
        if what == "authorizations":
            authorizations = [r.headers.get("authorization") or "" for r in self.requests]
            return _json({"authorizations": authorizations})
        if what.startswith("echo"):
            said = {
                "method": request.method,
                "target": request.target,
                "headers": list(request.headers),
                "size": len(request.body),
                "sha256": hashlib.sha256(request.body).hexdigest(),
            }
            return _json(said)
        return simple(404)


def _json(value: object) -> Answer:
    return simple(200, json.dumps(value), ("Cache-Control", "no-store"))


def main(arguments: list[str] | None = None) -> None:
    """Run as a program until killed; prints one line when it listens."""
    import argparse
    import sys
    from pathlib import Path

    from twisted.internet import reactor as installed
    from twisted.internet import ssl

    reactor: Any = installed
    parser = argparse.ArgumentParser(
        prog="python -m aimirror.testing.origin", description=main.__doc__
    )
    parser.add_argument("--port", type=int, action="append", help="repeatable; 0 = any")
    parser.add_argument("--tls-port", type=int, action="append", default=[])
    parser.add_argument("--certificate", type=Path, help="PEM, for --tls-port")
    parser.add_argument("--key", type=Path, help="PEM, for --tls-port")
    parser.add_argument("--script", type=Path, help="JSON: path -> size, seed, text, behaviour")
    options = parser.parse_args(arguments)
    origin = Origin(reactor)
    if options.script is not None:
        for path, script in json.loads(options.script.read_text("utf-8")).items():
            origin.add(scripted(path, script))
    ports = [origin.listen(port) for port in options.port or [0]]
    for port in options.tls_port:
        context = ssl.DefaultOpenSSLContextFactory(str(options.key), str(options.certificate))
        ports.append(origin.listen(port, context))
    sys.stdout.write(f"listening {' '.join(map(str, ports))}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
