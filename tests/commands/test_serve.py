"""The service in the foreground."""

from __future__ import annotations

import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands import serve
from aimirror.commands.serve import Offer, has_colours, welcome
from aimirror.config import load


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


class WelcomeTests(SynchronousTestCase):
    def welcome(self, rules: int) -> list[str]:
        file = Path(self.mktemp())
        lines = [f"- {{name: r{n}, pattern: '^x{n}', upstream: 'https://h'}}" for n in range(rules)]
        rest = "- {name: a, upstream: 'https://h'}"
        file.write_text("\n".join(["cache: {max_size_gb: 0.001}", "rules:", *lines, rest]))
        return welcome("http://0.0.0.0:8081/", Offer.of(load(file, {}))).splitlines()

    def test_warnings(self) -> None:
        """The welcome has the warnings of ``check``, at most five, and says where the rest is."""
        for rules, shown, more in ((0, 0, ""), (2, 2, ""), (5, 5, ""), (7, 5, "2 more: aimirror")):
            lines = self.welcome(rules)
            said = [line for line in lines if line.startswith("aimirror: warning: rule 'r")]
            self.assertEqual(len(said), shown, lines)
            self.assertEqual(any(more in line for line in lines if more), bool(more), lines)

    def test_read_before(self) -> None:
        """What takes long is read before the service listens: the welcome itself reads no rules."""
        offer = Offer.of(load(None, {"HOME": "/"}))
        for name in ("moved", "offered", "warned", "unheeded"):
            self.patch(serve, name, None)
        self.assertIn("pip install", welcome("http://localhost:1/", offer))

    def test_pages(self) -> None:
        """Both kinds of pages are named, the administration's at its own address if it has one."""
        shown = welcome("http://0.0.0.0:1/", Offer.of(load(None, {"HOME": "/"})))
        self.assertIn("set-up:       http://localhost:1/aimirror/\n", shown)
        self.assertTrue(shown.endswith("dashboard:    http://localhost:1/aimirror/admin/"), shown)
        file = Path(self.mktemp())
        file.write_text("rules: [{preset: npm}]\nadmin: {port: 8082}\n")
        shown = welcome("https://[::]:1/", Offer.of(load(file, {"HOME": "/"})))
        self.assertTrue(shown.endswith("https://127.0.0.1:8082/aimirror/admin/"), shown)
