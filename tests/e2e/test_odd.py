"""Origins that answer ranges in odd ways, by real sockets: a plain GET gets all from each."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable

from aimirror.testing import client
from tests.e2e.support import EndToEndTests, pattern

SIZE = 2_000_000
BODY = pattern(SIZE, 3)
TAG = b'ETag: "v1"\r\n'
#: Seconds within which a client is told of a failure.
SOON = 10
_RANGE = re.compile(rb"\nRange: bytes=(\d+)-(\d*)", re.IGNORECASE)

Span = tuple[int, int]


def whole() -> bytes:
    """The answer to a request without a range."""
    return b"HTTP/1.1 200 OK\r\n" + TAG + b"Content-Length: %d\r\n\r\n" % SIZE + BODY


def part(span: Span, said: bytes = b"", tag: bytes = TAG) -> bytes:
    """A 206; ``said`` is a Content-Range in place of the right one."""
    start, stop = span
    said = said or b"bytes %d-%d/%d" % (start, stop - 1, SIZE)
    length = b"Content-Length: %d\r\n\r\n" % (stop - start)
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: " + said + b"\r\n"
    return head + tag + length + BODY[start:stop]


def status(line: bytes, fields: bytes = b"", body: bytes = b"") -> Callable[[Span], bytes]:
    """The same answer to any range."""
    length = b"" if line[:3] in (b"204", b"304") else b"Content-Length: %d\r\n" % len(body)
    return lambda span: b"HTTP/1.1 " + line + b"\r\n" + fields + length + b"\r\n" + body


def total_unknown(span: Span) -> bytes:
    """A 206 that does not say how large the file is."""
    return part(span, b"bytes %d-%d/*" % (span[0], span[1] - 1))


def other_total(span: Span) -> bytes:
    """A 206 of the same version, of another size."""
    return part(span, b"bytes %d-%d/%d" % (span[0], span[1] - 1, SIZE + 7))


def twice(span: Span) -> bytes:
    """A 206 with two sizes."""
    return part(span, b"bytes 0-5/9\r\nContent-Range: bytes %d-%d/%d" % (*span, SIZE))


def gzipped(span: Span) -> bytes:
    """A 206 of what is not the file."""
    return part(span, tag=TAG + b"Content-Encoding: gzip\r\n")


def half(span: Span) -> bytes:
    """A 206 that brings less than was asked for."""
    return part((span[0], span[0] + max(1, (span[1] - span[0]) // 2)))


LOGIN = status(b"200 OK", b"Content-Type: text/html\r\n", b"<html>log in")
#: Answers to all ranges; and to all but the first.
ALWAYS = {
    "bad": status(b"400 Bad Request"),
    "unacceptable": status(b"406 Not Acceptable"),
    "failed": status(b"412 Precondition Failed"),
    "unsatisfied": status(b"416 Range Not Satisfiable"),
    "missing": status(b"501 Not Implemented"),
    "unknown": total_unknown,
    "twice": twice,
    "half": half,
    "gzipped": gzipped,
}
LATER = {
    "later-empty": status(b"204 No Content"),
    "later-moved": status(b"302 Found", b"Location: /elsewhere\r\n"),
    "later-same": status(b"304 Not Modified"),
    "later-bad": status(b"400 Bad Request"),
    "later-gone": status(b"404 Not Found"),
    "later-unsatisfied": status(b"416 Range Not Satisfiable"),
    "later-login": LOGIN,
    "later-unknown": total_unknown,
    "later-other": other_total,
    "later-gzipped": gzipped,
}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
#: What no client can read.
BROKEN = {
    "not-hex": CHUNKED + b"zz\r\n",
    "no-end": CHUNKED,
    "no-line": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5" * 5000,
    "headerless": b"hello, world\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 8\r\n\r\nhello",
}
#: What comes before the answer.
BEFORE = {
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 2,
}


class Origin:
    """Answers by the last segment of the path."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.listener.getsockname()[1]
        self._ranged: set[bytes] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                served, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(served,), daemon=True).start()

    def _serve(self, served: socket.socket) -> None:
        with contextlib.suppress(OSError), served:
            while request := served.recv(65536):
                path = request.split(b" ", 2)[1]
                kind = path.rpartition(b"/")[2].decode()
                served.sendall(BROKEN.get(kind) or self._answer(request, path, kind))
                if kind in BROKEN:
                    return

    def _answer(self, request: bytes, path: bytes, kind: str) -> bytes:
        asked = _RANGE.search(request)
        if asked is None:
            return BEFORE.get(kind, b"") + whole()
        span = int(asked[1]), min(SIZE, int(asked[2] or SIZE) + 1)
        first = path not in self._ranged
        self._ranged.add(path)
        if kind in ALWAYS:
            return ALWAYS[kind](span)
        if kind in LATER and not first:
            return LATER[kind](span)
        return BEFORE.get(kind, b"") + part(span)


class OddTests(EndToEndTests):
    def setUp(self) -> None:
        super().setUp()
        odd = Origin()
        self.addCleanup(odd.listener.close)
        self.service = self.start(upstream=f"http://127.0.0.1:{odd.port}", chunk_size=500_000)

    def play(self, kinds: dict[str, object]) -> None:
        lost = [kind for kind in kinds if not self.whole(f"/{kind}")]
        self.assertEqual(lost, [])

    def whole(self, path: str) -> bool:
        """Whether a client gets all, and again what is stored."""
        with contextlib.suppress(client.Broken):
            return all(
                (reply.status, reply.body) == (200, BODY)
                for reply in (self.service.get(path), self.service.get(path))
            )
        return False

    def test_always(self) -> None:
        """However ranges are refused, the file comes whole."""
        self.play(dict(ALWAYS))

    def test_later(self) -> None:
        """So it does where the first range alone is answered."""
        self.play(dict(LATER))

    def test_interim(self) -> None:
        """What comes before an answer is not the answer."""
        self.play(dict(BEFORE))

    def test_broken(self) -> None:
        """What can't be read is a failure that clients see, and soon."""
        for kind in BROKEN:
            begun = time.monotonic()
            with contextlib.suppress(client.Broken, OSError):
                self.assertGreaterEqual(self.service.get(f"/{kind}").status, 500, kind)
            self.assertLess(time.monotonic() - begun, SOON, kind)
