"""Upstreams that serve few connections, whose others wait in the kernel, by real sockets."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time

from tests.e2e.support import CONTENT, SIZE, EndToEndTests, InBackground
from tests.e2e.test_limits import PATIENCE

_RANGE = re.compile(rb"Range: bytes=(\d+)-(\d*)", re.IGNORECASE)


class Server:
    """Serves CONTENT on ``count`` kept connections at a time; accepts no others meanwhile."""

    def __init__(self, count: int, backlog: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port: int = self.listener.getsockname()[1]
        for _ in range(count):
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with contextlib.suppress(OSError), client:
                    while request := client.recv(65536):
                        client.sendall(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        time.sleep(0.2)
        asked = _RANGE.search(request)
        start, stop = 0, SIZE
        status = b"200 OK"
        if asked is not None:
            start, stop = int(asked[1]), min(SIZE, int(asked[2] or SIZE) + 1)
            status = b"206 Partial Content\r\nContent-Range: bytes %d-%d/%d" % (
                start,
                stop - 1,
                SIZE,
            )
        head = b'HTTP/1.1 %b\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % (status, stop - start)
        return head + CONTENT[start:stop]


class OneAtATimeTests(EndToEndTests):
    """Four clients want a file each."""

    def play(self, count: int, backlog: int, strategy: str = "parallel") -> None:
        server = Server(count, backlog)
        self.addCleanup(server.listener.close)
        upstream = f"http://127.0.0.1:{server.port}"
        service = self.start(upstream=upstream, strategy=strategy)
        begun = time.monotonic()
        clients = [InBackground(service.get, f"/{n}.bin") for n in range(4)]
        for each in clients:
            self.assertWhole(each.result())
        self.assertLess(time.monotonic() - begun, PATIENCE + 10)

    def test_backlog(self) -> None:
        """Others are connected and wait for their turn."""
        self.play(1, 64)

    def test_backlog_of_two(self) -> None:
        """So it is where two are served."""
        self.play(2, 64)

    def test_dropped(self) -> None:
        """Others are not even connected, as behind a firewall that drops what is too much."""
        self.play(1, 0)

    def test_streams(self) -> None:
        """Files of one stream come one after the other."""
        self.play(1, 64, "proxy")
