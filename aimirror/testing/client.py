"""A blocking HTTP client for tests of a running server: sends what it is told, hides nothing."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from attrs import field, frozen

from aimirror.http.headers import Headers

#: Seconds of silence after which a reply counts as failed.
SILENCE = 20.0

#: Bytes of a header block, bytes per read.
_MAX_HEAD = 1 << 16
_READ = 1 << 18


class Broken(Exception):
    """The connection ended before the reply did; ``received`` are the body bytes until then."""

    def __init__(self, received: bytes, why: str) -> None:
        super().__init__(f"{why} after {len(received)} bytes of body")
        self.received = received


@frozen
class Reply:
    """A whole reply; times are seconds since the request was begun."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)
    first_byte: float = 0.0
    took: float = 0.0

    @property
    def sha256(self) -> str:
        """Digest of the body, hex."""
        return hashlib.sha256(self.body).hexdigest()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class _Stream:
    """Buffered reads from a socket."""

    def __init__(self, sock: socket.socket, began: float) -> None:
        self._sock = sock
        self._began = began
        self._buffer = b""
        self.first_byte = 0.0

    def more(self) -> bool:
        """Read once; False at the end."""
        data = self._sock.recv(_READ)
        if data and not self.first_byte:
            self.first_byte = time.monotonic() - self._began
        self._buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Bytes up to a mark, which is consumed."""
        while mark not in self._buffer:
            if len(self._buffer) > _MAX_HEAD or not self.more():
                raise ConnectionError(f"no {mark!r} in {self._buffer[:80]!r}")
        before, _, self._buffer = self._buffer.partition(mark)
        return before

    def exactly(self, count: int) -> bytes:
        """So many bytes, or fewer at the end of the stream or when it fails."""
        parts = [self._buffer[:count]]
        self._buffer = self._buffer[count:]
        got = len(parts[0])
        try:
            while got < count and self.more():
                parts.append(self._buffer[: count - got])
                self._buffer = self._buffer[count - got :]
                got += len(parts[-1])
        except OSError as error:
            raise Broken(b"".join(parts), str(error)) from error
        return b"".join(parts)


def request(
    port: int,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    method: str = "GET",
    body: bytes = b"",
    started: Callable[[], None] | None = None,
) -> Reply:
    """One exchange on a connection of its own to 127.0.0.1; the target is sent to the letter.

    ``started`` is called when the header of the reply is there.  Raises Broken when the body ends
    early, OSError when no header comes.
    """
    fields = Headers([("Host", f"127.0.0.1:{port}"), ("Connection", "close")])
    for name, value in headers:
        fields = fields.with_(name, value)
    if body:
        fields = fields.with_("Content-Length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), SILENCE) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        stream = _Stream(sock, began)
        status, fields = _head(stream)
        if started is not None:
            started()
        bodiless = method == "HEAD" or status in (204, 304)
        content = b"" if bodiless else _content(stream, fields)
        return Reply(status, fields, content, stream.first_byte, time.monotonic() - began)


def _head(stream: _Stream) -> tuple[int, Headers]:
    """The status and header of the final reply, interim ones skipped."""
    while True:
        first, *rest = stream.until(b"\r\n\r\n").split(b"\r\n")
        status = int(first.split(b" ")[1])
        if status >= 200:
            pairs = [line.partition(b":") for line in rest]
            return status, Headers.from_raw((name, value.strip()) for name, _, value in pairs)


def _content(stream: _Stream, headers: Headers) -> bytes:
    if "chunked" in headers.tokens("Transfer-Encoding"):
        return _chunks(stream)
    length = headers.get("Content-Length")
    if length is None:
        return stream.exactly(1 << 62)
    content = stream.exactly(int(length))
    if len(content) < int(length):
        raise Broken(content, "end of stream")
    return content


def _chunks(stream: _Stream) -> bytes:
    content = b""
    while True:
        try:
            size = int(stream.until(b"\r\n").split(b";")[0], 16)
            chunk = stream.exactly(size)
            content += chunk
            if len(chunk) < size:
                raise ConnectionError("end of stream")
            stream.until(b"\r\n")
        except Broken as broken:
            raise Broken(content + broken.received, "end of stream") from broken
        except OSError as error:
            raise Broken(content, str(error)) from error
        if size == 0:
            return content
