"""Room for more: the limit of the cache, the space on the disk, and what goes for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

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
#: Bytes, and the share of the limit, by which eviction goes below it: one search then makes room
#: for many small files.
AHEAD = 4 << 20
AHEAD_SHARE = 1 / 256
#: The share of ``max_bytes`` that files without a name, which clients still read, may take of the
#: disk beyond the limit.
NAMELESS_SHARE = 1 / 8
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
    #: Gives the disk what packed bodies have left.
    tidy: Callable[[], Coroutine[Any, Any, None]]
    evicted: Evicted = Factory(Evicted)

    def make(self, count: int) -> Deferred[bool]:
        """Fires with whether ``count`` more bytes fit, after eviction if need be."""
        return Deferred.fromCoroutine(self._make(count))

    async def _make(self, count: int) -> bool:
        if (short := self._short(count)) <= 0:
            return True
        if short > self._evictable() or self._lacking(count) > self._evictable(on_disk=True):
            return False
        self.parts.shed(short)
        await self.trash.emptied()
        after: tuple[float, str] | None = _START
        while self.evict and after is not None and (short := self._short(count)) > 0:
            after = self._evict(short + self._ahead, after)
            await self.trash.emptied()
        if self.evict and self._short(count) > 0:
            self._take_from_readers(count)
            await self.trash.emptied()
        if self.index.packed.returning and count > self.layout.free():
            await self.tidy()
        return self._short(count) <= 0

    def _over(self, count: int) -> int:
        """By how much ``count`` more bytes exceed the limit."""
        beyond = max(0, self.shelf.in_use.nameless - self._most_nameless)
        return self.index.bytes + self.parts.bytes + beyond + count - self.max_bytes

    @property
    def _most_nameless(self) -> int:
        return int(self.max_bytes * NAMELESS_SHARE)

    def _short(self, count: int) -> int:
        """Bytes that must go for ``count`` to fit, both into the limit and onto the disk."""
        return max(self._over(count), self._lacking(count))

    def _lacking(self, count: int) -> int:
        """Bytes that the disk lacks for ``count`` more."""
        return count - self.layout.free() - self.index.packed.returning

    def _evictable(self, *, on_disk: bool = False) -> int:
        """Bytes that can be freed at most, of the limit or of the disk."""
        free = self.parts.left + self.parts.kept
        if self.evict:
            free += self.index.bytes - self.index.held_bytes(self.shelf.in_use.blobs)
            free += self._from_readers(on_disk)
        return free

    def _from_readers(self, on_disk: bool) -> int:
        """What ``_take_from_readers`` would free."""
        in_use, most = self.shelf.in_use, self._most_nameless
        slow = in_use.slow_nameless
        left = most - in_use.nameless + slow
        free = slow if on_disk else max(0, min(slow, in_use.nameless - most))
        for blob in self.index.those(in_use.blobs):
            use = in_use.use(blob.sha256)
            if use is None:
                continue
            if use.slow():
                free += blob.size
            elif not on_disk and blob.size <= left:
                free += blob.size
                left -= blob.size
        return free

    def _take_from_readers(self, count: int) -> None:
        """Make room with blobs that are being read, the least recently used ones first.

        As many as may stay on the disk without a name are read on; then slow readers are cut off.
        """
        in_use = self.shelf.in_use
        for blob in self.index.those(in_use.blobs):
            if self._short(count) > 0 and not self._may_be_nameless(blob.size, count):
                in_use.cut_slow()
            if self._short(count) <= 0:
                return
            stays = self._may_be_nameless(blob.size, count)
            use = in_use.use(blob.sha256)
            if use is not None and (stays or use.slow()):
                self._remove({blob.sha256: blob.size})
                if not stays:
                    use.cut()

    def _may_be_nameless(self, size: int, count: int) -> bool:
        """Whether readers may go on with so many bytes that have no name."""
        fits = self.shelf.in_use.nameless + size <= self._most_nameless
        return fits and self._lacking(count) <= 0

    def _remove(self, sizes: Mapping[str, int]) -> None:
        self.shelf.remove(*sizes)
        self.evicted.blobs += len(sizes)
        self.evicted.bytes += sum(sizes.values())

    def _evict(self, needed: int, after: tuple[float, str]) -> tuple[float, str] | None:
        """Remove a slice of the least recently used blobs; where to go on, None at the end."""
        self.catalogue.flush()
        page = self.index.least_used(after)
        in_use = self.shelf.in_use
        victims = choose(
            [
                Candidate(blob.sha256, blob.size, blob.used, pinned or blob.sha256 in in_use)
                for blob, pinned in page
            ],
            needed,
        )
        self._remove({victim.blob: victim.size for victim in victims[:SLICE]})
        if len(victims) > SLICE or sum(victim.size for victim in victims) >= needed:
            return after
        return (page[-1][0].used, page[-1][0].sha256) if len(page) == PAGE else None

    @property
    def _ahead(self) -> int:
        return min(AHEAD, int(self.max_bytes * AHEAD_SHARE))

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
        if over <= 0 and crowded <= 0:
            return True
        if self.evict:
            self._evict(max(over, crowded) + self.spare, _START)
            if self._over(count) > 0:
                self._take_from_readers(count)
        return self._over(count) <= 0
