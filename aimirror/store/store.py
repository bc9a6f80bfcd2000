"""The face of the disk layer: entries, bodies, parts, and room for more of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.store import recovery
from aimirror.store.bodies import SMALL, StoredBody
from aimirror.store.catalogue import Catalogue
from aimirror.store.errors import DiskError, DiskFull, disk_errors
from aimirror.store.index import Index
from aimirror.store.inuse import InUse
from aimirror.store.journal import PartMeta
from aimirror.store.layout import FOLDER_MODE, Layout
from aimirror.store.listing import (
    Kept,
    Listed,
    Listing,
    RuleUse,
    entries_listed,
    kept_listed,
    rules_listed,
)
from aimirror.store.outbox import Outbox
from aimirror.store.packed import MOST_PACKED
from aimirror.store.partfolder import PartFolder
from aimirror.store.parts import DeferToThread, Part
from aimirror.store.room import Evicted, Room
from aimirror.store.settling import Settling
from aimirror.store.shelf import Shelf
from aimirror.store.trash import Trash
from aimirror.store.upkeep import Upkeep
from aimirror.store.usage import Unsent, Usage
from aimirror.store.verification import Verification, Verifier

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")

#: Seconds between a change and its last consequences: uses written, names and index synced.
SETTLE = 5.0
#: Free bytes on the disk below which the start warns: less than one large wheel or layer.
LITTLE_ROOM = 1_000_000_000


class Store:
    """One cache folder, open to one service at a time.

    ``max_bytes`` bounds blobs, parts and quarantine together; with ``evict`` the least recently
    used blobs make way, else what does not fit is refused.  ``clock.seconds()`` is epoch time.
    ``defer_to_thread`` is ``twisted.internet.threads.deferToThread`` or its like.  After
    ``open``, any method may raise DiskError; the service can go on without what it asked for.
    """

    log = Logger()

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        evict: bool,
        clock: IReactorTime,
        defer_to_thread: DeferToThread,
    ) -> None:
        self._layout = Layout(root)
        self._max_bytes = max_bytes
        self._may_evict = evict
        self._clock = clock
        self._defer_to_thread = defer_to_thread
        self._trash = Trash(self._layout, defer_to_thread)
        self._parts = PartFolder(
            self._layout,
            clock,
            defer_to_thread,
            room=lambda count: self._room.grow(count),
            throw=self._trash.throw,
        )
        self._upkeep = Upkeep(clock, SETTLE, lambda: self._settling.settle())
        #: The files that are being read.
        self.in_use = InUse()
        self._index: Index
        self._catalogue: Catalogue
        self._shelf: Shelf
        self._room: Room
        self._verifier: Verifier
        self._settling: Settling
        #: Told the key of each entry that is put, dropped (evicted ones included) or invalidated.
        self.changed: Callable[[str], object] = lambda key: None
        #: How often that was: what was found out about many entries holds as long as it stays.
        self.changes = 0
        self._lock = -1

    # -- life ------------------------------------------------------------------------------

    def open(self) -> Deferred[None]:
        """Lock the folder and repair what is in it.

        Fails with CacheInUse when another service has it, with DiskError when it is unusable.
        """
        return Deferred.fromCoroutine(self._open())

    async def _open(self) -> None:
        with disk_errors("cannot use the cache folder"):
            self._layout.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        lock = self._layout.lock()
        try:
            now = self._clock.seconds()
            survey = await self._defer_to_thread(recovery.recover, self._layout, now)
            self._index = Index(self._layout.index, self._clock.callLater)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        self._parts.adopt(survey.left, survey.kept)
        self._assemble()
        self._warn_of_little_room()
        if (survey.rebuilt and self._index.entries) or survey.dropped:
            self.log.info(
                "cache {root}: rebuilt={found.rebuilt}, {found.dropped} blobs removed,"
                " {entries} entries",
                root=self._layout.root,
                found=survey,
                entries=self._index.entries,
            )

    def _warn_of_little_room(self) -> None:
        if (free := self.free()) < LITTLE_ROOM:
            self.log.warn(
                "{root}: only {free} MB are free on its disk; what does not fit is passed on to"
                " clients without being kept",
                root=self._layout.root,
                free=free // 1_000_000,
            )

    def _assemble(self) -> None:
        layout, index = self._layout, self._index
        self._catalogue = Catalogue(layout, index, self._clock, changed=self._note_change)
        now = self._clock.seconds
        self._shelf = Shelf(layout, index, self._catalogue, self._trash, self.in_use, now)
        self._verifier = Verifier(layout, index, self._shelf, self._defer_to_thread)
        to_thread = self._defer_to_thread
        self._settling = Settling(layout, index, self._catalogue, to_thread)
        self._room = Room(
            layout=layout,
            max_bytes=self._max_bytes,
            evict=self._may_evict,
            index=index,
            catalogue=self._catalogue,
            shelf=self._shelf,
            parts=self._parts,
            trash=self._trash,
            tidy=self._settling.tidy,
        )

    def _note_change(self, key: str) -> None:
        self.changes += 1
        self.changed(key)

    def close(self) -> Deferred[None]:
        """Write what is noted in memory and release the folder; parts must be closed before."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        lock, self._lock = self._lock, -1
        if lock < 0:
            return
        try:
            await self._verifier.stop()
            await self._upkeep.finish()
            await self._trash.emptied()
            self._shelf.close()
            self._index.close()
        finally:
            os.close(lock)

    # -- entries ---------------------------------------------------------------------------

    def entries(self, key: str) -> tuple[Entry, ...]:
        """All entries of a key, whatever their scope and variant; usually from memory."""
        return self._catalogue.of_key(key)

    def blob_size(self, sha256: str, origin: str) -> int | None:
        """Bytes of a stored blob, None when it is not stored.

        One of its entries is for anybody, or has a key of this ``origin``.
        """
        blob = self._index.blob(sha256)
        return None if blob is None or not self._index.is_held(sha256, origin) else blob.size

    def put(self, entry: Entry, *, send: bool = False) -> bool:
        """Store or replace an entry; False when its blob is not (or no longer) in the cache.

        With ``send`` it is in the ``outbox`` from then on, whatever happens to this process.
        """
        if entry.blob and self._index.blob(entry.blob) is None:
            return False
        loose = self._catalogue.put(entry, send=send)
        self._shelf.named(entry.blob)
        self._shelf.drop_loose(loose)
        return True

    def drop(self, entry: Entry) -> None:
        """Forget an entry, and its blob if no other entry shares it."""
        self._shelf.drop_loose(self._catalogue.drop(entry))

    def drop_key(self, key: str) -> int:
        """Forget all entries of a key; how many there were."""
        entries = self.entries(key)
        for entry in entries:
            self.drop(entry)
        return len(entries)

    def invalidate(self, key: str) -> int:
        """Have all entries of a key revalidated before their next use; how many there are."""
        return self._catalogue.invalidate(key)

    def touch(self, entry: Entry) -> None:
        """An entry was used; written within seconds, together with others."""
        self._catalogue.touch(entry)
        self._upkeep.soon()

    def age(self, entry: Entry) -> None:
        """Have the body of an entry make way in half the time, unless it is used again."""
        self._index.age(entry.blob)

    def find(
        self,
        prefix: str = "",
        rule: str | None = None,
        received_before: float | None = None,
        *,
        negative: bool = True,
    ) -> Iterator[Entry]:
        """Walk over the entries that match all of this; they may be dropped on the way.

        ``received_before`` is in epoch seconds; ``negative`` says whether those count that say
        that there is nothing.
        """
        return self._catalogue.find(prefix, rule, received_before, negative=negative)

    def body(self, entry: Entry) -> StoredBody | None:
        """The body of an entry, or None: it has none, or its file is gone or was altered.

        A file is taken for altered when its size or modification time is not the recorded one;
        then it is dropped together with all of its entries.  The blob cannot be evicted from the
        moment that a reader is made, which should follow at once.
        """
        return self._shelf.body(entry.blob) if entry.blob else None

    @property
    def outbox(self) -> Outbox:
        """What is to be sent to the tier."""
        return self._index.outbox

    def to_send(self, count: int) -> list[Unsent]:
        """What is to be sent next."""
        return [Unsent(n, since, self._index.named(n)) for n, since in self.outbox.next(count)]

    def entries_after(self, name: str) -> list[tuple[str, Entry | None]]:
        """A page of entries by their names; None for a damaged one."""
        return self._index.after(name)

    # -- parts -----------------------------------------------------------------------------

    def create_part(self, meta: PartMeta) -> Part:
        """A new, empty part, which the caller closes.  Make room and allocate before it fills."""
        return self._parts.create(meta)

    def resumable(self, key: str, scope: str) -> Part | None:
        """The part that a crash, a stop or a failure left of a key, which the caller closes.

        Its ``written`` and ``durable`` spans are what the journal proves to be on the disk.
        """
        return self._parts.resumable(key, scope)

    def commit(self, part: Part, sha256: str, size: int) -> Deferred[Path]:
        """Make a complete part a blob; equal content is stored once.

        Fires with the blob's path once it is synced and in the index: put the entry at once.  No
        worker may write to the part any more, or the blob counts as altered.  Readers of
        ``part.fd`` go on until ``part.close()``.  Fails with DiskError, or with ValueError when
        the part is not complete; the part then is as it was.
        """
        return Deferred.fromCoroutine(self._commit(part, sha256, size))

    async def _commit(self, part: Part, sha256: str, size: int) -> Path:
        if part.size != size or not part.written.covers(0, size):
            raise ValueError(f"part {part.id} is not {size} complete bytes")
        await part.seal(sha256)
        if part.settled or part.fd < 0:
            raise DiskError(0, f"part {part.id} was given up while it was synced")
        with disk_errors("cannot store a finished download"):
            path = self._shelf.install(part, sha256, self._clock.seconds())
        self._settling.named(path.parent)
        self._upkeep.soon()
        return path

    def add(self, sha256: str, content: bytes, *, packed: bool = True) -> StoredBody:
        """Make a small body a blob, here and now: put its entry at once.

        It is synced within seconds, together with others.  A very small one is packed with
        others, unless its file is wanted soon.  Until a file is synced the index says of it that
        a power loss may have taken it, so that the next start looks.
        """
        if len(content) > SMALL:
            raise ValueError(f"{len(content)} bytes are too many to be stored in one go")
        if not self._room.grow(len(content)):
            raise DiskFull(0, "the cache has reached its size limit")
        packed = packed and len(content) <= MOST_PACKED and not self._index.packed.damaged
        body = self._shelf.add(sha256, content, self._clock.seconds(), packed=packed)
        if not packed:
            self._settling.added(sha256)
        self._upkeep.soon()
        return body

    def quarantine(self, part: Part, why: str) -> None:
        """Keep a part's bytes apart for inspection, never to be served or resumed."""
        self._parts.quarantine(part, why)

    # -- room ------------------------------------------------------------------------------

    def free(self) -> int:
        """Bytes that are free on the disk."""
        return self._layout.free()

    def usage(self) -> Usage:
        """What is stored; costs nothing."""
        parts = self._parts
        return Usage(
            total=self._index.bytes + parts.bytes + self.in_use.nameless,
            blobs=self._index.bytes,
            files=self._index.blobs,
            entries=self._index.entries,
            parts=parts.active + parts.left,
            quarantine=parts.kept,
            nameless=self.in_use.nameless,
        )

    def resize(self, max_bytes: int, *, evict: bool) -> None:
        """Another limit, which the next call of ``make_room`` enforces."""
        self._max_bytes, self._may_evict = max_bytes, evict
        self._room = attrs.evolve(self._room, max_bytes=max_bytes, evict=evict)

    @property
    def root(self) -> Path:
        """The cache folder."""
        return self._layout.root

    @property
    def max_bytes(self) -> int:
        """The limit of blobs, parts and quarantine together."""
        return self._max_bytes

    @property
    def evicted(self) -> Evicted:
        """What had to make way since ``open``."""
        return self._room.evicted

    def listing(self, wanted: Listing) -> Deferred[list[Listed]]:
        """Some entries in some order, read in a thread."""
        self._catalogue.flush()
        self._index.flush()
        return self._defer_to_thread(entries_listed, self._layout.index, wanted)

    def by_rule(self) -> Deferred[list[RuleUse]]:
        """What each rule has stored, read in a thread."""
        self._index.flush()
        return self._defer_to_thread(rules_listed, self._layout.index)

    def kept(self, most: int, read: Callable[[list[Kept]], T]) -> Deferred[T]:
        """What ``read`` makes, in a thread, of the rows of the entries that were used last.

        Fails with DiskError.
        """
        self._catalogue.flush()
        return self._defer_to_thread(lambda: read(kept_listed(self._layout.index, most)))

    def make_room(self, count: int) -> Deferred[bool]:
        """Evict until ``count`` more bytes fit, into the limit and onto the disk.

        Fires with False, and evicts nothing, when that cannot be reached.  On True, allocate at
        once: another caller may be waiting for the same bytes.  Cancelling stops the eviction.
        """
        return self._room.make(count)

    def make_spare_room(self) -> Deferred[bool]:
        """The same for a part whose size is not known, which asks for more as it grows."""
        return self._room.make(self._room.spare)

    def verify(self, result: Verification | None = None) -> Deferred[Verification]:
        """Hash every blob again, in threads, and drop those that are not what they are named.

        Fires with the counts; ``result`` has them meanwhile.  Cancelling stops it after the files
        that are being read.
        """
        return self._verifier.walk(Verification() if result is None else result)
