"""One request and the means to answer it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http_headers import Headers as TwistedHeaders
from twisted.web.iweb import IRequest
from zope.interface import implementer

from aimirror.http.headers import HOP_BY_HOP, Headers
from aimirror.http.origin_wide import CONFINED, OPEN, ORIGIN_WIDE
from aimirror.server.access import asker
from aimirror.server.access_log import AccessRecord
from aimirror.server.answers import Again, Answer, Fields, bodiless
from aimirror.server.connection import Connection
from aimirror.server.head import Head, format_head
from aimirror.server.memo import MAX_BODY, Remembered
from aimirror.server.site_base import SiteBase
from aimirror.server.upload import RequestBody

#: Says what to answer; None when it has answered itself, or will.
Handler = Callable[["MirrorRequest"], Awaitable[Answer | None]]
#: Set when an answer is sent, whatever came from upstream; the origin's word on ranges is not ours.
_SET_HERE = frozenset({*HOP_BY_HOP, "content-length", "accept-ranges", "age", "alt-svc"})
#: Left out of what is mirrored, besides: the mirror's own words stand in for the last.
_NOT_MIRRORED = _SET_HERE | ORIGIN_WIDE.keys() | {name.lower() for name, _ in CONFINED}
#: What a proxy in front may call a request.
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@frozen
class Destinations:
    """Who takes a request on from the connection that it came by."""

    #: Those for a path of the mirror.
    here: Callable[[MirrorRequest], None]
    #: Those to the mirror as a proxy.
    forward: Callable[[MirrorRequest], None]


@implementer(IRequest)
class MirrorRequest(server.Request):
    """A request as an IRequest, whose head is a value and whose body is not read beforehand.

    Nothing is parsed that is not asked for: no cookies, no form arguments, no session.
    """

    channel: Connection
    site: SiteBase

    def __init__(
        self,
        channel: Connection,
        head: Head,
        destinations: Destinations,
        like: bytes | None = None,
    ) -> None:
        self._twisted_headers: TwistedHeaders | None = None
        super().__init__(channel)
        self.site = channel.site
        self.head = head
        self.destinations = destinations
        #: Request fields.
        self.headers = head.headers
        #: The body as IBodyProducer, None when there is none.
        self.body: RequestBody | None = None
        #: The client's address as text.
        self.peer = channel.peer
        #: What is cancelled when the client leaves.
        self.running: Deferred[None] | None = None
        self.method = head.method.encode("ascii")
        self.uri = head.target.encode("ascii")
        self._locate(head.target)
        #: The origin that a client asks for which has us for a proxy, and whose links stay the
        #: upstream's; "" for those that ask the mirror.
        self.proxied = ""
        #: Whether the answer may be somebody else's words, which get no say in the mirror's origin.
        self.mirrored = True
        #: Whether pages of any site may read a mirrored answer.
        self.open = False
        self.clientproto = head.version.encode("ascii")
        #: What it has in common with requests that get the same answer; None: there are none.
        self._like = like
        self._began = self.site.seconds()
        self._epoch = self.site.memo.epoch
        self._bodiless = False
        self._outcome = ""
        self._first = 0.0
        self._record: AccessRecord | None = None
        self._id = ""
        #: The rule that took the request, "" for none.
        self.rule = ""
        #: Whether a login of this mirror's own was given; it is not among ``headers`` any more.
        self.admitted = False
        #: Who has logged in at this mirror, "" for nobody.
        self.login = ""
        #: Why its answer is an error of the mirror's own, or was cut; "" for others.
        self.why = ""
        #: Seconds spent on waiting for an upstream to say something.
        self.waited = 0.0

    @property
    def requestHeaders(self) -> TwistedHeaders:
        """The fields as Twisted has them, made when first asked for."""
        if self._twisted_headers is None:
            self._twisted_headers = TwistedHeaders()
            for name, value in self.head.headers.raw():
                self._twisted_headers.addRawHeader(name, value)
        return self._twisted_headers

    @requestHeaders.setter
    def requestHeaders(self, _: TwistedHeaders) -> None:
        """Twisted's constructor sets an empty one."""

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return bool(self._disconnected)

    @property
    def begun(self) -> bool:
        """Whether anything of the answer was sent."""
        return bool(self.startedWriting)

    def room(self) -> Deferred[None] | None:
        """Fires when the client has taken enough that more may be sent; None while it may."""
        return self.channel.room()

    def wait(self, seconds: float) -> None:
        """So long an upstream has let this request wait."""
        self.waited += seconds

    def become(self, target: str) -> None:
        """Stand for another target, in origin-form, than the one on the wire."""
        self._locate(target)

    def begin_tunnel(self) -> None:
        """The connection is another protocol's from now on; its end is the answer's, in the log."""
        self.code = 200
        self.startedWriting = 1

    def _locate(self, target: str) -> None:
        #: Path and query to the letter; the query without its question mark, None without one.
        self.raw_path, mark, query = target.partition("?")
        self.raw_query = query if mark else None
        self.path = self.raw_path.encode("ascii")

    # Answering

    def start(self, status: int, headers: Headers, length: int | None, added: Fields = ()) -> None:
        """Write the head of an answer of ``length`` body bytes; None is chunked or until close.

        Hop-by-hop fields, Content-Length and Accept-Ranges among ``headers`` are left out: they
        are set here as they are true, or stand in ``added``.
        """
        head, changing, _ = self._head(status, headers, length, added)
        self.channel.write(b"".join((head, changing, b"\r\n")))

    def reply(
        self,
        status: int,
        headers: Headers,
        data: bytes,
        *,
        length: int | None = None,
        added: Fields = (),
        memo_until: float = 0.0,
        memo_of: tuple[str, ...] = ("",),
        again: Again | None = None,
    ) -> None:
        """Send a whole answer whose body is at hand.

        ``length`` is told instead of the data's where that is left out (HEAD).  A repeat
        of the request may get the same until ``memo_until`` (epoch seconds), as long as nothing
        of the entries ``memo_of`` (keys) changes; as ``again`` says, if there is one.
        """
        if self.gone:
            return
        if self._like is None:
            memo_until, again = 0.0, None
        elif again is not None and (status != 200 or self.head.method != "GET"):
            memo_until, again = min(memo_until, again.otherwise), None
        if again is not None and not again.hit:
            if memo_until > self._began and again.holds():
                made = self._head(status, again.headers, len(data), added)
                epoch = self.site.memo.epoch  # storing it has changed that
                self._remember(made, b"", memo_until, memo_of, epoch, again.read)
            memo_until = 0.0
        known = len(data) if data or self.head.method != "HEAD" else length
        made = self._head(status, headers, known, added)
        body = b"" if self._bodiless else data
        self.sentLength += len(body)
        if memo_until > self._began:
            self._record = self.record()
            kept, read = (body, None) if again is None else (b"", again.read)
            self._remember(made, kept, memo_until, memo_of, self._epoch, read)
        self.channel.write_now(b"".join((made[0], made[1], b"\r\n")), body)
        self.finish()

    def write(self, data: bytes) -> None:
        """Write some of the body; the head is made from ``responseHeaders`` if need be."""
        if not self.startedWriting and not self.gone:
            given = self.given_headers()
            announced = given.get("content-length")
            length = int(announced) if announced is not None and announced.isdecimal() else None
            self.start(self.code, given, length)
        if data and not self._bodiless:
            super().write(data)

    def finish(self) -> None:
        """All was written; quietly ignored when the client has left meanwhile."""
        if self.gone or self.finished:
            return
        if not self.startedWriting:
            self.write(b"")
        self.note()
        super().finish()

    def abort(self) -> None:
        """Cut the connection so that the client can't take what it got for the whole."""
        if not self.gone:
            self.channel.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone: whatever works on its answer is cancelled."""
        if self.startedWriting and not self.finished:
            self.note()
        super().connectionLost(reason)
        running, self.running = self.running, None
        if running is not None:
            running.cancel()

    @property
    def id(self) -> str:
        """Names the request in logs: as the client or a proxy did, else by ourselves."""
        if not self._id:
            request_id = self.headers.get("x-request-id") or ""
            self._id = request_id if _ID.fullmatch(request_id) else self.site.new_id()
        return self._id

    def record(self) -> AccessRecord:
        """What the access log is told."""
        if self._record is not None:
            return self._record
        head, get = self.head, self.headers.get
        referer, agent = get("referer", ""), get("user-agent", "")
        return AccessRecord(
            head.method,
            head.target,
            head.version,
            self.code,
            self._outcome,
            referer or "",
            agent or "",
            self.rule,
            self.id,
            self._first,
            self.waited,
            self.login,
            self.why,
        )

    def note(self) -> None:
        """Tell the access log of the answer."""
        proxies = self.site.proxies
        who = asker(self.peer, self.head.headers, proxies) if proxies else self.peer
        self.site.access(self.record(), who, self.sentLength, self.seconds())

    def seconds(self) -> float:
        """Since the head was complete."""
        return self.site.seconds() - self._began

    def _head(
        self, status: int, headers: Headers, length: int | None, added: Fields
    ) -> tuple[bytes, bytes, str | None]:
        """Status line and fields; apart from them Date and Age, which change with time; Age."""
        self.code = status
        self.chunked = 0
        self._bodiless = self.head.method == "HEAD" or bodiless(status)
        self._outcome = headers.get("x-cache") or ""
        self._first = self.seconds()
        confined = self.mirrored and not self.proxied
        dropped = _NOT_MIRRORED if confined else _SET_HERE
        items = [item for item in headers.items if item[0].lower() not in dropped]
        items += added
        if confined:
            items += CONFINED
            if self.open:
                items.append(OPEN)
        if length is not None and not bodiless(status):
            items.append(("Content-Length", str(length)))
        elif not self._bodiless:
            self._delimit(items)
        if (status >= 400 or "x-request-id" in self.headers) and "x-request-id" not in headers:
            items.append(("X-Request-Id", self.id))
        if not self.channel.settle():
            items.append(("Connection", "close"))
        elif self.head.version == "HTTP/1.0":
            items.append(("Connection", "keep-alive"))
        changing = "" if "date" in headers else f"Date: {self.site.date()}\r\n"
        age = headers.get("age")
        if age is not None:
            changing += f"Age: {age}\r\n"
        why = self.why if status >= 400 else ""
        head = format_head(status, items, why).encode("latin-1")
        made = head, changing.encode("latin-1"), age
        self.startedWriting = 1  # only now: a head that can't be made leaves room for an error
        return made

    def _delimit(self, items: list[tuple[str, str]]) -> None:
        """A body of unknown length: chunked, or until close (RFC 9112 section 6.3)."""
        if self.head.version == "HTTP/1.1":
            self.chunked = 1
            items.append(("Transfer-Encoding", "chunked"))
        else:
            self.channel.persistent = 0

    def _remember(
        self,
        made: tuple[bytes, bytes, str | None],
        body: bytes,
        until: float,
        of: tuple[str, ...],
        epoch: int,
        read: Callable[[float], bytes] | None = None,
    ) -> None:
        """Have the next request like this one answered so; see ``_head`` for ``made``."""
        persistent = bool(self.channel.persistent)
        if self._like is None or persistent != self.head.persistent or len(body) > MAX_BODY:
            return
        head, changing, age = made
        remembered = Remembered(
            head,
            body,
            changing.startswith(b"Date"),
            int(age) if age is not None and age.isdecimal() else None,
            self.site.seconds(),
            until,
            self.record().repeated(),
            persistent,
            of,
            read,
        )
        self.site.memo.put(self._like, remembered, epoch)

    def given_headers(self) -> Headers:
        """The fields that a resource set in Twisted's way."""
        pairs = [
            (name, value)
            for name, values in self.responseHeaders.getAllRawHeaders()
            for value in values
        ]
        return Headers.from_raw(pairs)
