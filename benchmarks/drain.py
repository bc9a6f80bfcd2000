"""Clients that cost next to nothing: they read the header and have the kernel drop the body.

``MSG_TRUNC`` on a TCP socket discards received bytes without copying them, so that a server is
measured and not its client.  Prints one JSON list with one item per connection.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import selectors
import socket
import ssl
import sys
import time
from typing import Any

READ = 4 << 20
MAX_HEAD = 1 << 16


class Drain:
    """One request on one connection."""

    def __init__(self, port: int, path: str, rate: int, receive: int) -> None:
        self.began = time.monotonic()
        self.sock = socket.socket()
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.setblocking(False)
        self.sock.connect_ex(("127.0.0.1", port))
        self.request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        self.rate = rate
        self.head = b""
        self.status = 0
        self.length = -1
        self.got = 0
        self.first = 0.0
        self.took = 0.0
        self.error = ""

    def write(self) -> None:
        """Send the request; what goes wrong is met again, and noted, by ``read``."""
        with contextlib.suppress(OSError):
            self.sock.send(self.request.encode())

    def read(self, scratch: memoryview) -> bool:
        """Read once; False when it is over."""
        try:
            over = not (self._read_head() if self.length < 0 else self._read_body(scratch))
        except BlockingIOError:
            return True
        except OSError as error:
            self.error, over = str(error), True
        if over or self.got >= self.length >= 0:
            self.took = time.monotonic() - self.began
            self.sock.close()
            return False
        return True

    def _read_head(self) -> bool:
        peeked = self.sock.recv(MAX_HEAD, socket.MSG_PEEK)
        end = peeked.find(b"\r\n\r\n")
        if not peeked or end < 0:
            return bool(peeked)
        self.head = self.sock.recv(end + 4)
        self.status = int(self.head.split(b" ", 2)[1])
        fields = dict(
            line.split(b":", 1) for line in self.head.lower().split(b"\r\n")[1:] if b":" in line
        )
        self.length = int(fields.get(b"content-length", 1 << 62))
        if len(peeked) > end + 4:
            self.first = time.monotonic() - self.began
        return True

    def _read_body(self, scratch: memoryview) -> bool:
        wanted = READ
        if self.rate:
            allowed = int((time.monotonic() - self.began) * self.rate) - self.got
            wanted = max(0, min(wanted, allowed))
            if wanted == 0:
                return True
        count = self.sock.recv_into(scratch, min(wanted, self.length - self.got), socket.MSG_TRUNC)
        if count and not self.first:
            self.first = time.monotonic() - self.began
        self.got += count
        return count > 0

    def result(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "bytes": self.got,
            "length": self.length,
            "first": self.first,
            "took": self.took,
            "error": self.error,
        }


def run(drains: list[Drain], limit: float) -> None:
    """Until all are done or ``limit`` seconds are over."""
    scratch = memoryview(bytearray(READ))
    selector = selectors.DefaultSelector()
    for drain in drains:
        selector.register(drain.sock, selectors.EVENT_WRITE, drain)
    end = time.monotonic() + limit
    paced = any(drain.rate for drain in drains)
    while selector.get_map() and time.monotonic() < end:
        for key, events in selector.select(0.5):
            drain = key.data
            if events & selectors.EVENT_WRITE:
                drain.write()
                selector.modify(drain.sock, selectors.EVENT_READ, drain)
                continue
            sock = drain.sock
            if not drain.read(scratch):
                selector.unregister(sock)
        if paced:
            time.sleep(0.02)
    for key in list(selector.get_map().values()):
        key.data.error = "not over in time"
        key.data.took = time.monotonic() - key.data.began


def run_tls(port: int, path: str) -> dict[str, Any]:
    """One client over TLS, which has to decrypt what it reads; certificates are not checked."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    began = time.monotonic()
    scratch = bytearray(1 << 18)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as sock:
        sock.sendall(request.encode())
        got, first = 0, 0.0
        while count := sock.recv_into(scratch):
            first = first or time.monotonic() - began
            got += count
    return {"status": 200, "bytes": got, "first": first, "took": time.monotonic() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rate", type=int, default=0, help="bytes per second of each client")
    parser.add_argument("--receive-buffer", type=int, default=0)
    parser.add_argument("--limit", type=float, default=120)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("paths", nargs="+", help="each client takes the next one, in turn")
    options = parser.parse_args()
    if options.tls:
        results = [run_tls(options.port, path) for path in options.paths]
    else:
        paths = [options.paths[n % len(options.paths)] for n in range(options.clients)]
        drains = [Drain(options.port, p, options.rate, options.receive_buffer) for p in paths]
        run(drains, options.limit)
        results = [drain.result() for drain in drains]
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
