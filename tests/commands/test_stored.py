"""What is stored, listed and chosen by commands."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from aimirror.commands import stored
from aimirror.commands.common import Complaint
from tests.commands.support import LineTests

ENTRY = {
    "name": "n",
    "url": "https://files.pythonhosted.org/packages/ab/cd/numpy-2.0-cp311-linux_x86_64.whl",
    "rule": "pip-packages",
    "size": 1_000_000,
    "received": 0.0,
    "pinned": False,
}


class ListingTests(LineTests):
    def shown(self, width: int | None) -> str:
        """One entry, on a terminal of so many columns."""

        def answer(*_: Any) -> list[dict[str, Any]]:
            return [ENTRY]

        self.patch(stored, "either", answer)
        self.patch(stored, "columns", lambda: width)
        return self.run_line("ls", "--config", str(self.file))[1].rstrip("\n")

    def test_width(self) -> None:
        """A line fits its terminal, and ends with the file; a narrow one leaves out the rule."""
        self.assertTrue(self.shown(None).endswith(f"pip-packages         {ENTRY['url']}"))
        wide, narrow = self.shown(100), self.shown(60)
        self.assertEqual((len(wide), len(narrow)), (100, 60))
        self.assertIn("pip-packages", wide)
        self.assertNotIn("pip-packages", narrow)
        for line in (wide, narrow):
            self.assertTrue(line.endswith("/numpy-2.0-cp311-linux_x86_64.whl"), line)


class SelectionTests(LineTests):
    def older(self, text: str) -> float | None:
        given = Namespace(what=[], prefix="", rule=None, all=False, older_than=text)
        (selection,) = stored._selections(given)
        return selection.older_than

    def test_older_than(self) -> None:
        """Bare seconds are understood, as they are in the configuration."""
        self.assertEqual([self.older(t) for t in ("30", "30s", "7d")], [30.0, 30.0, 604800.0])

    def test_nothing(self) -> None:
        """Nothing is chosen by saying nothing."""
        given = Namespace(what=[], prefix="", rule=None, all=False, older_than=None)
        self.assertRaises(Complaint, stored._selections, given)
