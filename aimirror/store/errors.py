"""What can go wrong with a disk, as types that callers can act on."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

#: No space, no quota, or more than the file system's largest file.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskError(OSError):
    """The cache folder could not be read or written; the message names what was tried."""


class DiskFull(DiskError):
    """There is no room: on the disk, in the quota, or within the cache's size limit."""


class CacheInUse(DiskError):
    """Another service works on this cache folder."""


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room."""
    return isinstance(error, DiskFull) or error.errno in _FULL


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
