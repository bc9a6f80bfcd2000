"""The token that the mirror makes for itself."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.own_token import NAME, make_token, read_token


class OwnTokenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_made(self) -> None:
        """It is another at each start, long, and for the owner's eyes alone."""
        self.assertEqual(read_token(self.folder), "")
        first = make_token(self.folder)
        self.assertEqual(read_token(self.folder), first)
        self.assertGreaterEqual(len(first), 32)
        self.assertEqual((self.folder / NAME).stat().st_mode & 0o777, 0o600)
        self.assertNotEqual(make_token(self.folder), first)

    def test_planted(self) -> None:
        """A link that somebody put in its way is replaced, not written through."""
        target = self.folder / "elsewhere"
        for name in (NAME, f"{NAME}.new"):
            (self.folder / name).symlink_to(target)
        make_token(self.folder)
        self.assertFalse(target.exists())
        self.assertFalse((self.folder / NAME).is_symlink())

    def test_nonsense(self) -> None:
        """What is no text is no token."""
        (self.folder / NAME).write_bytes(b"\xff\xfe")
        self.assertEqual(read_token(self.folder), "")
