from __future__ import annotations

import errno
import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from aimirror.store.errors import CacheInUse, DiskError, DiskFull, disk_errors


class DiskErrorsTests(SynchronousTestCase):
    """How errors are told apart."""

    def raised(self, error: Exception) -> DiskError:
        with self.assertRaises(DiskError) as caught, disk_errors("cannot do it"):
            raise error
        return caught.exception

    def test_full(self) -> None:
        """No space, no quota and a file too large are all DiskFull."""
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            self.assertIsInstance(self.raised(OSError(code, "full", "/x")), DiskFull)

    def test_other(self) -> None:
        """Any other error keeps its number and file, and says what was tried."""
        error = self.raised(PermissionError(errno.EACCES, "denied", "/x/y"))
        self.assertNotIsInstance(error, DiskFull)
        self.assertEqual((error.errno, error.filename), (errno.EACCES, "/x/y"))
        self.assertIn("cannot do it: denied", str(error))

    def test_sqlite(self) -> None:
        """An error of SQLite is a DiskError, too; a full one is DiskFull."""
        self.assertNotIsInstance(self.raised(sqlite3.OperationalError("locked")), DiskFull)
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        self.assertIsInstance(self.raised(full), DiskFull)

    def test_once(self) -> None:
        """What is a DiskError already passes as it is."""
        error = CacheInUse(errno.EAGAIN, "taken")
        self.assertIs(self.raised(error), error)
