"""The one door to what is there for each key, stored or arriving, and to more of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from zope.interface import Attribute, Interface

from aimirror.caching.entries import Entry
from aimirror.interfaces.bodies import IBody, IStoredBody
from aimirror.interfaces.upstream import IUpstreamResponse
from aimirror.interfaces.wanted import (
    Arriving,
    Described,
    Held,
    Inquiry,
    Outcome,
    Validated,
    Wanted,
)
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

_T = TypeVar("_T")


class ILibrary(Interface):
    """What there is for each key, stored or arriving, and the one way to more of it.

    Disk, downloads, workers and upstreams are behind it, perhaps another library, too.
    """

    changes: int = Attribute("grows with each change of what is stored")
    several: bool = Attribute("whether this is one of several nodes")

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

    def borrow(route: Route) -> Deferred[Arriving | None]:
        """Bring what another node of the cluster has stored for anybody; None where none has.

        Nor where that is not newer than what is stored here.  No upstream is asked.
        """

    def indexes(rule: Rule) -> Deferred[Sequence[str]]:
        """The keys of indexes below a rule's upstream that other nodes have left, newest first.

        Those of worlds whose packages do not lead to their indexes.
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
