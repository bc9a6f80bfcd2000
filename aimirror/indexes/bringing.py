"""Indexes that are not here, or not the newest, since clients have asked other nodes for them.

A node that is one of several gets them: from the others, else from the upstream.  A node that is
alone knows all that its clients have asked for, and asks for nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import islice

from aimirror.bounded import LRU
from aimirror.caching import caching
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.http.headers import Headers
from aimirror.interfaces import (
    Arriving,
    BodyFailed,
    ILibrary,
    Passing,
    UpstreamError,
    Wanted,
)
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.single_flight import SingleFlight

#: Seconds for which an index is not brought again, and indexes of which that is kept in mind.
AGAIN = 30.0
MOST_BROUGHT = 10_000
#: Bytes of one that is read to its end.
MOST_STORED = 64 << 20
#: Indexes of one file for which other nodes, and the upstream, are asked.
MOST_BORROWED = 8
MOST_ASKED = 4

#: What a file hashes to, by the indexes that are here.
Knowing = Callable[[], Awaitable[Digest | None]]


class Bringing:
    """Brings indexes, each once for all who wait for it."""

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._flights = SingleFlight()
        #: By index and source: epoch seconds until which it is not brought again.
        self._until: LRU[tuple[str, str], float] = LRU(MOST_BROUGHT)

    @property
    def helps(self) -> bool:
        """Whether clients may have asked other nodes for indexes."""
        return self._library.several

    async def borrow(self, indexes: Iterable[Route], known: Knowing) -> Digest | None:
        """What a file hashes to, by indexes that other nodes have; the likeliest come first."""
        for index in islice(indexes, MOST_BORROWED):
            if await self._once("others", index, partial(self._borrow, index)):
                digest = await known()
                if digest is not None:
                    return digest
        return None

    async def ask(
        self, indexes: Iterable[tuple[Route, Headers]], scope: str, known: Knowing
    ) -> Digest | None:
        """The same by indexes of the upstream, each asked for by fields of a credential's scope."""
        for index, headers in islice(indexes, MOST_ASKED) if self.helps else ():
            run = partial(self._ask, index, headers, scope)
            if await self._once(f"upstream {scope}", index, run):
                digest = await known()
                if digest is not None:
                    return digest
        return None

    async def _once(self, source: str, index: Route, run: Callable[[], Awaitable[bool]]) -> bool:
        """Whether there is an index that was not there; those who come meanwhile wait for it."""
        name = (source, index.key)
        if (self._until.get(name) or 0.0) > self._library.now():
            return False
        try:
            news: bool = await self._flights.do(name, run)
        finally:
            self._until.put(name, self._library.now() + AGAIN)
        return news

    async def _borrow(self, index: Route) -> bool:
        arriving = await self._library.borrow(index)
        return arriving is not None and await self._arrived(arriving)

    async def _ask(self, index: Route, headers: Headers, scope: str) -> bool:
        previous = self._newest(index, scope)
        if previous is not None and previous.received_at > self._library.now() - AGAIN:
            return False
        conditional = Headers() if previous is None else caching.conditional(previous)
        wanted = Wanted(
            route=index,
            headers=headers,
            scope=scope,
            previous=previous if len(conditional) else None,
            conditional=conditional,
        )
        try:
            outcome = await self._library.fetch(wanted)
        except UpstreamError:
            return False
        if isinstance(outcome, Passing):
            outcome.response.abort()
            return False
        if not isinstance(outcome, Arriving) or outcome.entry.status != 200:
            return False
        return await self._arrived(outcome)

    def _newest(self, index: Route, scope: str) -> Entry | None:
        stored = (e for e in self._library.at(index.key, scope).entries if tells(e, scope))
        good = (e for e in stored if e.status == 200 and e.blob)
        return max(good, key=lambda e: e.received_at, default=None)

    async def _arrived(self, arriving: Arriving) -> bool:
        """Wait for the end of an index; whether it came."""
        size = arriving.body.size
        try:
            await self._library.read(arriving.body, MOST_STORED, size - 1 if size else 0)
        except (BodyFailed, OSError):
            return False
        return True
