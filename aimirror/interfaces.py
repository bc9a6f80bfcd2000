"""Interfaces with a real and a fake implementation: the seams of the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen
from zope.interface import Attribute, Interface

from aimirror.caching.directives import request_directives
from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.http.egress import Reach, Zone
from aimirror.http.headers import Headers
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from aimirror.download.tasks import (
        FetchResult,
        FetchTask,
        HashTask,
        SendResult,
        SendTask,
    )
    from aimirror.http.egress import Outgoing

_T = TypeVar("_T")


_UNREACHABLE = frozenset({Reason.RESOLVE, Reason.CONNECT, Reason.TLS})


class UpstreamError(Exception):
    """An upstream could not be asked or fell over midway; ``detail`` names no credential.

    ``redirected`` says that it was where a redirect led, so that the one who was asked did answer.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        redirected: bool = False,
        retry_after: float | None = None,
        status: int = 503,
    ) -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
        self.redirected = redirected
        #: Seconds after which it may be asked again, if it has said so, and by which status.
        self.retry_after = retry_after
        self.status = status

    @property
    def unreachable(self) -> bool:
        """Whether any other URL of the upstream would have met the same."""
        return not self.redirected and self.reason in _UNREACHABLE


class Unreadable(ValueError):
    """What an upstream wrote can't be read: it is wrong, or takes too much time or memory."""


class BodyFailed(Exception):
    """A body can't be completed: its readers must be cut off, never ended cleanly."""

    def __init__(self, detail: str, reason: Reason = Reason.DISK) -> None:
        super().__init__(detail)
        self.reason = reason


@frozen
class Hop:
    """A redirect that was followed: its status, URL and header."""

    status: int
    url: str
    headers: Headers


class IReceiver(Interface):
    """Takes a response body as it arrives."""

    def data(chunk: bytes) -> None:
        """Some bytes; may call ``pause()`` on the response."""

    def finished(error: UpstreamError | None) -> None:
        """Called exactly once: None when the body is complete by its framing."""


class IUpstreamResponse(Interface):
    """A response whose header has arrived."""

    status: int = Attribute("status code")
    phrase: str = Attribute("reason phrase")
    headers: Headers = Attribute("header fields, hop-by-hop ones already removed")
    url: str = Attribute("the URL that answered, after redirects")
    hops: tuple[Hop, ...] = Attribute("redirects followed, first to last")
    length: int | None = Attribute("Content-Length, or None when unknown")
    reach: Reach = Attribute("the Reach that later requests to ``url`` may use")
    zone: Zone = Attribute("the kind of network that it came from")
    framed: bool = Attribute("whether the body says where it ends (else the connection does)")

    def deliver(receiver: IReceiver) -> None:
        """Start the flow of the body (once)."""

    def pause() -> None:
        """Stop reading from the socket."""

    def resume() -> None:
        """Read on."""

    def abort() -> None:
        """Close the connection at once; ``finished`` gets an error if the body was running."""


class IUpstream(Interface):
    """Speaks HTTP outward."""

    def request(
        outgoing: Outgoing, body: object | None = None, redirects: int = 0
    ) -> Deferred[IUpstreamResponse]:
        """Send a request, following up to ``redirects`` redirects.

        Fires when the header of the final response is there.  Fails with UpstreamError.
        Cancelling closes the connection.  ``body`` is an IBodyProducer; a request with a body
        follows no redirect.
        """


class IFetch(Interface):
    """A piece in flight."""

    result: Deferred[FetchResult] = Attribute("fires once with a FetchResult, never fails")

    def trim(stop: int) -> None:
        """End earlier: bytes from ``stop`` on are somebody else's."""

    def limit(rate: int) -> None:
        """From now on so many bytes per second at the most, 0 without limit."""

    def cancel() -> None:
        """Give up; ``result`` fires with CANCELLED (or what it had come to)."""


class IPool(Interface):
    """The worker processes as the parent sees them."""

    def fetch(task: FetchTask, wrote: Callable[[int, int], None]) -> IFetch:
        """Have a piece fetched; ``wrote(start, stop)`` is called as its bytes get readable.

        ``task.id`` is the caller's own; the pool gives its workers numbers of its own.
        """

    def hash(task: HashTask) -> Deferred[dict[str, str]]:
        """Digests (algorithm -> hex) of ``[0, stop)``; fails with OSError."""

    def forget(key: str) -> None:
        """Drop the hashing state of a key."""

    def send(task: SendTask) -> Deferred[SendResult]:
        """Have part of a file PUT somewhere; never fails."""


