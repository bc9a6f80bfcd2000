"""What somebody without a credential was given says nothing about those with one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.http.headers import Headers
from aimirror.routing.digests import Digest

PUBLIC = Headers([("Cache-Control", "public, max-age=60")])
BLOB = "0" * 64


def entry(scope: str = "", status: int = 200, headers: Headers | None = None) -> Entry:
    return Entry(key="k", scope=scope, status=status, headers=headers or Headers(), blob=BLOB)


class TellingTests(SynchronousTestCase):
    def test_anonymous(self) -> None:
        """A client without a credential is told by what such a client was given, whatever it is."""
        for status in (200, 302, 404):
            self.assertTrue(tells(entry(status=status), ""))
        self.assertFalse(tells(entry("alice", headers=PUBLIC), ""))

    def test_own(self) -> None:
        """A credential is told by what it opened, and by no other one."""
        self.assertTrue(tells(entry("alice", 404), "alice"))
        self.assertFalse(tells(entry("alice", headers=PUBLIC), "bob"))

    def test_of_anonymous(self) -> None:
        """It is told by what is for all: so the origin says, or the digest proves it."""
        self.assertFalse(tells(entry(), "alice"))
        self.assertTrue(tells(entry(headers=PUBLIC), "alice"))
        self.assertTrue(tells(entry(), "alice", Digest("sha256", BLOB)))
        self.assertFalse(tells(entry(), "alice", Digest("sha256", "1" * 64)))
        for status in (301, 302, 401, 404):
            self.assertFalse(tells(entry(status=status, headers=PUBLIC), "alice"))
