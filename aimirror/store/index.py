"""The index: entries and blobs in SQLite, for every question that must not walk the disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import astuple

from aimirror.caching.entries import Entry
from aimirror.store import packed, records
from aimirror.store.database import Blob, Database, Later
from aimirror.store.errors import DiskError
from aimirror.store.layout import entry_name
from aimirror.store.outbox import TABLES, Outbox
from aimirror.store.packed import Packed

#: What says that there is nothing: looked for apart, as there may be any number of it.
_NEGATIVE = """record GLOB '*"status":[45][0-9][0-9],*'"""
#: Rows that a walk over the index reads at a time, so that it holds no lock and little memory.
PAGE = 256


class Index(Database):
    """Every call is short, and raises DiskError when SQLite fails."""

    def __init__(self, path: Path, later: Later | None = None) -> None:
        super().__init__(path, later, _attach)
        self.outbox = Outbox(self)
        self.packed = Packed(self)

    # -- blobs -----------------------------------------------------------------------------

    def blob(self, sha256: str) -> Blob | None:
        """What is known of a blob."""
        if self._newest is not None and self._newest.sha256 == sha256:
            return self._newest
        rows = self.rows(f"{_BLOB} WHERE sha256 = ?", sha256)
        return Blob(*rows[0]) if rows else None

    def add_blob(self, blob: Blob) -> None:
        """Record a blob, or record it anew."""
        old = self.blob(blob.sha256)
        self._newest = None
        self.write("REPLACE INTO blobs VALUES (?, ?, ?, ?)", *astuple(blob))
        if old is not None and old.packed:
            self.packed.drop(blob.sha256, old.size)
        self.blobs += old is None
        self.bytes += blob.size - (old.size if old else 0)

    def add_unsynced(self, blob: Blob) -> None:
        """Record a blob that is not there yet, and that nobody has synced."""
        with self.gathering():
            self.write("REPLACE INTO unsynced VALUES (?)", blob.sha256)
            self.write("INSERT INTO blobs VALUES (?, ?, ?, ?)", *astuple(blob))
        self.blobs += 1
        self.bytes += blob.size

    def add_packed(self, blob: Blob, content: bytes) -> None:
        """Record a body that is not there yet and keep it; committed together with others."""
        row = ("INSERT INTO blobs VALUES (?, ?, ?, ?)", astuple(blob))
        try:
            self._gather(row, self.packed.adding(blob.sha256, content))
        except DiskError as error:
            self.packed.failed(error)
            raise
        self.blobs += 1
        self.bytes += blob.size
        self._newest = blob

    def unsynced(self) -> list[str]:
        """The blobs that nobody has synced since they were recorded."""
        return [name for (name,) in self.rows("SELECT sha256 FROM unsynced")]

    def synced(self, names: Iterable[str]) -> None:
        """Their bytes are on the disk."""
        sql = "DELETE FROM unsynced WHERE sha256 IN (SELECT value FROM json_each(?))"
        self.write(sql, json.dumps(list(names)))

    def remove_blob(self, sha256: str) -> list[tuple[str, str]]:
        """Forget a blob and all entries that need it; the (name, key) of those."""
        gone = self.rows("SELECT name, key FROM entries WHERE blob = ?", sha256)
        self._newest = None
        self.entries -= self.write("DELETE FROM entries WHERE blob = ?", sha256)
        old = self.blob(sha256)
        if old is not None:
            self.write("DELETE FROM blobs WHERE sha256 = ?", sha256)
            self.blobs -= 1
            self.bytes -= old.size
            if old.packed:
                self.packed.drop(sha256, old.size)
        for name, _ in gone:
            self.packed.forget(name)
        return gone

    def is_orphan(self, sha256: str) -> bool:
        """Whether no entry needs this blob."""
        return not self.rows("SELECT 1 FROM entries WHERE blob = ? LIMIT 1", sha256)

    def is_held(self, sha256: str, origin: str) -> bool:
        """Whether an entry for anybody, or one whose key is of this origin, needs this blob."""
        sql = (
            "SELECT 1 FROM entries WHERE blob = ? AND (json_extract(record, '$.scope') = ''"
            " OR (key >= ? AND key < ?)) LIMIT 1"
        )
        return bool(self.rows(sql, sha256, f"{origin}/", f"{origin}/{_LAST}"))

    def blobs_between(self, start: str, stop: str) -> list[Blob]:
        """All blobs whose name is in ``[start, stop)``."""
        return [
            Blob(*r) for r in self.rows(f"{_BLOB} WHERE sha256 >= ? AND sha256 < ?", start, stop)
        ]

    def blobs_after(self, sha256: str) -> list[Blob]:
        """A page of blobs by name."""
        sql = f"{_BLOB} WHERE sha256 > ? ORDER BY sha256 LIMIT {PAGE}"
        return [Blob(*row) for row in self.rows(sql, sha256)]

    def orphans(self) -> list[Blob]:
        """All blobs that no entry needs."""
        sql = f"{_BLOB} WHERE NOT EXISTS (SELECT 1 FROM entries WHERE blob = sha256)"
        return [Blob(*row) for row in self.rows(sql)]

    def least_used(self, after: tuple[float, str]) -> list[tuple[Blob, bool]]:
        """A page of blobs by last use, each with whether it is pinned."""
        sql = (
            "SELECT sha256, size, mtime_ns, used,"
            " EXISTS (SELECT 1 FROM entries WHERE blob = sha256 AND pinned) FROM blobs"
            f" WHERE (used, sha256) > (?, ?) ORDER BY used, sha256 LIMIT {PAGE}"
        )
        return [(Blob(*row[:4]), bool(row[4])) for row in self.rows(sql, *after)]

    def those(self, names: Iterable[str]) -> list[Blob]:
        """Those of these blobs that are stored and not pinned, by last use."""
        sql = (
            f"{_BLOB} WHERE sha256 IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM entries WHERE blob = sha256 AND pinned)"
            " ORDER BY used, sha256"
        )
        return [Blob(*row) for row in self.rows(sql, json.dumps(list(names)))]

    def held_bytes(self, busy: Iterable[str]) -> int:
        """Bytes of the blobs that are pinned or among the busy ones."""
        sql = (
            "SELECT coalesce(sum(size), 0) FROM blobs WHERE sha256 IN (SELECT blob FROM entries"
            " WHERE pinned UNION SELECT value FROM json_each(?))"
        )
        (count,) = self._one(sql, json.dumps(list(busy)))
        return int(count)

    def age(self, sha256: str) -> None:
        """Let a blob with one entry count as used in the middle of all that is kept."""
        sql = (
            "UPDATE blobs SET used = (used + (SELECT min(used) FROM blobs)) / 2 WHERE sha256 = ?1"
            " AND (SELECT count(*) FROM entries WHERE blob = ?1) = 1"
        )
        self.write(sql, sha256)

    # -- entries ---------------------------------------------------------------------------

    def of_key(self, key: str) -> tuple[Entry, ...]:
        """All entries of a key."""
        return _load(self.rows("SELECT record FROM entries WHERE key = ?", key))

    def blob_of(self, name: str) -> str:
        """The blob of an entry, "" when it has none or there is no such entry."""
        rows = self.rows("SELECT blob FROM entries WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def put(
        self, entry: Entry, used: float, *, send: bool = False, name: str = "", record: str = ""
    ) -> None:
        """Insert or replace an entry; it counts as used.  ``send`` puts it into the outbox.

        ``name`` and ``record`` are made of it where they are not at hand.
        """
        name = name or entry_name(entry)
        self.entries -= self.write("DELETE FROM entries WHERE name = ?", name)
        head = (name, entry.key, entry.blob, entry.rule, entry.received_at, used, entry.pinned)
        self.entries += self.write(_ENTER, *head, record or records.dump(entry))
        if send:
            self.outbox.add(name, entry.size, used)
        if entry.blob:
            self.write(_USED, used, entry.blob, used)

    def put_new(self, entry: Entry, used: float, name: str, record: str) -> None:
        """Insert an entry that needs no sidecar; committed together with others."""
        newest = self._newest
        row = (name, entry.key, entry.blob, entry.rule, entry.received_at, used, entry.pinned)
        self._gather((_ENTER, (*row, record)), self.packed.noting(name, record))
        self.entries += 1
        if entry.blob and (newest is None or newest.sha256 != entry.blob):
            self._gather((_USED, (used, entry.blob, used)))

    def remove(self, name: str) -> None:
        """Forget an entry; its blob stays."""
        self.packed.forget(name)
        self.entries -= self.write("DELETE FROM entries WHERE name = ?", name)

    def touch(self, uses: Sequence[tuple[float, str]]) -> None:
        """Entries were used at some times, and so were their blobs."""
        self.write_each("UPDATE entries SET used = max(used, ?) WHERE name = ?", uses)
        sql = "UPDATE blobs SET used = max(used, ?) WHERE sha256 = (SELECT blob FROM entries"
        self.write_each(f"{sql} WHERE name = ?)", uses)

    def after(self, name: str) -> list[tuple[str, Entry | None]]:
        """A page of entries by name; None for a damaged record."""
        sql = f"SELECT name, record FROM entries WHERE name > ? ORDER BY name LIMIT {PAGE}"
        return [(n, next(iter(_load([(record,)])), None)) for n, record in self.rows(sql, name)]

    def named(self, name: str) -> Entry | None:
        """The entry of a name."""
        return next(iter(_load(self.rows("SELECT record FROM entries WHERE name = ?", name))), None)

    def stalest(self, count: int) -> tuple[Entry, ...]:
        """The entries whose last use is longest ago, pinned ones left out."""
        sql = "SELECT record FROM entries WHERE NOT pinned ORDER BY used LIMIT ?"
        return _load(self.rows(sql, count))

    def negatives(self) -> int:
        """How many entries say that there is nothing (4xx and 5xx)."""
        (count,) = self._one(f"SELECT count(*) FROM entries WHERE {_NEGATIVE}")
        return int(count)

    def stalest_negatives(self, before: float, count: int) -> tuple[Entry, ...]:
        """Of these, those whose last use was before a time, pinned ones left out."""
        sql = (
            f"SELECT record FROM entries WHERE {_NEGATIVE} AND used < ? AND NOT pinned"
            " ORDER BY used LIMIT ?"
        )
        return _load(self.rows(sql, before, count))

    def entries_between(self, start: str, stop: str) -> dict[str, Entry | None]:
        """Entries by name, names in ``[start, stop)``; None for a damaged record."""
        sql = "SELECT name, record FROM entries WHERE name >= ? AND name < ?"
        rows = self.rows(sql, start, stop)
        return {name: next(iter(_load([(record,)])), None) for name, record in rows}

    def find(
        self, prefix: str, rule: str | None, before: float | None, *, negative: bool = True
    ) -> Iterator[Entry]:
        """Walk over entries, page by page: what is changed meanwhile may be seen or not."""
        only = "" if negative else f" AND NOT {_NEGATIVE}"
        sql = (
            "SELECT key, name, record FROM entries WHERE (key, name) > (?, ?) AND key < ?"
            f" AND (? IS NULL OR rule = ?) AND (? IS NULL OR received_at < ?){only}"
            f" ORDER BY key, name LIMIT {PAGE}"
        )
        key, name, stop = prefix, "", prefix + _LAST
        while True:
            rows = self.rows(sql, key, name, stop, rule, rule, before, before)
            yield from _load((record,) for _, _, record in rows)
            if len(rows) < PAGE:
                return
            key, name, _ = rows[-1]


def _attach(database: sqlite3.Connection, path: Path) -> None:
    database.executescript(TABLES)
    packed.attach(database, path)


#: Behind all that a key may hold.
_LAST = chr(0x10FFFF)
_BLOB = "SELECT sha256, size, mtime_ns, used FROM blobs"
_ENTER = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_USED = "UPDATE blobs SET used = ? WHERE sha256 = ? AND used < ?"


def _load(rows: Iterable[tuple[str]]) -> tuple[Entry, ...]:
    """Entries of records; a damaged one is as good as none."""
    loaded = []
    for (record,) in rows:
        with suppress(ValueError):
            loaded.append(records.load(record))
    return tuple(loaded)
