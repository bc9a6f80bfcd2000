"""Room for more: the limit of the cache, the space on the disk, and what goes for it."""

from __future__ import annotations

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred

from aimirror.store.catalogue import Catalogue
from aimirror.store.eviction import Candidate, choose
from aimirror.store.index import PAGE, Index
from aimirror.store.layout import Layout
from aimirror.store.partfolder import PartFolder
from aimirror.store.shelf import Shelf
from aimirror.store.trash import Trash

#: Blobs that one slice of eviction removes at most, so that it blocks for milliseconds.
SLICE = 16
#: Bytes kept free for parts whose size is not known, and the share of a small cache; eviction
#: frees as much beyond what a growing part asks for, so that it runs seldom.
GROWTH_STEP = 8 << 20
GROWTH_SHARE = 1 / 64
#: Before the first page of blobs by last use.
_START = (-1.0, "")


@define
class Evicted:
    """What had to make way so far."""

    blobs: int = 0
    bytes: int = 0


@frozen(kw_only=True)
class Room:
    """Weighs what is stored against ``max_bytes`` and the disk under it."""

    layout: Layout
    max_bytes: int
    #: Whether blobs may go; else only quarantine and parts that nobody works on.
    evict: bool
    index: Index
    catalogue: Catalogue
    shelf: Shelf
    parts: PartFolder
    trash: Trash
    evicted: Evicted = Factory(Evicted)

    def make(self, count: int) -> Deferred[bool]:
        """Fires with whether ``count`` more bytes fit, after eviction if need be."""
        return Deferred.fromCoroutine(self._make(count))

    async def _make(self, count: int) -> bool:
        if (short := self._short(count)) <= 0:
            return True
        if short > self._evictable():
            return False
        self.parts.shed(short)
        await self.trash.emptied()
        after: tuple[float, str] | None = _START
        while (short := self._short(count)) > 0:
            if after is None or not self.evict:
                return False
            after = self._evict(short, after)
            await self.trash.emptied()
        return True

    def _over(self, count: int) -> int:
        """By how much ``count`` more bytes exceed the limit."""
        return self.index.bytes + self.parts.bytes + count - self.max_bytes

    def _short(self, count: int) -> int:
        """Bytes that must go for ``count`` to fit, both into the limit and onto the disk."""
        return max(self._over(count), self._lacking(count))

    def _lacking(self, count: int) -> int:
        """Bytes that the disk lacks for ``count`` more."""
        return count - self.layout.free()

    def _evictable(self) -> int:
        free = self.parts.left + self.parts.kept
        if self.evict:
            free += self.index.bytes - self.index.held_bytes(self.shelf.readers)
        return free

    def _evict(self, needed: int, after: tuple[float, str]) -> tuple[float, str] | None:
        """Remove a slice of the least recently used blobs; where to go on, None at the end."""
        self.catalogue.flush()
        page = self.index.least_used(after)
        readers = self.shelf.readers
        victims = choose(
            [
                Candidate(blob.sha256, blob.size, blob.used, pinned or readers[blob.sha256] > 0)
                for blob, pinned in page
            ],
            needed,
        )
        for victim in victims[:SLICE]:
            self.shelf.remove(victim.blob)
            self.evicted.blobs += 1
            self.evicted.bytes += victim.size
        if len(victims) > SLICE or sum(victim.size for victim in victims) >= needed:
            return after
        return (page[-1][0].used, page[-1][0].sha256) if len(page) == PAGE else None

    @property
    def spare(self) -> int:
        """Bytes that a part of unknown size should find when it begins, and ahead of it later."""
        return min(GROWTH_STEP, int(self.max_bytes * GROWTH_SHARE))

    def grow(self, count: int) -> bool:
        """Whether a part may grow, after eviction of one slice at most.

        What was evicted for the disk's sake leaves it a little later; the spare bytes bridge that.
        """
        over = self._over(count)
        if over > 0:
            over -= self.parts.shed(over)
        crowded = 0 if self.trash.running else self._lacking(self.spare + count)
        if max(over, crowded) > 0 and self.evict:
            self._evict(max(over, crowded) + self.spare, _START)
        return self._over(count) <= 0
