"""What version 0.3 left in a cache folder: files and a database that nothing reads now."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from attrs import frozen

from aimirror.store.layout import is_name, scan

#: The database of 0.3, and what SQLite may have left beside it.
_DATABASE = "meta.db"
_BESIDE = (f"{_DATABASE}-journal", f"{_DATABASE}-wal", f"{_DATABASE}-shm")
#: A download that had not ended.
_UNFINISHED = re.compile(r"tmp_[0-9a-f]{16}")


@frozen
class Legacy:
    """The files of an old cache, its database last, and their bytes on the disk."""

    files: tuple[Path, ...]
    size: int


def survey(folder: Path) -> Legacy | None:
    """What 0.3 left in a folder; None when it left nothing.  Blocks for a walk over its names.

    Only a folder with the database of 0.3 counts, and in it only names as 0.3 made them.
    """
    database = folder / _DATABASE
    if not _is_database(database):
        return None
    files = [*_bodies(folder), *(f for name in _BESIDE if (f := folder / name).is_file()), database]
    return Legacy(tuple(files), sum(_size(file) for file in files))


def remove(legacy: Legacy) -> None:
    """Remove them; what is interrupted can be gone on with.  Raises OSError."""
    for file in legacy.files:
        file.unlink(missing_ok=True)


def notice(folder: Path) -> str:
    """What a start tells of an old cache in one line; "" when there is none."""
    try:
        old = survey(folder)
    except OSError:
        return ""
    if old is None:
        return ""
    count = f"{len(old.files)} file{'' if len(old.files) == 1 else 's'}"
    text = f"version 0.3 left {count} ({old.size / 1e6:,.0f} MB) in {folder}"
    return f"{text}, which nothing reads; to remove them: aimirror clean-old --cache-dir {folder}"


def _is_database(file: Path) -> bool:
    """Whether this is a database with the tables of 0.3; it is opened for reading alone."""
    if not file.is_file():
        return False
    wanted = "SELECT count(*) FROM pragma_table_info('files') WHERE name IN ('digest', 'filepath')"
    try:
        address = f"file:{quote(str(file))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as database:
            count: int = database.execute(wanted).fetchone()[0]
    except sqlite3.Error:
        return False
    return count == 2


def _bodies(folder: Path) -> Iterator[Path]:
    for item in scan(folder):
        if is_name(item.name) or _UNFINISHED.fullmatch(item.name):
            yield folder / item.name


def _size(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
