"""Files are as the index at hand says: before their last bytes are sent, and once they are stored.

A file that was rebuilt under its old name is another file: an index that came after the stored copy
and names another digest beats it.  The copy is dropped then and the file is asked for again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from attrs import evolve
from twisted.logger import Logger

from aimirror.bounded import LRU
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.indexes.indexes import Indexes, Naming, credential
from aimirror.interfaces import BodyFailed, ILibrary
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Desk, General, Lookup, Untaken
from aimirror.routing.digests import Digest, new_hash
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer

#: Stored files whose digests by other algorithms than sha256 are kept in mind.
MOST_HASHES = 100_000
#: Stored files for which it is kept in mind that the indexes at hand don't name another one.
MOST_RIGHT = 100_000
#: Requests whose indexes are kept in mind until they are answered.
MOST_AT_ONCE = 1_000
#: How upstreams say that there is no file.
ABSENT = frozenset({403, 404, 410})
#: Bytes of a stored file that are hashed at a time.
STEP = 1 << 20


class Hashes:
    """What stored files hash to; each is read once for an algorithm other than sha256."""

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._known: LRU[tuple[str, str], str] = LRU(MOST_HASHES)

    async def differs(self, entry: Entry, digest: Digest) -> bool:
        """Whether a stored file is another one than a digest names; no where it can't be read."""
        if digest.algorithm == "sha256":
            return entry.blob != digest.hex
        known = self._known.get((entry.blob, digest.algorithm))
        if known is None:
            try:
                known = await self._read(entry, digest.algorithm)
            except (BodyFailed, OSError):
                return False
            self._known.put((entry.blob, digest.algorithm), known)
        return known != digest.hex

    async def _read(self, entry: Entry, algorithm: str) -> str:
        body = self._library.body(entry)
        if body is None:
            raise BodyFailed("the stored body is gone")
        reader = body.reader(0, None)
        try:
            pieces = _pieces(reader.fd, body.size)
            hashed: str = await self._library.aside(_hashed, algorithm, pieces)
        finally:
            reader.close()
        return hashed


def _hashed(algorithm: str, pieces: Iterable[bytes]) -> str:
    running = new_hash(algorithm)
    for piece in pieces:
        running.update(piece)
    hashed: str = running.hexdigest()
    return hashed


def _pieces(fd: int, size: int) -> Iterator[bytes]:
    at = 0
    while at < size:
        piece = os.pread(fd, min(STEP, size - at), at)
        if not piece:
            raise BodyFailed("the stored file is too short")
        yield piece
        at += len(piece)


class Proving(General):
    """A world whose files are named, with their digests, by indexes."""

    settled = True
    log = Logger()

    def __init__(self, library: ILibrary) -> None:
        self.library = library
        self.hashes = Hashes(library)
        #: By key: the copies and the indexes that agreed, as a hash.
        self._right: LRU[str, int] = LRU(MOST_RIGHT)
        #: By key: those of the indexes that may name it, as long as none of them is on its way.
        self._indexes_of: LRU[str, tuple[str, ...]] = LRU(MOST_AT_ONCE)

    def named_by(self, route: Route, mirror: Desk, scope: str) -> Iterable[tuple[Indexes, Naming]]:
        """The indexes that may name a file, the likeliest first; none for other paths.

        They are the file's own, and tell a client of this credential's ``scope`` anything.
        """
        raise NotImplementedError

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        if request.method not in ("GET", "HEAD") or route.digest is not None:
            return UNTAKEN
        digest = await self.digest(request, route, mirror)
        if digest is None or request.method == "HEAD":
            return UNTAKEN
        return await mirror.answer(request, evolve(route, digest=digest))

    def is_named(self, route: Route) -> bool:
        """Whether indexes may name a path."""
        raise NotImplementedError

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """A repeat may get the same as long as nothing of the indexes that may name it changes."""
        if not self.is_named(lookup.route):
            return answer
        keys = self._indexes_of.get(lookup.route.key)
        if keys is None:
            return evolve(answer, memo_until=0.0)
        return evolve(answer, memo_with=keys)

    async def digest(self, request: ClientRequest, route: Route, mirror: Desk) -> Digest | None:
        """What a file that is about to be fetched must hash to; None where nothing is known.

        A stored copy that is another file, by an index that is newer, is dropped.
        """
        scope = credential(request, route)
        copies = self.copies(route, scope)
        self._depend(route, self.named_by(route, mirror, scope))
        if copies and not await self._dropped(route, mirror, copies, scope) and route.immutable:
            return None
        digest = await _said(self.named_by(route, mirror, scope))
        if digest is not None:
            self._forget_absence(route, mirror, scope)
        elif not copies and self.is_named(route):
            digest = await self.library.said(route, scope)
        return digest

    def _depend(self, route: Route, named_by: Iterable[tuple[Indexes, Naming]]) -> None:
        """Keep in mind on what the answer to this request depends; see ``finish``."""
        namings = [naming for _, naming in named_by]
        if any(naming.changing for naming in namings):
            self._indexes_of.pop(route.key)
        else:
            keys = (key for naming in namings for key in naming.keys)
            self._indexes_of.put(route.key, tuple(dict.fromkeys(keys)))

    async def known(self, route: Route, mirror: Desk) -> Digest | None:
        """See Ecosystem."""
        return await _said(self.named_by(route, mirror, ""))

    def _forget_absence(self, route: Route, mirror: Desk, scope: str) -> None:
        """That there was no such file is no news any more once a newer index names one."""
        absent = [e for e in self.library.at(route.key).entries if e.status in ABSENT]
        for entry in absent:
            since, named_by = entry.received_at, self.named_by(route, mirror, scope)
            if tells(entry, scope) and any(naming.since(since) for _, naming in named_by):
                self.library.outdate(entry)

    async def _dropped(
        self, route: Route, mirror: Desk, copies: tuple[Entry, ...], scope: str
    ) -> bool:
        """Drop the copies that are not the file that a newer index names; whether any was.

        What came after an index was checked by it, so that a hit usually reads none.
        """
        since = min(copy.arrived_at for copy in copies)
        named_by = self.named_by(route, mirror, scope)
        namings = [(indexes, naming.since(since)) for indexes, naming in named_by]
        seen = hash((*(copy.blob for copy in copies), *(n.seen() for _, n in namings)))
        if not any(naming for _, naming in namings) or self._right.get(route.key) == seen:
            return False
        digest = await _said(namings)
        wrong = (
            () if digest is None else [c for c in copies if await self.hashes.differs(c, digest)]
        )
        for copy in wrong:
            self.log.info("{path} is another file by now, its index says", path=route.path)
            self.library.outdate(copy)
        if not wrong:
            self._right.put(route.key, seen)
        return bool(wrong)

    def copies(self, route: Route, scope: str) -> tuple[Entry, ...]:
        """What is stored of a file for clients of this ``scope``."""
        return tuple(
            e
            for e in self.library.at(route.key).entries
            if e.status == 200
            and e.blob
            and "content-encoding" not in e.headers
            and tells(e, scope)
        )


async def _said(namings: Iterable[tuple[Indexes, Naming]]) -> Digest | None:
    for indexes, naming in namings:
        digest = await indexes.digest(naming)
        if digest is not None:
            return digest
    return None
