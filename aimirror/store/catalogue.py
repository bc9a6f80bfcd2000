"""Entries: in the index, in their sidecars, and the ones asked for lately in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING

import attrs

from aimirror.bounded import LRU
from aimirror.caching.entries import Entry
from aimirror.store import records
from aimirror.store.errors import disk_errors
from aimirror.store.index import Index
from aimirror.store.layout import Layout, entry_name

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Keys whose entries are held in memory, so that a hot hit asks no database.
MOST_REMEMBERED = 2048
#: Uses noted in memory before they are written although it is not yet time.
MOST_TOUCHES = 4096
#: Entries in all.  Bodies are bounded by bytes, but an entry without one takes none of those.
MOST_ENTRIES = 2_000_000
#: Of them those that say that there is nothing: anybody can have as many made as he has names.
MOST_NEGATIVE = 4096
#: Seconds after whose last use such a one is dropped.
NEGATIVE_SECONDS = 24 * 3600.0
#: Entries of one key, and of those the variants of one scope: all are looked at for each request.
MOST_OF_KEY = 128
MOST_VARIANTS = 16
#: How many are dropped together when there are too many.
SURPLUS = 64


class Catalogue:
    """The entries of an open cache; ``changed`` is told the key of each one that is written.

    Methods that write return the blobs that may have lost their last entry.  All raise DiskError.
    """

    def __init__(
        self,
        layout: Layout,
        index: Index,
        clock: IReactorTime,
        most: int = MOST_ENTRIES,
        *,
        changed: Callable[[str], object] = lambda key: None,
    ) -> None:
        self._layout = layout
        self._index = index
        self._clock = clock
        self._most = most
        self._changed = changed
        self._remembered: LRU[str, tuple[Entry, ...]] = LRU(MOST_REMEMBERED)
        self._touched: dict[tuple[str, str, str], tuple[Entry, float]] = {}
        #: No fewer than there are.
        self._negatives = index.negatives()

    def of_key(self, key: str) -> tuple[Entry, ...]:
        """All entries of a key: scopes and variants."""
        entries = self._remembered.get(key)
        if entries is not None:
            return entries
        entries = self._index.of_key(key)
        self._remembered.put(key, entries)
        return entries

    def put(self, entry: Entry, *, send: bool = False) -> set[str]:
        """Store an entry, replacing the one of the same key, scope and variant."""
        name, record = entry_name(entry), records.dump(entry)
        identity = (entry.scope, entry.variant)
        before = self.of_key(entry.key)
        others = tuple(each for each in before if (each.scope, each.variant) != identity)
        loose = {each.blob for each in before if each not in others}
        new = len(others) == len(before)
        self._forget(entry.key)
        packed = self._is_packed(entry)
        if packed and new and not send:
            self._index.put_new(entry, self._clock.seconds(), name, record)
        else:
            self._write(entry, name, record, send=send, new=new, packed=packed)
        self._remembered.put(entry.key, (*others, entry))
        for old in self._superfluous(entry):
            loose |= self.drop(old)
        return loose - {entry.blob, ""}

    def _is_packed(self, entry: Entry) -> bool:
        """Whether it needs no sidecar, as its body has no file either."""
        if not entry.blob:
            return not self._index.packed.damaged
        blob = self._index.blob(entry.blob)
        return blob is not None and blob.packed

    def _write(
        self, entry: Entry, name: str, record: str, *, send: bool, new: bool, packed: bool
    ) -> None:
        index = self._index
        # what the tier is to get is sure at once: nobody else knows of it
        writing = index.gathering() if new and not send else index.transaction()
        with disk_errors("cannot store an entry"), writing:
            if packed:
                index.packed.note(name, record)
            else:
                path = self._layout.named("entries", name, ".json")
                records.write_record(path, record, new=new)
                if not new:
                    index.packed.forget(name)
            index.put(entry, self._clock.seconds(), send=send, name=name, record=record)
            if packed and not new:
                self._layout.sidecar(name).unlink(missing_ok=True)

    def _superfluous(self, entry: Entry) -> Iterator[Entry]:
        """What has to make room for a new entry."""
        if self._index.entries > self._most:
            yield from self._index.stalest(SURPLUS)
        if entry.status >= 400:
            yield from self._old_negatives()
        of_key = self.of_key(entry.key)
        if len(of_key) > MOST_VARIANTS:
            same = [each for each in of_key if each.scope == entry.scope]
            yield from _oldest(same, MOST_VARIANTS, entry)
            yield from _oldest(of_key, MOST_OF_KEY, entry)

    def _old_negatives(self) -> Iterator[Entry]:
        self._negatives += 1
        yield from self._index.stalest_negatives(self._clock.seconds() - NEGATIVE_SECONDS, SURPLUS)
        if self._negatives > MOST_NEGATIVE:
            self._negatives = self._index.negatives()
            if self._negatives > MOST_NEGATIVE:
                surplus = max(SURPLUS, self._negatives - MOST_NEGATIVE)
                self._negatives -= surplus
                yield from self._index.stalest_negatives(inf, surplus)

    def drop(self, entry: Entry) -> set[str]:
        """Forget an entry; nothing happens when it is not there."""
        name = entry_name(entry)
        blob = self._index.blob_of(name)
        self._forget(entry.key)
        with disk_errors("cannot drop an entry"):
            self._layout.sidecar(name).unlink(missing_ok=True)
            self._index.remove(name)
        return {blob} - {""}

    def drop_blobs(self, blobs: Iterable[str]) -> None:
        """Forget blobs, and all entries that need them."""
        with disk_errors("cannot drop a blob"):
            with self._index.transaction():
                gone = [entry for sha256 in blobs for entry in self._index.remove_blob(sha256)]
            for name, key in gone:
                self._forget(key)
                self._layout.sidecar(name).unlink(missing_ok=True)

    def _forget(self, key: str) -> None:
        """What is held in memory of a key, here or elsewhere, is not true any more."""
        self._remembered.pop(key)
        self._changed(key)

    def invalidate(self, key: str) -> int:
        """Mark all entries of a key as to be revalidated before any use; how many there are."""
        entries = self.of_key(key)
        for entry in entries:
            self.put(attrs.evolve(entry, invalidated=True))
        return len(entries)

    def find(
        self, prefix: str, rule: str | None, before: float | None, *, negative: bool = True
    ) -> Iterator[Entry]:
        """Entries by key prefix, rule, and time of receipt; all or those that have something."""
        return self._index.find(prefix, rule, before, negative=negative)

    def touch(self, entry: Entry) -> None:
        """Note a use in memory."""
        identity = (entry.key, entry.scope, entry.variant)
        self._touched[identity] = (entry, self._clock.seconds())
        if len(self._touched) >= MOST_TOUCHES:
            self.flush()

    def flush(self) -> None:
        """Write the noted uses; they are given up when that fails, as only eviction reads them."""
        touched, self._touched = self._touched, {}
        if touched:
            with self._index.transaction():
                self._index.touch([(used, entry_name(e)) for e, used in touched.values()])


def _oldest(entries: Sequence[Entry], most: int, new: Entry) -> list[Entry]:
    """Those beyond ``most``, the first received first; never the new one, and nothing pinned."""
    surplus = max(0, len(entries) - most)
    loose = [each for each in entries if each != new and not each.pinned]
    return sorted(loose, key=lambda each: each.received_at)[:surplus]
