"""What is asked of the library, and what it answers, as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import field, frozen

from aimirror.caching.directives import request_directives
from aimirror.caching.entries import Entry
from aimirror.http.egress import Zone
from aimirror.http.headers import Headers
from aimirror.interfaces.bodies import IArrivingBody
from aimirror.interfaces.upstream import IUpstreamResponse
from aimirror.routing.rules import Route, Rule

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