class IBodyReader(Interface):
    """One client's place in a body."""

    fd: int = Attribute("file descriptor for pread and sendfile; owned by the body")
    position: int = Attribute("the next byte to send")
    stop: int | None = Attribute("where this reader ends, None while the size is unknown")

    def ready() -> int:
        """How many bytes can be read at ``position`` now."""

    def wait() -> Deferred[None]:
        """Fires when ``ready() > 0`` or the end is reached; fails with BodyFailed."""

    def advance(count: int) -> None:
        """``count`` bytes were sent."""

    def ended() -> bool:
        """Whether all bytes up to ``stop`` were sent (False while the end is unknown)."""

    def close() -> None:
        """Leave; idempotent."""


class IBody(Interface):
    """A file with readable spans: a stored blob or a running download."""

    size: int | None = Attribute("total bytes, None while unknown")
    complete: bool = Attribute("whether every byte is readable and verified")

    def reader(start: int, stop: int | None) -> IBodyReader:
        """A reader of ``[start, stop)``; ``stop=None`` reads to the end."""


class IStoredBody(IBody):
    """A body that is there."""

    size: int = Attribute("total bytes")

    def data() -> bytes:
        """All of it, for small ones; raises OSError and BodyFailed."""


class IArrivingBody(IBody):
    """A body that is being stored."""

    whole: bool = Attribute("whether every byte can be read, though a sync is still under way")
    sound: bool = Attribute("whether it is whole, and no reader of it will be cut off")
    failed: tuple[str, Reason] | None = Attribute("why it can't be completed, once that is known")


#: Makes the fields of a request anew, with a credential that holds now; None when it can't.
Refresh = Callable[[], Awaitable[Headers | None]]


@frozen(kw_only=True)
class Wanted:
    """What a client needs that is not stored, or has to be confirmed."""

    route: Route
    #: What goes upstream, credentials included, conditions and Range left out.
    headers: Headers = field(repr=False)
    #: The client's credential as a hash, "" without one.
    scope: str = ""
    #: A stale entry and the fields that ask whether it still holds.
    previous: Entry | None = None
    conditional: Headers = Headers()
    #: Whom it is for, by address: clients share an upstream's connections evenly.
    client: str = ""
    #: Makes new ``headers`` when the upstream answers 401 to these: a token has a short life.
    refresh: Refresh | None = field(default=None, repr=False)
    #: Epoch seconds: an answer that was received before that needs to be confirmed.
    not_before: float = 0.0
    #: The client's Range and If-Range: what is not stored is asked for as the client asks.
    part: Headers = Headers()
    #: Another node wants it: the upstream is asked, and no third node.
    hop: bool = False
    #: Only what another node has stored is wanted, fresh or not: the upstream is not asked.
    stored_only: bool = False

    @property
    def unstored(self) -> bool:
        """Whether the client wants the answer kept by nobody, and is to be heeded."""
        return self.route.obeys_clients and "no-store" in request_directives(self.headers)

    @property
    def key(self) -> str:
        """The name of the entry."""
        return self.route.key


@frozen
class Validated:
    """The upstream said, by 304 or to HEAD, that the stored entry holds; it is stored anew."""

    entry: Entry
    status: int = 304


@frozen
class Arriving:
    """The answer is being stored, anyone in ``scope`` may read it while it arrives."""

    entry: Entry
    body: IArrivingBody
    scope: str = ""
    #: Whence it comes if not from the upstream, a word such as "tier".
    via: str = ""
    #: All bytes of a small body, which is stored already; and has them from the disk.
    content: bytes | None = field(default=None, repr=False)
    read: Callable[[], bytes] | None = field(default=None, repr=False)


@frozen
class Passing:
    """The answer may not be stored: it belongs to the one who asked."""

    response: IUpstreamResponse


@frozen
class Described:
    """What HEAD has learned: the entry that GET would store, or what it would pass on."""

    entry: Entry
    stored: bool
    #: Whether a range of it can be had.
    ranges: bool = True


Outcome = Validated | Arriving | Passing


@frozen
class Held:
    """What there is for one key now, as somebody with a scope may read it."""

    #: What is stored, of every scope and variant.
    entries: tuple[Entry, ...] = ()
    #: Downloads whose header is there: those of the scope, then those for anybody.
    arriving: tuple[Arriving, ...] = ()
    #: Whether a fetch with the scope would join another one now.
    under_way: bool = False

    @property
    def arrived(self) -> Arriving | None:
        """What only waits for the disk's sync: it is as good as stored, and some have it by now."""
        return next((each for each in self.arriving if each.body.sound), None)

    @property
    def known(self) -> tuple[Entry, ...]:
        """The entries of both."""
        return (*self.entries, *(each.entry for each in self.arriving))

    def public(self, status: int = 200) -> bool:
        """Whether an answer of a status is stored for anybody."""
        return any(e.status == status and not e.scope for e in self.entries)


@frozen(kw_only=True)
class Inquiry:
    """A small request of the mirror's own, or one that is passed through."""

    rule: Rule
    url: str
    headers: Headers = field(repr=False)
    method: str = "GET"
    #: An IBodyProducer.
    body: object | None = None
    #: Redirects to follow; None is as many as for files.
    redirects: int | None = 0
    #: The kind of network that named the URL, where that was an upstream's answer.
    named_by: Zone | None = None
    #: Whom it is for, by address; "" for the mirror itself.
    client: str = ""


