"""Fields that speak for a whole origin."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.origin_wide import ORIGIN_WIDE

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "security.md"


class DocumentTests(SynchronousTestCase):
    def test_table(self) -> None:
        """The document names the same fields, with the same reasons."""
        text = DOCUMENT.read_text("utf-8").partition("## What comes back")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", text, re.MULTILINE)
        self.assertEqual(dict(rows), dict(ORIGIN_WIDE))
