"""What the tests of the mirror share: a real store, registry and site around a played upstream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import SMALL, Environment
from aimirror.exchanges.library import Library
from aimirror.exchanges.running import Downloads
from aimirror.http.egress import Egress, Outgoing, Reach, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop, IReceiver, IUpstream, IUpstreamResponse, UpstreamError
from aimirror.mirror.mirror import Mirror
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.rules import Rule
from aimirror.server.base_url import base_url
from aimirror.server.memo import Memo
from aimirror.server.site import MirrorSite
from aimirror.store.store import Store
from aimirror.testing.apart import apart_by
from aimirror.upstream.hosts import Hosts
from tests.server.support import Connection, clock_at_now, connect

UPSTREAM = "https://up.test"


@implementer(IUpstreamResponse)
class Played:
    """An answer of the upstream whose body comes as the test says."""

    phrase = ""
    reach = Reach()
    zone = Zone.PUBLIC
    framed = True

    def __init__(self, status: int = 200, *fields: str, body: bytes | None = b"") -> None:
        pairs = (line.partition(": ") for line in fields)
        self.headers = Headers((name, value) for name, _, value in pairs)
        self.status = status
        self.url = ""
        self.hops: tuple[Hop, ...] = ()
        self.aborted = False
        self.paused = 0
        self.body = body
        self.receiver: IReceiver | None = None
        told = self.headers.get("content-length")
        self.length = len(body) if body is not None else int(told) if told else None
        if self.length is not None and told is None and status not in (204, 304):
            self.headers = Headers([*self.headers, ("Content-Length", str(self.length))])

    def deliver(self, receiver: IReceiver) -> None:
        self.receiver = receiver
        if self.body is not None:
            if self.body:
                receiver.data(self.body)
            self.end()

    def data(self, data: bytes) -> None:
        """More of the body arrives."""
        assert self.receiver is not None
        self.receiver.data(data)

    def end(self, error: UpstreamError | None = None) -> None:
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.finished(error)

    def gather(self, left: int) -> None:
        pass

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.paused -= 1

    def abort(self) -> None:
        self.aborted = True
        self.end(UpstreamError(Reason.CANCELLED))


@define
class Sent:
    """A request that reached the upstream."""

    outgoing: Outgoing
    body: Any
    redirects: int
    answer: Deferred[IUpstreamResponse] = field(factory=Deferred)

    @property
    def headers(self) -> Headers:
        return self.outgoing.headers


@implementer(IUpstream)
class Upstream:
    """Answers by ``handler`` at once, or when the test says (``handler`` None)."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.handler: Callable[[Outgoing], Played | Exception] | None = None

    def request(
        self, outgoing: Outgoing, body: object | None = None, redirects: int = 0
    ) -> Deferred[IUpstreamResponse]:
        sent = Sent(outgoing, body, redirects)

        def placed(made: Played) -> Played:
            made.url = made.url or outgoing.url
            return made

        sent.answer.addCallback(placed)
        self.sent.append(sent)
        if self.handler is not None:
            made = self.handler(outgoing)
            if isinstance(made, Exception):
                sent.answer.errback(made)
            else:
                sent.answer.callback(made)
        return sent.answer


def refused() -> UpstreamError:
    return UpstreamError(Reason.CONNECT, "up.test")


class MirrorCase(SynchronousTestCase):
    """A mirror with one rule for all paths of one upstream."""

    #: Bytes up to which a body is stored in one go; 0 for tests of how bodies grow.
    small = SMALL

    def setUp(self) -> None:
        self.clock: Clock = clock_at_now()
        self.upstream = Upstream()
        self.threads: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.slow_threads = False
        self.slow_disk = False
        self.store = Store(
            Path(self.mktemp()).resolve(),
            max_bytes=1 << 28,
            evict=True,
            clock=self.clock,
            defer_to_thread=self._to_disk,
        )
        self.successResultOf(self.store.open())
        self.tools = Environment(
            store=self.store,
            pool=None,
            upstream=self.upstream,
            clock=self.clock,
            hosts=Hosts(self.clock, 8),
            to_thread=self._to_thread,
            apart=apart_by(self._to_thread),
            jitter=lambda: 0.5,
            egress=lambda rule: Egress(),
            small=self.small,
        )
        self.downloads = Downloads(self.tools, most=8, per_host=8)
        self.library = Library(self.tools, self.downloads)
        self.addCleanup(self._close)
        self.use()

    def _close(self) -> None:
        self.successResultOf(self.downloads.stop())
        self.successResultOf(self.store.close())

    def _to_thread(self, call: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._later(self.slow_threads, call, *args)

    def _to_disk(self, call: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._later(self.slow_disk, call, *args)

    def _later(self, slow: bool, call: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if not slow:
            return maybeDeferred(call, *args)
        waiting: Deferred[Any] = Deferred()
        self.threads.append((waiting, lambda: call(*args)))
        return waiting

    def run_threads(self) -> None:
        """Let the threads do what waits for them."""
        while self.threads:
            waiting, call = self.threads.pop(0)
            maybeDeferred(call).chainDeferred(waiting)

    def use(self, *more: Rule, **options: Any) -> None:
        """Serve by a rule for all paths that has these options, after ``more`` ones."""
        rule = Rule(**{"name": "all", "upstreams": (UPSTREAM,), **options})
        self.mirror = Mirror((*more, rule), self.library, base_url)
        self.site = self.make_site(self.mirror)

    def make_site(self, mirror: Mirror) -> MirrorSite:
        """Where a mirror is reached."""
        memo = Memo()
        self.store.changed = memo.invalidate
        return MirrorSite(mirror.handle, self.clock, memo=memo)

    def client(self, greedy: bool = True) -> Connection:
        return connect(site=self.site, greedy=greedy)

    def ask(
        self, target: str = "/x", *fields: str, method: str = "GET", body: bytes = b""
    ) -> Connection:
        """A client of its own sends a request."""
        client = self.client()
        if body:
            fields = (*fields, f"Content-Length: {len(body)}")
        host = () if any(f.lower().startswith("host:") for f in fields) else ("Host: mirror.test",)
        lines = [f"{method} {target} HTTP/1.1", *host, *fields, "", ""]
        client.send("\r\n".join(lines).encode("latin-1") + body)
        client.settle()
        return client

    def get(self, target: str = "/x", *fields: str, **more: Any) -> tuple[int, Headers, bytes]:
        """The one complete answer to a request."""
        return self.ask(target, *fields, **more).answer()

    def plays(self, status: int = 200, *fields: str, body: bytes = b"body") -> None:
        """From now on the upstream answers so."""
        self.upstream.handler = lambda outgoing: Played(
            status, *fields, body=b"" if outgoing.method == "HEAD" else body
        )

    def falls(self) -> None:
        """From now on the upstream can't be reached."""
        self.upstream.handler = lambda outgoing: refused()

    def entries(self, target: str = "/x") -> tuple[Entry, ...]:
        return self.store.entries(UPSTREAM + target)

    @property
    def asked(self) -> int:
        """How many requests have reached the upstream."""
        return len(self.upstream.sent)

    def last(self) -> Sent:
        return self.upstream.sent[-1]


REWRITES = ContentRewrite(targets=("https://files.test",))