class ILibrary(Interface):
    """What there is for each key, stored or arriving, and the one way to more of it.

    Disk, downloads, workers and upstreams are behind it, perhaps another library, too.
    """

    changes: int = Attribute("grows with each change of what is stored")

    def at(key: str, scope: str = "") -> Held:
        """What there is for a key, stored or arriving; nothing when the disk can't be read."""

    def stored_below(prefix: str) -> Iterator[Entry]:
        """Stored entries by the start of their keys; not those that say that there is nothing."""

    def arriving_below(prefix: str) -> Iterator[Arriving]:
        """Downloads for anybody that are under way, by the start of their keys."""

    def body(entry: Entry) -> IStoredBody | None:
        """The body of a stored entry, None when it has none or it is gone.

        Make a reader at once: only then it stays.
        """

    def read(body: IBody, most: int, start: int = 0, stop: int | None = None) -> Deferred[bytes]:
        """Bytes ``[start, stop)`` of a body that is there or arriving, to its end with None.

        Fails with BodyFailed, also when that is more than ``most`` bytes, and with OSError.
        """

    def fetch(wanted: Wanted) -> Deferred[Outcome]:
        """Ask the upstream, or join those who are asking it already.

        Fires with the outcome when the upstream's header is there.  Fails with UpstreamError.
        Cancelling leaves; the exchange goes on for the others and for the cache.
        """

    def head(wanted: Wanted) -> Deferred[Validated | Arriving | Described]:
        """What ``fetch`` would bring, for no more than a header.  Fails with UpstreamError."""

    def ask(inquiry: Inquiry) -> Deferred[IUpstreamResponse]:
        """Ask one URL; nothing is stored.  Fails with UpstreamError; cancelling closes."""

    def first(
        upstreams: Sequence[str],
        attempt: Callable[[int, bool], Awaitable[_T]],
        able: Callable[[_T], bool],
    ) -> Deferred[_T]:
        """What an attempt brings at the first of several URLs that is able.

        It is given the URL's index, and whether it is the last one.

        They are asked in order of health; the last one's failure or answer is the whole's.
        """

    def away(route: Route) -> bool:
        """Whether no upstream of a route can be reached, as far as is known.

        Once in a while one caller is told no, and is to try for all: ask where a stored copy may
        stand in.
        """

    def borrow(route: Route) -> Deferred[bool]:
        """Bring what another node of the cluster has stored for anybody; whether there is any.

        No upstream is asked.  It may still be arriving.
        """

    def said(route: Route, scope: str) -> Deferred[Digest | None]:
        """What the node that owns a file knows it to hash to, by the indexes that it has.

        None where nobody does, and for what a credential of some ``scope`` opens.
        """

    def final(wanted: Wanted) -> Deferred[str | None]:
        """The URL that redirects of a file lead to; None without any, or where there is no file."""

    def put(entry: Entry) -> None:
        """Store or replace an entry, whose blob, if it has one, is stored."""

    def keep(entry: Entry, content: bytes) -> Deferred[None]:
        """Store an entry with a small body that was made here; fails with OSError."""

    def blob_size(sha256: str, origin: str) -> int | None:
        """Bytes of a stored blob that is anybody's, or that an upstream of ``origin`` brought.

        None when there is no such one.
        """

    def used(entry: Entry) -> None:
        """An entry is served."""

    def drop(entry: Entry) -> None:
        """Forget an entry."""

    def outdate(entry: Entry) -> None:
        """Forget what an entry holds; whether it is pinned is kept for what comes next."""

    def drop_key(key: str) -> None:
        """Forget all entries of a key."""

    def recheck(key: str) -> None:
        """What is stored for a key must be confirmed before its next use."""

    def invalidate(key: str) -> None:
        """The same for what is on its way, too: a client has changed it at the upstream."""

    def settled(arriving: Arriving) -> Deferred[None]:
        """Fires when something that has arrived is stored, or could not be."""

    def now() -> float:
        """Epoch seconds."""

    def within(deferred: Deferred[_T], seconds: float) -> Deferred[_T]:
        """The same, which is cancelled after so many seconds, and fails with TimeoutError then."""

    def aside(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Work that would hold up the reactor, done in a thread."""

    def apart(
        function: Callable[..., bytes], source: bytes | Callable[[], Awaitable[bytes]], *texts: str
    ) -> Deferred[bytes]:
        """``function(data, *texts)`` in a process whose time and memory are limited.

        For whatever reads what others wrote.  The function is a module's own; ``source`` are its
        bytes, or brings them when it is their turn.  Fails with Unreadable, and as ``source`` does.
        """
