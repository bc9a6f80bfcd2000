"""Log files: appended to, put aside, opened anew."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.log_file import LogFile


class LogFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_appends(self) -> None:
        """What was there stays."""
        self.path.write_text("old\n")
        file = LogFile(self.path)
        file.write("new é\n")
        file.close()
        self.assertEqual(self.path.read_text("utf-8"), "old\nnew é\n")

    def test_size(self) -> None:
        """A file that would grow too large makes way, and only so many old ones are kept."""
        file = LogFile(self.path, max_size=10, keep=2)
        for line in ("11111\n", "22222\n", "33333\n", "44444\n"):
            file.write(line)
        file.close()
        named = sorted(self.path.parent.glob(self.path.name + "*"))
        self.assertEqual([path.read_text() for path in named], ["44444\n", "33333\n", "22222\n"])

    def test_one_long_line(self) -> None:
        """A line longer than the limit is written whole."""
        file = LogFile(self.path, max_size=10, keep=1)
        file.write("x" * 50)
        file.close()
        self.assertEqual(self.path.stat().st_size, 50)

    def test_reopen(self) -> None:
        """After somebody moved the file away, the one with its name is written."""
        file = LogFile(self.path)
        file.write("a")
        moved = self.path.with_name("moved")
        self.path.rename(moved)
        file.write("b")
        file.reopen()
        file.write("c")
        file.close()
        self.assertEqual((moved.read_text(), self.path.read_text()), ("ab", "c"))

    def test_reopen_fails(self) -> None:
        """When the file can't be opened anew, the old one is written on."""
        folder = Path(self.mktemp())
        folder.mkdir()
        file = LogFile(folder / "log")
        folder.rename(self.path)
        self.assertRaises(OSError, file.reopen)
        file.write("still")
        file.close()
        self.assertEqual((self.path / "log").read_text(), "still")
