"""docs/security.md names the fields that the code passes, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.forwarding import ELSEWHERE, GIT, SHARED
from aimirror.http.headers import CREDENTIALS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text()


def named(start: str, stop: str) -> set[str]:
    """The names in backquotes between two words."""
    section = TEXT[TEXT.index(start) : TEXT.index(stop, TEXT.index(start))]
    return set(re.findall(r"`([a-z-]+)`", section))


class FieldTests(SynchronousTestCase):
    def test_requests(self) -> None:
        """The table of request fields is the code's list."""
        section = TEXT.partition("## What goes upstream")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", section, re.MULTILINE)
        names = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
        self.assertEqual(names, {*SHARED, GIT})

    def test_credentials(self) -> None:
        """All credentials are named."""
        self.assertEqual(named("**credentials**", "\n\n"), set(CREDENTIALS))

    def test_elsewhere(self) -> None:
        """So are the fields that follow a redirect."""
        self.assertEqual(named("**usual fields**", ".\n"), set(ELSEWHERE))
