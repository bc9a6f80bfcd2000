"""The index: entries and blobs in SQLite, for every question that must not walk the disk."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import astuple, frozen
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.store import packed, records
from aimirror.store.errors import DiskError, disk_errors
from aimirror.store.layout import FILE_MODE, entry_name
from aimirror.store.outbox import TABLES, Outbox
from aimirror.store.packed import PACKED, Packed, Statement

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

#: Kept in the database's user_version; another one means: rebuild from the sidecars.
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE blobs (
    sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, used REAL NOT NULL
);
CREATE INDEX blobs_used ON blobs (used, sha256);
CREATE TABLE entries (
    name TEXT PRIMARY KEY, key TEXT NOT NULL, blob TEXT NOT NULL, rule TEXT NOT NULL,
    received_at REAL NOT NULL, used REAL NOT NULL, pinned INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE INDEX entries_key ON entries (key);
CREATE INDEX entries_blob ON entries (blob, pinned);
CREATE INDEX entries_used ON entries (used);
CREATE INDEX entries_pinned ON entries (blob) WHERE pinned;
"""
#: Blobs whose bytes a power loss may have taken; a table that older versions of the index lack.
_UNSYNCED = "CREATE TABLE IF NOT EXISTS unsynced (sha256 TEXT PRIMARY KEY) WITHOUT ROWID"
#: What says that there is nothing: looked for apart, as there may be any number of it.
_NEGATIVE = """record GLOB '*"status":[45][0-9][0-9],*'"""
_NEGATIVE_INDEX = f"CREATE INDEX IF NOT EXISTS entries_negative ON entries (used) WHERE {_NEGATIVE}"
#: Rows that a walk over the index reads at a time, so that it holds no lock and little memory.
PAGE = 256
#: Seconds within which new entries are committed together: each commit writes ten pages.
GATHER = 0.02
#: Seconds that a statement waits for the other connection (a checkpoint in a thread).
BUSY_TIMEOUT = 1.0
_DAMAGED = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})


@frozen
class Blob:
    """A stored body: bytes, the modification time that its file must have, its latest use."""

    sha256: str
    size: int
    mtime_ns: int
    used: float

    @property
    def packed(self) -> bool:
        """Whether it has no file of its own."""
        return self.mtime_ns == PACKED


