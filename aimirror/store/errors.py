"""What can go wrong with a disk, as types that callers can act on."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

#: No space, no quota, or more than the file system's largest file.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_DAMAGED = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})


class DiskError(OSError):
    """The cache folder could not be read or written; the message names what was tried."""


class DiskFull(DiskError):
    """There is no room: on the disk, in the quota, or within the cache's size limit."""


class CacheInUse(DiskError):
    """Another service works on this cache folder."""


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room."""
    return isinstance(error, DiskFull) or error.errno in _FULL


def is_damage(error: BaseException | None) -> bool:
    """Whether an error of SQLite, or the DiskError for it, says that a database is damaged."""
    cause = error.__cause__ if isinstance(error, DiskError) else error
    return isinstance(cause, sqlite3.Error) and (
        _code(cause) in _DAMAGED or "decode to UTF-8" in str(cause)
    )


def is_unusable(error: sqlite3.Error) -> bool:
    """The same, or that its tables are not there."""
    return is_damage(error) or _code(error) == sqlite3.SQLITE_ERROR


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn errors of the operating system and of SQLite into a DiskError that says ``doing``."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        kind = DiskFull if error.errno in _FULL else DiskError
        raise kind(error.errno, f"{doing}: {error.strerror}", error.filename) from error
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        code, kind = (errno.ENOSPC, DiskFull) if full else (errno.EIO, DiskError)
        raise kind(code, f"{doing}: {error}") from error
