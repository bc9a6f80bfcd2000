"""The index's database: made, opened, and written in transactions, each commit for many."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.logger import Logger

from aimirror.store.errors import DiskError, disk_errors, is_unusable
from aimirror.store.layout import FILE_MODE

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

#: SQL and the values in it.
Statement = tuple[str, tuple[Any, ...]]
#: The modification time that is noted for a body that has no file.
PACKED = -1
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
#: Seconds within which new entries are committed together: sixty cost a third less each than a
#: dozen do.  A process that dies loses no more than these.
GATHER = 0.1
#: Bytes of a write-ahead log that stay on the disk once they are in the database.
LOG_KEPT = 16 << 20
#: Seconds that a statement waits for the other connection (a checkpoint in a thread).
BUSY_TIMEOUT = 1.0


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
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
    made = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
            made.execute(f"PRAGMA {pragma}")
        made.execute(f"PRAGMA journal_size_limit = {LOG_KEPT}")
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
        if not is_unusable(error):
            raise
    put_away(path)
    made = _connect(path)
    try:
        made.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
    finally:
        made.close()
    return True


def put_away(path: Path) -> None:
    """Remove a database that nobody has open."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sound(path: Path) -> bool:
    opened = _connect(path)
    try:
        if opened.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
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


class Database:
    """One connection; ``later(seconds, act)`` calls later, without it nothing is gathered.

    ``attach(connection, path)`` brings what is beside these tables.

    ``blobs``, ``bytes`` and ``entries`` count what is stored, without asking the database.
    """

    log = Logger()

    def __init__(
        self, path: Path, later: Later | None, attach: Callable[[sqlite3.Connection, Path], None]
    ) -> None:
        self._later = later
        #: Has what is gathered committed; None when nothing is.
        self._gathered: IDelayedCall | None = None
        self._gathering = False
        with disk_errors("cannot open the index"):
            self._db = _connect(path)
            self._db.execute(_UNSYNCED)
            self._db.execute(_NEGATIVE_INDEX)
            attach(self._db, path)
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
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error:
            with disk_errors("cannot read the index"):
                raise

    def _one(self, sql: str, *values: Any) -> Any:
        return self.rows(sql, *values)[0]

    def write_each(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """The same statement with the values of each row."""
        if self._gathered is not None and not self._gathering:
            self.flush()
        with disk_errors("cannot write the index"):
            self._db.executemany(sql, rows)

    def write(self, sql: str, *values: Any) -> int:
        """Rows that were changed."""
        if self._gathered is not None and not self._gathering:
            self.flush()
        with disk_errors("cannot write the index"):
            return self._db.execute(sql, values).rowcount
