"""What is still to be sent to the tier, and how far the walk over what was here before it is.

Two tables of the index, which older versions of it lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aimirror.store.database import Database

#: Bytes of a body below which it is sent before larger ones: indexes, and most packages.
SOON = 1 << 20
TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    name TEXT PRIMARY KEY, size INTEGER NOT NULL, since REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS walked (tier TEXT PRIMARY KEY, name TEXT NOT NULL);
"""


class Outbox:
    """Entries by name; a new index has an empty one, and no walk behind it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, size: int, since: float) -> None:
        """An entry is to be sent, from ``since`` on (epoch seconds)."""
        self._database.write("REPLACE INTO outbox VALUES (?, ?, ?)", name, size, since)

    def next(self, count: int) -> list[tuple[str, float]]:
        """The entries to be sent next, and since when: small ones first, each kind by its age."""
        sql = f"SELECT name, since FROM outbox ORDER BY size >= {SOON}, since, name LIMIT ?"
        return self._database.rows(sql, count)

    def sent(self, name: str, since: float) -> None:
        """An entry need not be sent any more, unless it was put in anew."""
        self._database.write("DELETE FROM outbox WHERE name = ? AND since = ?", name, since)

    def waiting(self) -> tuple[int, float | None]:
        """How many entries are to be sent, and since when (epoch seconds) the first one is."""
        count, since = self._database.rows("SELECT count(*), min(since) FROM outbox")[0]
        return count, since

    def walked(self, tier: str) -> str:
        """The name of the last entry that the walk for a tier has seen; "" at its start."""
        rows = self._database.rows("SELECT name FROM walked WHERE tier = ?", tier)
        return str(rows[0][0]) if rows else ""

    def walk(self, tier: str, name: str) -> None:
        """It has come to this entry.  Of other tiers nothing is remembered."""
        self._database.write("DELETE FROM walked WHERE tier != ?", tier)
        self._database.write("REPLACE INTO walked VALUES (?, ?)", tier, name)
