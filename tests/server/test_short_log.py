"""The log of answers for people."""

from __future__ import annotations

import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.access_log import AccessRecord
from aimirror.server.short_log import Short, size

HIT = AccessRecord("GET", "/simple/numpy/", "HTTP/1.1", 200, "HIT", "", "pip")
SECOND = 1_700_000_000


def line(
    sent: int = 3_300_000, seconds: float = 0.1234, colours: bool = False, **other: Any
) -> str:
    """The line of an answer, without the time of day."""
    text = Short(colours)(SECOND, HIT._replace(**other), "192.0.2.1", sent, seconds)
    return text[text.index(" ") + 1 :]


class ShortTests(SynchronousTestCase):
    def test_line(self) -> None:
        """It says the time of day, status, cache, size, duration and path, and ends with it."""
        clock = time.strftime("%H:%M:%S", time.localtime(SECOND))
        text = Short()(SECOND, HIT, "192.0.2.1", 3_300_000, 0.1234)
        self.assertEqual(text, f"{clock} 200 HIT          3.3 MB   123 ms  /simple/numpy/\n")

    def test_many(self) -> None:
        """Lines by one logger are those of a new one each, in any second."""
        log = Short()
        for second in (SECOND, SECOND, SECOND + 1):
            for record in (HIT, HIT._replace(status=404), HIT._replace(outcome="MISS"), HIT):
                expected = Short()(second, record, "192.0.2.1", 7, 0.0)
                self.assertEqual(log(second, record, "192.0.2.1", 7, 0.0), expected)

    def test_columns(self) -> None:
        """Paths begin in one column, whatever is before them."""
        lines = (
            line(),
            line(0, 0.0, outcome="", status=404),
            line(999_400, 99.94, outcome="REVALIDATED"),
            line(12_300_000_000, 12345.0),
        )
        self.assertEqual({each.index("/simple") for each in lines}, {lines[0].index("/simple")})

    def test_method(self) -> None:
        """The method is told unless it is GET."""
        self.assertIn("  HEAD /simple/numpy/\n", line(method="HEAD"))

    def test_secrets(self) -> None:
        """A query and a login in the target are left out."""
        self.assertIn("  /a?...\n", line(target="/a?token=x"))
        self.assertIn("  http://h/a\n", line(target="http://u:p@h/a"))

    def test_terminal_is_safe(self) -> None:
        """What a client sends moves no cursor and paints nothing."""
        self.assertIn("  /?[31ma?b\n", line(target="/\x1b[31ma\x9bb"))

    def test_colours(self) -> None:
        """Failures are red and hits green, on a terminal alone."""
        self.assertNotIn("\x1b", line(status=404))
        self.assertIn("\x1b[31m404\x1b[0m", line(status=404, colours=True))
        self.assertIn("\x1b[32mHIT        \x1b[0m", line(colours=True))

    def test_size(self) -> None:
        """Sizes have three digits at most before the unit."""
        self.assertEqual(
            [size(n) for n in (0, 999, 1000, 999_600)], ["0 B", "999 B", "1.0 kB", "1.0 MB"]
        )
