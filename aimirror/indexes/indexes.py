"""Digests that stored indexes name, and small files that are read on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from weakref import ReferenceType, ref

from attrs import evolve, frozen
from twisted.logger import Logger

from aimirror.bounded import LRU
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.http.forwarding import asked_for_storing, scope_of
from aimirror.http.urls import canonical
from aimirror.indexes.digest_table import DigestTable
from aimirror.indexes.reading import Reading
from aimirror.indexes.tables import table
from aimirror.interfaces import (
    Arriving,
    BodyFailed,
    IBody,
    ILibrary,
    Passing,
    UpstreamError,
    Wanted,
)
from aimirror.mirror.ecosystem import ClientRequest, Desk
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.single_flight import SingleFlight

#: Bytes of an index that is read for its digests, as it is stored.
MOST_STORED = 64 << 20
#: Indexes whose digests are kept in mind, and digests in all of them together.
MOST_INDEXES = 64
MOST_DIGESTS = 1_000_000
#: Indexes still to be stored whose digests are kept in mind.
MOST_ARRIVING = 16
#: Indexes that are looked at for one file: beside the newest, stores keep generations of them.
MOST_NAMING = 64
#: Folders whose indexes are kept in mind.
MOST_PREFIXES = 64
#: Bytes of a small file that is read on the way.
MOST_SMALL = 64 << 10


@frozen
class Naming:
    """A file's name in indexes, and those that may name it, the newest first."""

    name: str
    stored: tuple[Entry, ...] = ()
    #: Received to their end, and about to be stored.
    whole: tuple[Arriving, ...] = ()
    arriving: tuple[Arriving, ...] = ()
    #: The keys at which they are, or would be; one that ends with a slash is for all below it.
    keys: tuple[str, ...] = ()
    #: Whether any is on its way, which may change what they say.
    changing: bool = False

    def since(self, arrived_at: float) -> Naming:
        """Those that came no earlier, in epoch seconds, and whose end is there."""
        return Naming(
            self.name,
            tuple(e for e in self.stored if e.arrived_at >= arrived_at),
            tuple(each for each in self.whole if each.entry.arrived_at >= arrived_at),
        )

    def seen(self) -> tuple[object, ...]:
        """What tells it from the same question at another time."""
        return self.name, *(e.blob for e in self.stored), *map(id, self.whole)

    def __bool__(self) -> bool:
        return bool(self.stored or self.whole or self.arriving)


def _naming(
    name: str, stored: Iterable[Entry], arriving: Iterable[Arriving], keys: tuple[str, ...]
) -> Naming:
    entries = [e for e in stored if e.status == 200 and e.blob and e.size <= MOST_STORED]
    newest = sorted(entries, key=lambda e: -e.received_at)[:MOST_NAMING]
    bodies = [each for each in arriving if each.entry.status == 200]
    return Naming(
        name,
        tuple(newest),
        tuple(each for each in bodies if each.body.whole),
        tuple(each for each in bodies if not each.body.whole),
        keys,
        bool(bodies),
    )


