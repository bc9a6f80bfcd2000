"""An S3 store that does what it should, and lies as it is told.

``Script.answer`` is all of it, without I/O; ``InMemory`` is an upstream that asks it, ``Served``
an HTTP server in threads of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from base64 import b64encode
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Outgoing, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop, IReceiver, IUpstream, IUpstreamResponse, UpstreamError

ACCESS, SECRET = "AKIDTEST", "secret-of-the-test"


@frozen
class Reply:
    """An answer of the store; ``cut`` is how many bytes of the body come before the end."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    cut: int | None = None


@define
class Script:
    """The objects of a bucket by path (``/bucket/name``), and the lies."""

    objects: dict[str, bytes] = Factory(dict)
    #: Answers with 200 and a Content-Range to a Range, or with all of the object.
    part_as_200: bool = False
    ignores_range: bool = False
    ignores_credentials: bool = False
    ignores_digests: bool = False
    #: Keeps what came of an upload that broke off.
    keeps_broken: bool = False
    #: Loses the second half of what is written, and damages what is read.
    truncates: bool = False
    damages: bool = False
    #: Answers everything with this status, or not at all.
    status: int = 0
    away: bool = False
    #: Ends bodies of blobs after so many bytes.
    cut: int | None = None
    #: Requests by method and kind of object ("blobs", "entries", …), and bytes of bodies sent.
    counts: Counter[str] = Factory(Counter)
    sent: int = 0
    _uploads: dict[str, dict[int, bytes]] = Factory(dict)

    def answer(self, method: str, url: str, headers: Headers, body: bytes) -> Reply:
        """What the store says to a request."""
        parts = urlsplit(url)
        path = unquote(parts.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.counts[f"{method} {_kind(path, query)}"] += 1
        if self.status:
            return _error(self.status, "SlowDown" if self.status == 503 else "InternalError")
        if not self.ignores_credentials and not _signed_well(method, url, headers):
            return _error(403, "SignatureDoesNotMatch")
        if method in ("PUT", "POST"):
            return self._write(method, path, query, headers, body)
        if method == "DELETE":
            self.objects.pop(path, None)
            return Reply(204)
        if "list-type" in query:
            return self._list(path, query)
        return self._read(method, path, headers)

    def named(self, kind: str) -> list[str]:
        """The paths of the objects of one kind."""
        return sorted(path for path in self.objects if f"/{kind}/" in path)

    def _write(
        self, method: str, path: str, query: dict[str, str], headers: Headers, body: bytes
    ) -> Reply:
        if not self.ignores_digests and not _digests_fit(headers, body):
            return _error(400, "BadDigest")
        if "uploads" in query:
            upload = f"upload-{len(self._uploads)}"
            self._uploads[upload] = {}
            return Reply(200, body=f"<R><UploadId>{upload}</UploadId></R>".encode())
        if method == "POST":
            parts = self._uploads.pop(query["uploadId"])
            self.objects[path] = b"".join(parts[number] for number in sorted(parts))
            return Reply(200, body=b"<CompleteMultipartUploadResult/>")
        if "uploadId" in query:
            self._uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.objects[path] = body[: len(body) // 2] if self.truncates else body
        return Reply(200, (("ETag", f'"{hashlib.md5(body).hexdigest()}"'),))

    def _read(self, method: str, path: str, headers: Headers) -> Reply:
        data = self.objects.get(path)
        if data is None:
            return _error(404, "NoSuchKey")
        if self.damages and "/blobs/" in path:
            data = bytes([data[0] ^ 1]) + data[1:]
        fields = [("ETag", f'"{hashlib.md5(data).hexdigest()}"'), ("Accept-Ranges", "bytes")]
        status = 200
        span = headers.get("range")
        if span and not self.ignores_range:
            start, _, last = span.removeprefix("bytes=").partition("-")
            stop = min(len(data), int(last) + 1)
            fields.append(("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}"))
            data = data[int(start) : stop]
            status = 200 if self.part_as_200 else 206
        fields.append(("Content-Length", str(len(data))))
        if method == "HEAD":
            return Reply(status, tuple(fields))
        self.sent += len(data)
        return Reply(status, tuple(fields), data, self.cut if "/blobs/" in path else None)

    def _list(self, path: str, query: dict[str, str]) -> Reply:
        bucket = path.rstrip("/") + "/"
        names = sorted(p.removeprefix(bucket) for p in self.objects if p.startswith(bucket))
        fitting = [
            n
            for n in names
            if n.startswith(query.get("prefix", "")) and n > query.get("start-after", "")
        ]
        page = fitting[: int(query.get("max-keys", "1000"))]
        items = "".join(
            f"<Contents><Key>{n}</Key><Size>{len(self.objects[bucket + n])}</Size></Contents>"
            for n in page
        )
        more = "true" if len(page) < len(fitting) else "false"
        text = f"<L><IsTruncated>{more}</IsTruncated>{items}</L>"
        return Reply(200, body=text.encode())


def _kind(path: str, query: dict[str, str]) -> str:
    if "list-type" in query:
        return "list"
    kinds = ("blobs", "entries", "orders", "probe")
    return next((kind for kind in kinds if f"/{kind}/" in path), "other")


def _error(status: int, code: str) -> Reply:
    body = f"<Error><Code>{code}</Code></Error>".encode()
    return Reply(status, (("Content-Length", str(len(body))),), body)


def _digests_fit(headers: Headers, body: bytes) -> bool:
    digest = hashlib.sha256(body)
    signed = headers.get("x-amz-content-sha256", "")
    checksum = headers.get("x-amz-checksum-sha256")
    if signed not in ("UNSIGNED-PAYLOAD", digest.hexdigest()):
        return False
    return checksum is None or checksum == b64encode(digest.digest()).decode()


def _signed_well(method: str, url: str, headers: Headers) -> bool:
    """Signature version 4, in the fields or in the query, computed from the standard's text."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    words = dict(query)
    if "X-Amz-Signature" in words:
        scope, date = words["X-Amz-Credential"], words["X-Amz-Date"]
        names, given = words["X-Amz-SignedHeaders"], words["X-Amz-Signature"]
        query = [pair for pair in query if pair[0] != "X-Amz-Signature"]
        payload = "UNSIGNED-PAYLOAD"
    elif "authorization" in headers:
        scheme = (headers.get("authorization") or "").partition(" ")[2].split(", ")
        fields = dict(field.split("=", 1) for field in scheme)
        scope, date = fields["Credential"], headers.get("x-amz-date") or ""
        names, given = fields["SignedHeaders"], fields["Signature"]
        payload = headers.get("x-amz-content-sha256") or ""
    else:
        return False
    access, _, rest = scope.partition("/")
    if access != ACCESS:
        return False
    lines = [f"{q(name)}={q(value)}" for name, value in sorted(query)]
    values = headers.with_("Host", parts.netloc)
    signed = "".join(f"{name}:{values.get(name)}\n" for name in names.split(";"))
    request = "\n".join([method, parts.path, "&".join(lines), signed, names, payload])
    text = f"AWS4-HMAC-SHA256\n{date}\n{rest}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for word in rest.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), given)


def q(text: str) -> str:
    """A word of a query as it is signed."""
    return quote(text, safe="-_.~")


@implementer(IUpstreamResponse)
class _Response:
    phrase = ""
    reach = ANYWHERE
    zone = Zone.LOOPBACK
    hops: tuple[Hop, ...] = ()
    framed = True

    def __init__(self, url: str, reply: Reply) -> None:
        self.url = url
        self.status = reply.status
        self.headers = Headers(reply.headers)
        self.length: int | None = len(reply.body)
        self._reply = reply
        self._aborted = False

    def deliver(self, receiver: IReceiver) -> None:
        body, cut = self._reply.body, self._reply.cut
        if body[:cut]:
            receiver.data(body[:cut])
        broken = cut is not None and cut < len(body)
        if not self._aborted:
            receiver.finished(UpstreamError(Reason.SHORT) if broken else None)

    def gather(self, left: int) -> None:
        """All comes at once."""

    def pause(self) -> None:
        """All comes at once."""

    resume = pause

    def abort(self) -> None:
        self._aborted = True


class _Memory:
    """Takes a request's body."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@implementer(IUpstream)
class InMemory:
    """An upstream that leads to the script alone; a request is answered at once."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def request(
        self, outgoing: Outgoing, body: Any = None, redirects: int = 0
    ) -> Deferred[IUpstreamResponse]:
        """See IUpstream."""
        if self.script.away:
            self.script.counts["away"] += 1
            return fail(UpstreamError(Reason.CONNECT, "refused"))
        memory = _Memory()
        if body is not None:
            broken: list[object] = []
            body.startProducing(memory).addErrback(broken.append)
            if broken:
                if self.script.keeps_broken:
                    self.script.objects[urlsplit(outgoing.url).path] = memory.data
                return fail(UpstreamError(Reason.RESET, "the body broke off"))
        reply = self.script.answer(outgoing.method, outgoing.url, outgoing.headers, memory.data)
        return succeed(_Response(outgoing.url, reply))


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients leave as they like."""


class Served:
    """The script behind a port of 127.0.0.1; ``close`` ends it."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self._server = _Quiet(("127.0.0.1", port), _handler(script))
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            headers = Headers(self.headers.items())
            url = f"http://{self.headers['Host']}{self.path}"
            if len(body) < length:
                if script.keeps_broken:
                    script.objects[urlsplit(url).path] = body
                self.close_connection = True
                return
            if script.away:
                self.close_connection = True
                return
            self._reply(script.answer(self.command, url, headers, body))

        def _reply(self, reply: Reply) -> None:
            self.send_response(reply.status)
            fields = Headers(reply.headers)
            for name, value in fields.with_(
                "Content-Length", fields.get("content-length") or str(len(reply.body))
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None and reply.cut < len(reply.body):
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler
