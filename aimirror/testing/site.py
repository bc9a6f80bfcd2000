"""A small upstream in a thread of the test's own process: files by raw path, every request kept.

For tests of real clients, which block the test while they run; ``origin`` is for faults and speed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import define, evolve, field, frozen

_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z")
#: Epoch seconds: when files were modified that say nothing else.
MODIFIED = 1_700_000_000


@frozen
class Asked:
    """A request as it was received."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@frozen
class File:
    """What is served at a path."""

    content: bytes
    media_type: str = "application/octet-stream"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    #: With its quotes; "" makes one of the content.
    etag: str = ""
    #: Epoch seconds.
    modified: int = MODIFIED
    #: The Authorization without which the file is said to be missing.
    authorization: str = ""
    #: Bytes of body after which the connection is reset, None for all of them and no reset.
    cut: int | None = None


@define
class Site:
    """Serves ``files`` on 127.0.0.1; other paths are asked of ``fallback``, else 404.

    ``interrupt`` is asked first of all, for what is to go wrong.
    """

    files: dict[str, File] = field(factory=dict)
    requests: list[Asked] = field(factory=list)
    fallback: Callable[[Asked], File | None] = lambda asked: None
    interrupt: Callable[[Asked], File | None] = lambda asked: None
    #: Body bytes sent, by path.
    sent: dict[str, int] = field(factory=dict)
    port: int = 0
    #: Serves https://localhost under this context.
    tls: ssl.SSLContext | None = None
    _server: Any = None

    @property
    def url(self) -> str:
        """Its base."""
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    def put(self, path: str, content: bytes, media_type: str = "", **more: Any) -> None:
        """Serve a file."""
        self.files[path] = File(content, media_type or "application/octet-stream", **more)

    def spoil(self, path: str) -> None:
        """Change one byte of a file."""
        file = self.files[path]
        middle = len(file.content) // 2
        flipped = bytes([file.content[middle] ^ 0xFF])
        content = file.content[:middle] + flipped + file.content[middle + 1 :]
        self.files[path] = evolve(file, content=content)

    def total(self, suffix: str = "") -> int:
        """Body bytes sent of paths that end so."""
        return sum(count for path, count in self.sent.items() if path.endswith(suffix))

    def start(self) -> None:
        """Listen, on the port of before if there was one."""
        site = self

        class Handler(_Handler):
            served = site

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self.tls is not None:  # each handshake in the thread of its connection
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on; ``start`` begins again."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None

    def answer(self, asked: Asked) -> File:
        """What is served for a request."""
        path = asked.target.partition("?")[0]
        file = self.interrupt(asked) or self.files.get(path) or self.fallback(asked)
        if file is None or (
            file.authorization and asked.headers.get("authorization") != file.authorization
        ):
            return File(b"not found", "text/plain", 404)
        return file


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, which may be kept alive."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """It has ended."""
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End all connections: a server that is gone answers on none."""
        for each in tuple(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Site

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, self._body(headers))
        self.served.requests.append(asked)
        file = self.served.answer(asked)
        tag = file.etag or f'"{hashlib.sha256(file.content).hexdigest()[:16]}"'
        status, start, stop = file.status, 0, len(file.content)
        match = _RANGE.match(headers.get("range", ""))
        if status == 200 and headers.get("if-none-match") == tag:
            status, stop = 304, 0
        elif status == 200 and match and headers.get("if-range", tag) == tag and stop:
            status, start = 206, int(match[1])
            stop = min(stop, int(match[2]) + 1) if match[2] else stop
        self.send_response(status)
        stored = asked.target.partition("?")[0] in self.served.files
        if stored or file.etag:
            self.send_header("ETag", tag)
        if stored:
            self.send_header("Last-Modified", formatdate(file.modified, usegmt=True))
        self.send_header("Content-Type", file.media_type)
        for name, value in file.headers:
            self.send_header(name, value)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(file.content)}")
        if status != 304:
            self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if self.command != "HEAD" and stop > start:
            path = asked.target.partition("?")[0]
            sent = file.content[start:stop][: file.cut]
            self.served.sent[path] = self.served.sent.get(path, 0) + len(sent)
            self.wfile.write(sent)
        if file.cut is not None:
            self._reset()

    def _reset(self) -> None:
        """End the connection with a reset instead of a proper end, once all was delivered."""
        unsent = bytearray(4)
        for _ in range(1000):
            fcntl.ioctl(self.connection.fileno(), termios.TIOCOUTQ, unsent)
            if not any(unsent):
                break
            threading.Event().wait(0.001)
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self.rfile.read(int(headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
