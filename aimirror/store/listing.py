"""Questions of administrators about what is stored, answered from the index in a thread.

They may look at every entry, so they use a connection of their own and never the reactor.
"""

from __future__ import annotations

import enum
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from attrs import frozen

from aimirror.caching.entries import Entry
from aimirror.store import records
from aimirror.store.errors import disk_errors

#: Entries that one answer tells at most.
MOST_LISTED = 1000
#: Seconds to wait for a writer.
_BUSY = 5.0


class Order(enum.Enum):
    """How entries are sorted: the first ones of each are the most interesting."""

    LARGEST = "largest"
    OLDEST = "oldest"
    NEWEST = "newest"
    UNUSED = "unused"
    KEY = "key"


_ORDERS = {
    Order.LARGEST: "size DESC, e.key",
    Order.OLDEST: "e.received_at, e.key",
    Order.NEWEST: "e.received_at DESC, e.key",
    Order.UNUSED: "e.used, e.key",
    Order.KEY: "e.key",
}


@frozen(kw_only=True)
class Listing:
    """Which entries are asked for; all that is given must hold."""

    prefix: str = ""
    contains: str = ""
    rule: str | None = None
    pinned: bool | None = None
    #: Epoch seconds.
    received_before: float | None = None
    order: Order = Order.LARGEST
    count: int = 50
    offset: int = 0


@frozen
class Listed:
    """An entry and what is known beside it: its name in the index, its last use (epoch)."""

    name: str
    entry: Entry
    used: float


@frozen
class RuleUse:
    """What one rule has stored; shared bodies count for each of their entries."""

    rule: str
    entries: int
    bytes: int


class Kept(NamedTuple):
    """The row of an entry in the index; there may be very many."""

    name: str
    key: str
    rule: str
    #: Bytes.
    size: int
    #: Epoch seconds.
    received: float
    used: float
    pinned: int


def entries_listed(index: Path, wanted: Listing) -> list[Listed]:
    """Blocks.  Raises DiskError."""
    conditions = (
        ("substr(e.key, 1, length(?)) = ?", (wanted.prefix, wanted.prefix), wanted.prefix),
        ("instr(lower(e.key), lower(?))", (wanted.contains,), wanted.contains),
        ("e.rule = ?", (wanted.rule,), wanted.rule is not None),
        ("e.pinned = ?", (wanted.pinned,), wanted.pinned is not None),
        ("e.received_at < ?", (wanted.received_before,), wanted.received_before is not None),
    )
    used = [(sql, values) for sql, values, given in conditions if given]
    where = " AND ".join(sql for sql, _ in used) or "1"
    sql = (
        "SELECT e.name, e.record, e.used, coalesce(b.size, 0) AS size FROM entries e"
        f" LEFT JOIN blobs b ON b.sha256 = e.blob WHERE {where}"
        f" ORDER BY {_ORDERS[wanted.order]} LIMIT ? OFFSET ?"
    )
    values = [value for _, given in used for value in given]
    page = (max(0, min(wanted.count, MOST_LISTED)), max(0, wanted.offset))
    rows = []
    for name, record, last, _ in _rows(index, sql, (*values, *page)):
        try:
            rows.append(Listed(name, records.load(record), last))
        except ValueError:
            continue  # a damaged record is as good as none
    return rows


def rules_listed(index: Path) -> list[RuleUse]:
    """Blocks.  Raises DiskError."""
    sql = (
        "SELECT e.rule, count(*), coalesce(sum(b.size), 0) FROM entries e"
        " LEFT JOIN blobs b ON b.sha256 = e.blob GROUP BY e.rule ORDER BY 3 DESC"
    )
    return [RuleUse(*row) for row in _rows(index, sql, ())]


def kept_listed(index: Path, most: int) -> list[Kept]:
    """What is known of entries without their records, the last used first.  Blocks.

    Raises DiskError.
    """
    sql = (
        "SELECT e.name, e.key, e.rule, coalesce(b.size, 0), e.received_at, e.used, e.pinned"
        " FROM entries e LEFT JOIN blobs b ON b.sha256 = e.blob ORDER BY e.used DESC LIMIT ?"
    )
    return [Kept(*row) for row in _rows(index, sql, (most,))]


def _rows(index: Path, sql: str, values: tuple[object, ...]) -> list[Any]:
    with (
        disk_errors("cannot read the index"),
        closing(
            sqlite3.connect(f"file:{quote(str(index))}?mode=ro", uri=True, timeout=_BUSY)
        ) as opened,
    ):
        return opened.execute(sql, values).fetchall()
