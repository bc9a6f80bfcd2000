"""Small files, many in one: to make a file of its own for each costs ten times as much.

A database beside the index, attached to the index's connection, so that both are committed
together.  It is to the index what the folders ``blobs`` and ``entries`` are: what was stored, of
which an index that was lost is made again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.logger import Logger

from aimirror.store import database
from aimirror.store.errors import DiskError, disk_errors, is_damage, is_unusable
from aimirror.store.layout import FILE_MODE

if TYPE_CHECKING:
    from aimirror.store.database import Database, Statement

#: Bytes of the largest body that is packed.
MOST_PACKED = 64 << 10
_NAME = "packed.sqlite3"
_TABLES = """
CREATE TABLE IF NOT EXISTS packed.bodies (sha256 TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS packed.records (name TEXT PRIMARY KEY, record TEXT NOT NULL)
"""
#: Pages without use that stay in the file, for what is stored next; pages that one step gives
#: back to the disk, so that it holds the lock for a moment; and how often it does at a time.
SPARE_PAGES = 1024
_STEP_PAGES = 256
_MOST_STEPS = 400
#: Seconds that a statement waits for another connection.
_BUSY_TIMEOUT = 1.0


class Packed:
    """Bodies by their sha256, and the records of entries by their names.

    Where the file turns out to be damaged, what can't be read is not there, and nothing more is
    to be put in; the next start makes a new one.
    """

    log = Logger()

    def __init__(self, database: Database) -> None:
        self.damaged = False
        self._database = database
        #: Bytes that were dropped, and that the disk does not have back yet.
        self.returning = 0

    def adding(self, sha256: str, content: bytes) -> Statement:
        """What keeps a body."""
        return "REPLACE INTO packed.bodies VALUES (?, ?)", (sha256, content)

    def read(self, sha256: str) -> bytes | None:
        """A body, None when it is not here, or is not what its name says."""
        try:
            rows = self._database.rows("SELECT content FROM packed.bodies WHERE sha256 = ?", sha256)
        except DiskError as error:
            self._tolerate(error)
            return None
        if rows and hashlib.sha256(rows[0][0]).hexdigest() == sha256:
            content: bytes = rows[0][0]
            return content
        return None

    def drop(self, sha256: str, size: int) -> None:
        """Forget a body of ``size`` bytes."""
        self._delete("DELETE FROM packed.bodies WHERE sha256 = ?", sha256)
        self.returning += size

    def names(self, start: str, stop: str) -> list[str]:
        """The bodies whose names are in ``[start, stop)``."""
        sql = "SELECT sha256 FROM packed.bodies WHERE sha256 >= ? AND sha256 < ?"
        return [name for (name,) in self._database.rows(sql, start, stop)]

    def noting(self, name: str, record: str) -> Statement:
        """What keeps a record in place of the entry's sidecar."""
        return "REPLACE INTO packed.records VALUES (?, ?)", (name, record)

    def note(self, name: str, record: str) -> None:
        """Keep it."""
        sql, values = self.noting(name, record)
        self._database.write(sql, *values)

    def forget(self, name: str) -> None:
        """Forget that; it need not be here."""
        self._delete("DELETE FROM packed.records WHERE name = ?", name)

    def records(self, start: str, stop: str) -> list[tuple[str, str]]:
        """Names and records, names in ``[start, stop)``."""
        sql = "SELECT name, record FROM packed.records WHERE name >= ? AND name < ?"
        return self._database.rows(sql, start, stop)

    def failed(self, error: DiskError) -> None:
        """Something could not be put in: no more is, where that is for damage."""
        if is_damage(error) and not self.damaged:
            self.damaged = True
            self.log.error("the next start makes a new {name}: {error}", name=_NAME, error=error)

    def _tolerate(self, error: DiskError) -> None:
        self.failed(error)
        if not self.damaged:
            raise error

    def _delete(self, sql: str, name: str) -> None:
        try:
            self._database.write(sql, name)
        except DiskError as error:
            self._tolerate(error)


def beside(index: Path) -> Path:
    """The file that belongs to an index."""
    return index.with_name(_NAME)


def attach(connection: sqlite3.Connection, index: Path) -> None:
    """Attach it to a connection to the index; made when there is none.  Raises sqlite3.Error."""
    path = beside(index)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
    connection.execute("ATTACH DATABASE ? AS packed", (str(path),))
    connection.execute("PRAGMA packed.auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA packed.journal_mode = WAL")
    connection.execute("PRAGMA packed.synchronous = NORMAL")
    connection.execute(f"PRAGMA packed.journal_size_limit = {database.LOG_KEPT}")
    for statement in _TABLES.split(";"):
        connection.execute(statement)


def prepare(index: Path) -> None:
    """Put a damaged one away: what it held is asked for again.  Blocks."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    try:
        attach(opened, index)
        opened.execute("SELECT sha256, content FROM packed.bodies LIMIT 1").fetchall()
        opened.execute("SELECT name, record FROM packed.records LIMIT 1").fetchall()
    except sqlite3.DatabaseError as error:
        if not is_unusable(error):
            raise
        put_away(index)
    finally:
        opened.close()


def put_away(index: Path) -> None:
    """Remove the file that belongs to an index, which nobody has open."""
    database.put_away(beside(index))


def tidy(index: Path, spare: int) -> None:
    """Bring the write-ahead log into the file, synced, and give unused pages to the disk.

    Blocks, so call it in a thread.
    """
    with disk_errors("cannot sync small bodies"):
        opened = sqlite3.connect(beside(index), timeout=_BUSY_TIMEOUT, isolation_level=None)
        try:
            opened.execute("PRAGMA wal_autocheckpoint = 0")
            opened.execute("PRAGMA wal_checkpoint(PASSIVE)")
            if _give_back(opened, spare):
                opened.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            opened.close()


def _give_back(opened: sqlite3.Connection, spare: int) -> bool:
    """Whether there were more unused pages than ``spare``."""
    for step in range(_MOST_STEPS):
        (unused,) = opened.execute("PRAGMA freelist_count").fetchone()
        if unused <= spare:
            return step > 0
        # a script, as a plain statement would stop after the first of the pages
        opened.executescript(f"PRAGMA incremental_vacuum({min(_STEP_PAGES, unused - spare)})")
    return True
