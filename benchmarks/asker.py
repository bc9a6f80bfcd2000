"""Clients that ask for many different files, each on one kept connection, at little cost.

Prints one JSON object: seconds, requests, bytes of bodies, and how many requests failed.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time
from collections import deque

READ = 1 << 18


class Asker:
    """One connection, which asks for the next of ``paths`` as soon as it has an answer."""

    def __init__(self, port: int, paths: deque[str], accept: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self._tail = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {accept}\r\n\r\n"
        self._paths = paths
        self._head = b""
        self._left = 0
        self._good = True
        self.bytes = self.failures = self.requests = 0

    def ask(self) -> bool:
        """Ask for the next file; False when there is none."""
        if not self._paths:
            return False
        self.sock.send(f"GET {self._paths.popleft()}{self._tail}".encode())
        self.requests += 1
        return True

    def read(self) -> bool:
        """Read what is there; False when all is done or the connection is lost."""
        data = self.sock.recv(READ)
        if not data:
            self.failures += 1
            return False
        if self._left:
            self._left -= len(data)
            self.bytes += len(data)
        else:
            self._begin(self._head + data)
        if self._left or self._head:
            return True
        self.failures += not self._good
        return self.ask()

    def _begin(self, data: bytes) -> None:
        head, end, body = data.partition(b"\r\n\r\n")
        self._head = b"" if end else data
        if end:
            place = head.lower().index(b"\r\ncontent-length:")
            length = int(head[place + 17 :].split(b"\r\n", 1)[0])
            self._good = head[9:12] == b"200"
            self._left = length - len(body)
            self.bytes += len(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--accept", default="*/*", help="what they would have")
    parser.add_argument("paths", help="a file with one path a line")
    options = parser.parse_args()
    with open(options.paths, encoding="utf-8") as lines:
        paths = deque(lines.read().split())
    selector = selectors.DefaultSelector()
    askers = [Asker(options.port, paths, options.accept) for _ in range(options.clients)]
    began = time.monotonic()
    for asker in askers:
        if asker.ask():
            selector.register(asker.sock, selectors.EVENT_READ, asker)
    while selector.get_map():
        for key, _ in selector.select(60):
            if not key.data.read():
                selector.unregister(key.fileobj)
    took = time.monotonic() - began
    totals = {
        name: sum(getattr(asker, name) for asker in askers)
        for name in ("requests", "bytes", "failures")
    }
    json.dump({"seconds": took, **totals}, sys.stdout)


if __name__ == "__main__":
    main()
