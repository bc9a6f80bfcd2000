"""The service in the foreground."""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands.serve import has_colours


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ColourTests(SynchronousTestCase):
    def test_terminal_alone(self) -> None:
        """A terminal has colours, unless NO_COLOR is set or it can't show them; a file has none."""
        self.assertTrue(has_colours(Terminal(), {}))
        self.assertTrue(has_colours(Terminal(), {"NO_COLOR": ""}))
        self.assertFalse(has_colours(Terminal(), {"NO_COLOR": "1"}))
        self.assertFalse(has_colours(Terminal(), {"TERM": "dumb"}))
        self.assertFalse(has_colours(io.StringIO(), {}))