def _connect(path: Path) -> sqlite3.Connection:
    """A connection without autocheckpoint: syncing the write-ahead log is for a thread."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    os.close(fd)
    made = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("PRAGMA synchronous = NORMAL")
        made.execute("PRAGMA wal_autocheckpoint = 0")
    except sqlite3.Error:
        made.close()
        raise
    return made


def prepare(path: Path) -> bool:
    """Make sure that there is a sound index; whether a new one had to be made.  Blocks."""
    try:
        if _sound(path):
            return False
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _DAMAGED:
            raise
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    made = _connect(path)
    try:
        made.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
    finally:
        made.close()
    return True


def _sound(path: Path) -> bool:
    opened = _connect(path)
    try:
        (version,) = opened.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            return False
        opened.execute("SELECT sha256, size, mtime_ns, used FROM blobs LIMIT 1").fetchall()
        opened.execute("SELECT name, received_at, pinned, record FROM entries LIMIT 1").fetchall()
        return bool(opened.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    finally:
        opened.close()


def checkpoint(path: Path) -> None:
    """Bring the write-ahead log into the database, synced.  Blocks, so call it in a thread."""
    with disk_errors("cannot sync the index"):
        opened = _connect(path)
        try:
            opened.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            opened.close()


#: Calls something after some seconds.
Later = Callable[[float, Callable[[], None]], "IDelayedCall"]


class Index:
    """One connection; every call is short, and raises DiskError when SQLite fails.

    ``later(seconds, act)`` calls later, as a clock does; without it nothing is gathered.
    ``blobs``, ``bytes`` and ``entries`` count what is stored, without asking the database.
    """

    log = Logger()

    def __init__(self, path: Path, later: Later | None = None) -> None:
        self._later = later
        #: Has what is gathered committed; None when nothing is.
        self._gathered: IDelayedCall | None = None
        self._gathering = False
        with disk_errors("cannot open the index"):
            self._db = _connect(path)
            self._db.executescript(TABLES)
            self._db.execute(_UNSYNCED)
            self._db.execute(_NEGATIVE_INDEX)
            packed.attach(self._db, path)
        self.outbox = Outbox(self)
        self.packed = Packed(self)
        #: The blob that was added last: its entry is put next.
        self._newest: Blob | None = None
        self.blobs = self.bytes = self.entries = 0
        self._count()

    def _count(self) -> None:
        self.blobs, self.bytes = self._one("SELECT count(*), coalesce(sum(size), 0) FROM blobs")
        (self.entries,) = self._one("SELECT count(*) FROM entries")

    def close(self) -> None:
        """Close the connection; the last one of a database checkpoints it."""
        with suppress(sqlite3.Error):
            with suppress(DiskError):
                self.flush()
            self._db.close()

    def flush(self) -> None:
        """Commit what is gathered."""
        call, self._gathered = self._gathered, None
        if call is None:
            return
        if call.active():
            call.cancel()
        try:
            with disk_errors("cannot write the index"):
                self._db.execute("COMMIT")
        except DiskError:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._newest = None
            self._count()
            raise

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """All or nothing, committed within GATHER seconds together with others.

        For what is new alone: what a crash takes of it is found again on the disk, or was never
        there.  Whatever else is written commits it first.
        """
        if self._later is None:
            with self.transaction():
                yield
            return
        with disk_errors("cannot write the index"):
            counts = self.blobs, self.bytes, self.entries
            if self._gathered is None:
                self._db.execute("BEGIN IMMEDIATE")
                self._gathered = self._later(GATHER, self._flush_late)
            self._db.execute("SAVEPOINT one")
            self._gathering = True
            self._newest = None
            try:
                yield
                self._db.execute("RELEASE one")
            except BaseException:
                self.blobs, self.bytes, self.entries = counts
                self._undo()
                raise
            finally:
                self._gathering = False

    def _gather(self, *statements: Statement) -> None:
        """Write what is new, committed within GATHER seconds together with others.

        Where a statement fails, those before it may have been carried out.
        """
        self._newest = None
        if self._later is None:
            with self.transaction():
                for sql, values in statements:
                    self._db.execute(sql, values)
            return
        try:
            if self._gathered is None:
                self._db.execute("BEGIN IMMEDIATE")
                self._gathered = self._later(GATHER, self._flush_late)
            for sql, values in statements:
                self._db.execute(sql, values)
        except sqlite3.Error:
            if not self._db.in_transaction:
                self._lose_gathered()
            with disk_errors("cannot write the index"):
                raise

    def _lose_gathered(self) -> None:
        """SQLite has taken back all of it."""
        if self._gathered is not None:
            self._gathered.cancel()
            self._gathered = None
            self._count()

    def _undo(self) -> None:
        """Take back the last of what is gathered, or all where SQLite has done so already."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK TO one")
            self._db.execute("RELEASE one")
        else:
            self._lose_gathered()

    def _flush_late(self) -> None:
        try:
            self.flush()
        except DiskError as error:
            self.log.error("what was stored last is not in the index: {error}", error=error)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; and one write to the log instead of many."""
        self.flush()
        with disk_errors("cannot write the index"):
            counts = self.blobs, self.bytes, self.entries
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self.blobs, self.bytes, self.entries = counts
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """What a SELECT gives."""
        with disk_errors("cannot read the index"):
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> Any:
        return self.rows(sql, *values)[0]

    def write(self, sql: str, *values: Any) -> int:
        """Rows that were changed."""
        if self._gathered is not None and not self._gathering:
            self.flush()
        with disk_errors("cannot write the index"):
            return self._db.execute(sql, values).rowcount

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
        self._gather(row, self.packed.adding(blob.sha256, content))
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

    def touch(self, name: str, used: float) -> None:
        """An entry was used, and so was its blob."""
        self.write("UPDATE entries SET used = max(used, ?) WHERE name = ?", used, name)
        sql = "UPDATE blobs SET used = max(used, ?) WHERE sha256 = (SELECT blob FROM entries"
        self.write(f"{sql} WHERE name = ?)", used, name)

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