class Indexes:
    """Remembers what stored index files say."""

    log = Logger()

    def __init__(self, library: ILibrary, reading: Reading) -> None:
        self._library = library
        self._reading = reading
        self._known: LRU[str, DigestTable] = LRU(MOST_INDEXES, weigh=len, heaviest=MOST_DIGESTS)
        self._flights = SingleFlight()
        #: What those that arrive say, by the identity of their bodies.
        self._arriving: LRU[int, tuple[ReferenceType[IBody], DigestTable]] = LRU(MOST_ARRIVING)
        #: By prefix: the stored indexes below it, and at which of the store's changes.
        self._below: LRU[str, tuple[int, tuple[Entry, ...]]] = LRU(MOST_PREFIXES)

    def at(self, name: str, urls: Iterable[str], scope: str) -> Naming:
        """The indexes at ``urls`` that may name a file: stored, or just being stored.

        Those count that tell a client of this credential's ``scope`` anything.
        """
        keys = tuple(canonical(url) for url in urls)
        held = [self._library.at(key, scope) for key in keys]
        return _naming(
            name,
            (e for each in held for e in each.entries if tells(e, scope)),
            (a for each in held for a in each.arriving if tells(a.entry, scope)),
            keys,
        )

    def below(self, name: str, prefix: str, wanted: Callable[[str], bool], scope: str) -> Naming:
        """The same for the indexes whose keys begin so and are ``wanted``."""
        changes = self._library.changes
        kept = self._below.get(prefix)
        if kept is None or kept[0] != changes:
            kept = changes, tuple(e for e in self._library.stored_below(prefix) if wanted(e.key))
            self._below.put(prefix, kept)
        running = [
            each
            for each in self._library.arriving_below(prefix)
            if wanted(each.entry.key) and tells(each.entry, scope)
        ]
        whole = (each for each in running if each.body.whole)
        folder = prefix[: prefix.rindex("/") + 1]
        naming = _naming(name, (e for e in kept[1] if tells(e, scope)), whole, (folder,))
        return evolve(naming, changing=bool(running))

    async def digest(self, naming: Naming) -> Digest | None:
        """What the first of them that names the file says of it."""
        for each in naming.whole:
            digest = (await self._of_body(each.body)).get(naming.name)
            if digest is not None:
                return digest
        for entry in naming.stored:
            digest = (await self._of(entry)).get(naming.name)
            if digest is not None:
                return digest
        for each in naming.arriving:
            digest = (await self._of_body(each.body)).get(naming.name)
            if digest is not None:
                return digest
        return None

    async def _of_body(self, body: IBody) -> DigestTable:
        """What an index that still arrives says: clients ask for its files at once."""
        kept = self._arriving.get(id(body))
        if kept is not None and kept[0]() is body:
            return kept[1]

        async def run() -> DigestTable:
            return await self._table(lambda: self._library.read(body, MOST_STORED))

        table: DigestTable = await self._flights.do(id(body), run)
        self._arriving.put(id(body), (ref(body), table))
        return table

    async def _of(self, entry: Entry) -> DigestTable:
        kept = self._known.get(entry.blob)
        if kept is not None:
            return kept

        async def run() -> DigestTable:
            return await self._table(lambda: stored_bytes(self._library, entry))

        known: DigestTable = await self._flights.do(entry.blob, run)
        self._known.put(entry.blob, known)
        return known

    async def _table(self, source: Callable[[], Awaitable[bytes]]) -> DigestTable:
        """What an index says, read once and apart; one that can't be read says nothing."""
        read = self._reading.read
        reader = f"{read.__module__}:{read.__qualname__}"
        boundary = self._reading.boundary.decode("latin-1")
        try:
            return DigestTable.load(await self._library.apart(table, source, reader, boundary))
        except (BodyFailed, OSError, ValueError) as error:
            self.log.warn("an index can't be read by {reader}: {why}", reader=reader, why=error)
            return DigestTable(())


def credential(request: ClientRequest, route: Route) -> str:
    """The scope of a request's credential."""
    return scope_of(request.headers, route.rule.credential_headers)


def is_stored(library: ILibrary, route: Route, scope: str) -> bool:
    """Whether a file is stored for a route that tells a client of this ``scope`` anything."""
    stored = library.at(route.key).entries
    return any(e.status == 200 and tells(e, scope, route.digest) for e in stored)


async def stored_bytes(library: ILibrary, entry: Entry) -> bytes:
    """The whole body of a stored entry; BodyFailed or OSError when it is not there."""
    body = library.body(entry)
    return b"" if body is None else await library.read(body, MOST_STORED)


async def at_hand(library: ILibrary, route: Route, scope: str) -> bytes | None:
    """What a client of this ``scope`` is given for a route now: stored, or arriving, or None."""
    held = library.at(route.key, scope)
    good = (a for a in held.arriving if a.entry.status == 200 and tells(a.entry, scope))
    arriving = next(good, None)
    stored = [e for e in held.entries if tells(e, scope)]
    try:
        if arriving is not None and (arriving.body.whole or not stored):
            return await library.read(arriving.body, MOST_STORED)
        if len(stored) == 1 and stored[0].status == 200:
            return await stored_bytes(library, stored[0])
    except (BodyFailed, OSError):
        pass
    return None


async def small(
    mirror: Desk, request: ClientRequest, route: Route, most: int = MOST_SMALL
) -> bytes | None:
    """A small file of the upstream for the mirror's own use, from the cache if it is there.

    None when there is none, or none for this client, or it can't be had.
    """
    headers = asked_for_storing(request.headers, compressed=False, more=route.request_headers)
    scope = credential(request, route)
    if route.rule.public:
        headers, scope = headers.without(*route.rule.secrets), ""
    try:
        for entry in mirror.library.at(route.key).entries:
            if tells(entry, scope) and entry.status == 200 and entry.immutable:
                return await stored_bytes(mirror.library, entry)
        wanted = Wanted(route=route, headers=headers, scope=scope)
        outcome = await mirror.library.fetch(wanted)
        if isinstance(outcome, Passing):
            outcome.response.abort()
            return None
        if outcome.entry.status != 200:
            return None
        if isinstance(outcome, Arriving):
            return await mirror.library.read(outcome.body, most)
        return await stored_bytes(mirror.library, outcome.entry)
    except (UpstreamError, BodyFailed, OSError):
        return None
