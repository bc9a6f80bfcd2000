"""A library in memory, for tests of what asks one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, evolve
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from zope.interface import implementer

from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.interfaces import (
    Arriving,
    Described,
    Held,
    IArrivingBody,
    IBody,
    IBodyReader,
    ILibrary,
    Inquiry,
    IStoredBody,
    IUpstreamResponse,
    Outcome,
    UpstreamError,
    Validated,
    Wanted,
)
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.testing.apart import apart_by

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

_T = TypeVar("_T")


@implementer(IBodyReader)
@define
class _Reader:
    """A reader of bytes in memory, by a file without a name that it owns."""

    fd: int
    position: int
    stop: int | None

    def ready(self) -> int:
        """See IBodyReader."""
        return (self.stop or 0) - self.position

    def wait(self) -> Deferred[None]:
        """See IBodyReader."""
        return succeed(None)

    def advance(self, count: int) -> None:
        """See IBodyReader."""
        self.position += count

    def ended(self) -> bool:
        """See IBodyReader."""
        return self.position >= (self.stop or 0)

    def close(self) -> None:
        """See IBodyReader."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@implementer(IStoredBody, IArrivingBody)
class FakeBody:
    """A body that is there."""

    complete = whole = sound = True
    failed = None

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size: int = len(content)

    @property
    def file(self) -> FakeBody:
        """See IStoredBody."""
        return self

    def data(self) -> bytes:
        """See IStoredBody."""
        return self._content

    read = data

    def reader(self, start: int, stop: int | None) -> _Reader:
        """See IBody."""
        with tempfile.TemporaryFile() as file:
            file.write(self._content)
            file.flush()
            fd = os.dup(file.fileno())
        return _Reader(fd, start, self.size if stop is None else min(stop, self.size))


@implementer(ILibrary)
class FakeLibrary:
    """Has what was put into it; asks nobody.

    ``answer`` says what ``ask`` brings; ``trouble`` is why nothing can be fetched.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._bodies: dict[str, FakeBody] = {}
        self.trouble = Reason.STATUS
        self.changes = 0
        self.inquiries: list[Inquiry] = []
        self.answer: Callable[[Inquiry], IUpstreamResponse] | None = None

    def store(self, entry: Entry, content: bytes) -> Entry:
        """Put an entry with a body; the entry as it is stored."""
        blob = hashlib.sha256(content).hexdigest()
        self._bodies[blob] = FakeBody(content)
        entry = evolve(entry, blob=blob, size=len(content))
        self.put(entry)
        return entry

    def at(self, key: str, scope: str = "") -> Held:
        """See ILibrary."""
        return Held(self._entries.get(key, ()))

    def stored_below(self, prefix: str) -> Iterator[Entry]:
        """See ILibrary."""
        for key in tuple(self._entries):
            if key.startswith(prefix):
                yield from (entry for entry in self._entries[key] if entry.status < 400)

    def arriving_below(self, prefix: str) -> Iterator[Arriving]:
        """See ILibrary; nothing is on its way."""
        return iter(())

    def body(self, entry: Entry) -> IStoredBody | None:
        """See ILibrary."""
        return self._bodies.get(entry.blob)

    def read(
        self, body: IBody, most: int, start: int = 0, stop: int | None = None
    ) -> Deferred[bytes]:
        """See ILibrary."""
        assert isinstance(body, FakeBody)
        return succeed(body.data()[start:stop][:most])

    def fetch(self, wanted: Wanted) -> Deferred[Outcome]:
        """See ILibrary."""
        for entry in self._entries.get(wanted.key, ()):
            if entry.blob and entry.scope in ("", wanted.scope):
                return succeed(Arriving(entry, self._bodies[entry.blob], entry.scope))
        return fail(UpstreamError(self.trouble, "not here"))

    def head(self, wanted: Wanted) -> Deferred[Validated | Arriving | Described]:
        """See ILibrary."""
        for entry in self._entries.get(wanted.key, ()):
            if entry.scope in ("", wanted.scope):
                return succeed(Described(entry, stored=True))
        return fail(UpstreamError(self.trouble, "not here"))

    def ask(self, inquiry: Inquiry) -> Deferred[IUpstreamResponse]:
        """See ILibrary."""
        self.inquiries.append(inquiry)
        if self.answer is None:
            return fail(UpstreamError(self.trouble, "not here"))
        return succeed(self.answer(inquiry))

    def first(
        self,
        upstreams: Sequence[str],
        attempt: Callable[[int, bool], Awaitable[_T]],
        able: Callable[[_T], bool],
    ) -> Deferred[_T]:
        """See ILibrary; the first is asked alone."""

        async def run() -> _T:
            return await attempt(0, True)

        return Deferred.fromCoroutine(run())

    def away(self, route: Route) -> bool:
        """See ILibrary."""
        return False

    several = False

    def borrow(self, route: Route) -> Deferred[Arriving | None]:
        """See ILibrary; there is no other node."""
        return succeed(None)

    def indexes(self, rule: Rule) -> Deferred[Sequence[str]]:
        """See ILibrary; there is no other node."""
        return succeed(())

    def said(self, route: Route, scope: str) -> Deferred[Digest | None]:
        """See ILibrary; there is no other node."""
        return succeed(None)

    def final(self, wanted: Wanted) -> Deferred[str | None]:
        """See ILibrary; nothing is redirected."""
        return succeed(None)

    def put(self, entry: Entry) -> None:
        """See ILibrary."""
        self.drop(entry)
        self.changes += 1
        self._entries[entry.key] = (*self._entries.get(entry.key, ()), entry)

    def keep(self, entry: Entry, content: bytes) -> Deferred[None]:
        """See ILibrary."""
        self.store(entry, content)
        return succeed(None)

    def blob_size(self, sha256: str, origin: str) -> int | None:
        """See ILibrary."""
        body = self._bodies.get(sha256)
        holders = (e for each in self._entries.values() for e in each if e.blob == sha256)
        held = any(not e.scope or e.key.startswith(f"{origin}/") for e in holders)
        return body.size if body is not None and held else None

    def used(self, entry: Entry) -> None:
        """See ILibrary; nothing is evicted."""

    def drop(self, entry: Entry) -> None:
        """See ILibrary."""
        name = (entry.scope, entry.variant)
        others = (e for e in self._entries.get(entry.key, ()) if (e.scope, e.variant) != name)
        self._entries[entry.key] = tuple(others)

    def outdate(self, entry: Entry) -> None:
        """See ILibrary."""
        self.drop(entry)

    def drop_key(self, key: str) -> None:
        """See ILibrary."""
        self._entries.pop(key, None)

    def recheck(self, key: str) -> None:
        """See ILibrary."""
        entries = self._entries.get(key, ())
        self._entries[key] = tuple(evolve(entry, invalidated=True) for entry in entries)

    def invalidate(self, key: str) -> None:
        """See ILibrary."""
        self.recheck(key)

    def settled(self, arriving: Arriving) -> Deferred[None]:
        """See ILibrary."""
        return succeed(None)

    def now(self) -> float:
        """See ILibrary."""
        return self._clock.seconds()

    def within(self, deferred: Deferred[_T], seconds: float) -> Deferred[_T]:
        """See ILibrary."""
        return deferred.addTimeout(seconds, self._clock)

    def aside(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """See ILibrary; done at once."""
        return maybeDeferred(function, *args)

    def apart(
        self,
        function: Callable[..., bytes],
        source: bytes | Callable[[], Awaitable[bytes]],
        *texts: str,
    ) -> Deferred[bytes]:
        """See ILibrary; done at once, here."""
        return apart_by()(function, source, *texts)
