"""The requests of one client connection: read one at a time and in order.

Heads are read strictly by ``head``, processing starts when a head is complete, bodies are
streamed, and what the memo knows is answered at once, mostly without reading the head.
"""

from __future__ import annotations

from math import inf

from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from aimirror.http.headers import Headers
from aimirror.server.access_log import AccessRecord
from aimirror.server.connection import MAX_DRAINED, Connection
from aimirror.server.errors import error_answer
from aimirror.server.gone import ClientGone
from aimirror.server.head import (
    BadRequest,
    Form,
    Head,
    format_head,
    known_likeness,
    parse_head,
)
from aimirror.server.memo import MAX_KEY, Memo, Remembered
from aimirror.server.request import Destinations, MirrorRequest
from aimirror.server.site_base import SiteBase
from aimirror.server.upload import RequestBody

#: Seconds in which a client may read the answer to a broken request before the socket is closed:
#: closing at once would reset the connection and could take the answer with it.
LINGER = 3.0
_NO_FIELDS = Headers()


class MirrorChannel(Connection):
    """A connection that reads requests and hands each to one of ``destinations``."""

    def __init__(self, site: SiteBase, destinations: Destinations, origin: str = "") -> None:
        super().__init__(site, origin)
        self._destinations = destinations
        self._drained = 0
        self._received = 0
        self._serving = False
        #: The framing of a body broke: what follows means nothing.
        self._torn = False
        self._memo: Memo | None = None
        #: Stands before what the memo knows a request by.
        self._realm = b""

    def connectionMade(self) -> None:
        """A client has connected."""
        super().connectionMade()
        self._memo = None if self.origin else self.site.memo
        self._realm = b"https\n" if self._secure else b""

    # Requests

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._heir is not None:
            self._heir.dataReceived(data)
            return
        if self._closing or self._torn:
            return
        if self._body is not None:
            self._receive_body(self._body, data)
        else:
            self._input.feed(data)
        if self._input:
            self._serve()
        elif not self._reading:
            self._set_reading()

    def _repeat(self, raw: bytes) -> bool:
        """Answer from the memo without reading a head whose fields are known, if it has that."""
        if self._memo is None or self._served >= self.site.limits.requests - 1:
            return False
        known = known_likeness(raw, self._realm)
        if known is None:
            return False
        like, fields = known
        now = self.site.seconds()
        answer = self._memo.get(like, now)
        if answer is None:
            return False
        if self.site.guard is not None:
            self.site.guard.check_forwarded(self.peer, _NO_FIELDS)
        if not self._remind(answer, fields.agent, fields.referer, now):
            return False
        self._served += 1
        return True

    def _resemble(self, head: Head) -> bytes | None:
        """The likeness of a request, b"" once it was answered from the memo."""
        like = head.likeness(self._realm)
        if self._memo is None or like is None or len(like) > MAX_KEY:
            return None
        now = self.site.seconds()
        answer = self._memo.get(like, now) if self._served < self.site.limits.requests else None
        get = head.headers.get
        if answer is not None and self._remind(
            answer, get("user-agent") or "", get("referer") or "", now
        ):
            return b""
        return like

    def _remind(self, answer: Remembered, agent: str, referer: str, now: float) -> bool:
        """Send an answer from the memo; False when its body is not there any more."""
        site = self.site
        body = site.memo.content(answer, now)
        if body is None:
            return False
        self.deadline = now + site.limits.keep_alive
        self.write_now(answer.head(now), body)
        site.access(answer.told(agent, referer), self.peer, len(body), 0.0)
        if not answer.persistent:
            self.persistent = 0
            self._hang_up()
        return True

    def _serve(self) -> None:
        """Begin what can be begun: a loop, for many pipelined requests must not recurse."""
        if self._serving:
            return
        self._serving = True
        try:
            while self._input and not (
                self.requests or self._body or self._closing or self._blocked
            ):
                if not self._next():
                    break
        finally:
            self._serving = False
        self._set_reading()

    def _next(self) -> bool:
        """Answer or begin one request; False when its head is not complete."""
        try:
            raw = self._input.take()
            if raw is None:
                if self._input and not self._partial:
                    self._partial = True
                    self.deadline = self.site.seconds() + self.site.limits.head_time
                return False
            self._partial = False
            if self.site.guard is not None:
                self.site.guard.check(self.peer)
            if not self._repeat(raw):
                self._begin(raw)
        except BadRequest as bad:
            self._refuse(bad.status, bad.detail, bad.retry_after)
        return True

    def _begin(self, raw: bytes) -> None:
        self._served += 1
        head = parse_head(raw)
        limits = self.site.limits
        if self.site.guard is not None:
            self.site.guard.check_forwarded(self.peer, head.headers)
        if limits.body_size and (head.length or 0) > limits.body_size:
            raise BadRequest(413, f"request body longer than {limits.body_size} bytes")
        self.persistent = head.persistent and self._served < limits.requests
        like = self._resemble(head)
        if like == b"":
            return
        request = MirrorRequest(self, head, self._destinations, like)
        if head.length != 0:
            self._expect_body(head, request)
        self.requests.append(request)
        self.deadline = inf
        if self.origin or head.form in (Form.ABSOLUTE, Form.AUTHORITY):
            self._destinations.forward(request)
        else:
            self._destinations.here(request)

    def _expect_body(self, head: Head, request: MirrorRequest) -> None:
        """What came with the head may hold all of the body."""
        body = self._body = request.body = RequestBody(head.length, self._body_changed)
        self._drained = self._received = 0
        self._continue = head.expects_continue and not self._input
        rest = body.receive(self._input.take_rest()) if self._input else None
        if rest is not None:
            self._body_ended(body, rest)

    def _receive_body(self, body: RequestBody, data: bytes) -> None:
        self.deadline = self.site.seconds() + self.site.limits.body_silence
        self._continue = False
        self._received += len(data)
        most = self.site.limits.body_size
        try:
            if most and body.size is None and self._received > most:
                raise BadRequest(413, f"request body longer than {most} bytes")
            rest = body.receive(data)
        except BadRequest as bad:
            rest = None
            self.persistent = 0
            self._torn = True
            self._body = None
            body.end(Failure(bad))
        if rest is not None:
            self._body_ended(body, rest)
        elif not self.requests and not self._closing:
            self._drained += len(data)
            if self._drained > MAX_DRAINED or not self.persistent:
                self._hang_up()

    def _body_ended(self, body: RequestBody, rest: bytes) -> None:
        self._body = None
        self._input.feed(rest)
        self.deadline = inf if self.requests else self._idle_deadline()
        body.end()

    def _body_changed(self) -> None:
        """The wish to read the body may have changed."""
        body = self._body
        if body is None:
            return
        if body.reading:
            self.deadline = self.site.seconds() + self.site.limits.body_silence
            if self._continue:  # RFC 9110 section 10.1.1: only now is the body asked for
                self._continue = False
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self.requests:
            self.deadline = inf
        self._set_reading()

    def requestDone(self, request: http.Request) -> None:
        """An answer is complete."""
        self.requests.remove(request)
        if not self.persistent:
            self._hang_up()
            return
        self.deadline = self._idle_deadline()
        if self._body is not None:
            self._body.discard()
        if not self._serving:
            self._serve()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        super().resumeProducing()
        self._serve()

    # Endings

    def expire(self) -> None:
        """The deadline has passed."""
        now = self.site.seconds()
        taken = self._meter.taken if self._meter is not None else 0
        if self._heir is not None:
            self.transport.abortConnection()
        elif (self.requests or self._blocked) and taken != self._taken:  # slow, but alive
            self._taken = taken
            self.deadline = now + self.site.limits.silence
        elif self.requests or self._blocked or self._closing:
            self.transport.abortConnection()
        elif self._partial:
            self._refuse(408, "the request took too long")
        else:
            self._closing = True
            self.deadline = now + LINGER
            self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self.site.left(self)
        self.deadline = inf
        body, self._body = self._body, None
        room, self._room = self._room, None
        heir = self._heir
        if heir is not None:
            heir.connectionLost(reason)
        super().connectionLost(reason)
        self.requests.clear()
        if body is not None:
            body.lose()
        if room is not None:
            room.errback(Failure(ClientGone()))

    def _idle_deadline(self) -> float:
        return self.site.seconds() + self.site.limits.keep_alive

    def _refuse(self, status: int, detail: str, retry_after: float | None = None) -> None:
        """Answer a request that can't be understood or is not welcome, and close."""
        answer = error_answer(status, detail, retry_after=retry_after)
        assert isinstance(answer.body, bytes)
        extra = [
            ("Content-Length", str(len(answer.body))),
            ("Date", self.site.date()),
            ("Connection", "close"),
        ]
        head = format_head(status, [*answer.headers, *extra], answer.why)
        self.transport.write(head.encode("latin-1") + b"\r\n" + answer.body)
        self.site.access(
            AccessRecord("-", "-", "-", status, "", "", "", why=answer.why),
            self.peer,
            len(answer.body),
            0.0,
        )
        self._linger()

    def _hang_up(self) -> None:
        if self._body is not None or self._input or self._torn:
            self._linger()
        else:
            self._closing = True
            self.deadline = self._idle_deadline()
            self.loseConnection()

    def _linger(self) -> None:
        """Send what is buffered and a FIN, and read on for a while what the client still sends."""
        self._closing = True
        self._input.clear()
        body, self._body = self._body, None
        if body is not None:
            body.discard()
        self.deadline = self.site.seconds() + LINGER
        if self.isSecure() or not IHalfCloseableDescriptor.providedBy(self.transport):
            self.loseConnection()
            return
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self._set_reading()
