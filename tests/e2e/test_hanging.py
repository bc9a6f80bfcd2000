"""Upstreams that hang, or that can't be connected to, by real sockets."""

from __future__ import annotations

import socket
import threading
import time

from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import EndToEndTests, InBackground

#: Seconds of the service's own patience, for connecting and for a header.
PATIENCE = 2.0
PAGES = [f"/page/{n}" for n in range(6)]
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=0\r\n"
    b"Connection: close\r\n\r\nhello"
)


class Upstream:
    """A port that answers everything, and later nothing."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self.listener.getsockname()[1]
        self.held: list[socket.socket] = []
        self._answering = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._answering:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self._answering:
                client.recv(65536)
                client.sendall(ANSWER)
            client.close()

    def hang(self, *, connectable: bool) -> None:
        """From now on connections are never accepted; or none can be made any more."""
        self._answering = False
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(10)
        self.listener.listen(64 if connectable else 0)
        if not connectable:  # what is beyond the queue is dropped as by a firewall
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self.port))
                self.held.append(filler)
            time.sleep(0.2)

    def close(self) -> None:
        for each in (self.listener, *self.held):
            each.close()


class HangingTests(EndToEndTests):
    def play(self, *, connectable: bool, strategy: str) -> None:
        upstream = Upstream()
        self.addCleanup(upstream.close)
        rule = self.rule(
            upstream=f"http://127.0.0.1:{upstream.port}", strategy=strategy, immutable=False
        )
        patience = {"connect": PATIENCE, "header": PATIENCE}
        service = ServiceProgram(self.folder, [rule], server={"timeouts": patience})
        self.addCleanup(service.program.kill)
        for page in PAGES:
            self.assertEqual(service.get(page).status, 200)
        upstream.hang(connectable=connectable)
        known = 1 if not connectable else 2  # pages that say nothing until it is the host
        for page in PAGES[:known]:
            self.assertStale(service, page)
        begun = time.monotonic()
        replies = [InBackground(self.assertStale, service, page) for page in PAGES * 3]
        took = sorted(reply.result() for reply in replies)
        self.assertLess(took[len(took) - 2], PATIENCE / 2)  # one may be the one that tries
        self.assertLess(time.monotonic() - begun, 3 * PATIENCE)

    def assertStale(self, service: ServiceProgram, page: str) -> float:
        """The stored copy stands in; the seconds that it took."""
        begun = time.monotonic()
        reply = service.get(page)
        self.assertEqual((reply.status, reply.body), (200, b"hello"))
        self.assertEqual(reply.headers.get("x-cache"), "STALE")
        return time.monotonic() - begun

    def test_never_accepts(self) -> None:
        """Where connections are made and nothing is ever said, few requests wait, by a window."""
        self.play(connectable=True, strategy="proxy")

    def test_never_accepts_ranges(self) -> None:
        """So it is where files are fetched in ranges."""
        self.play(connectable=True, strategy="parallel")

    def test_never_connects(self) -> None:
        """Where no connection can be made, one request waits."""
        self.play(connectable=False, strategy="parallel")
