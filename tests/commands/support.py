"""Command lines run in this process, what they say caught."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.cli import main


class LineTests(SynchronousTestCase):
    """A configuration file of one rule, and a way to run a command line."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_text(
            "rules: [{name: r, upstream: 'http://h'}]\nserver: {port: 1234}\n"
            f"cache: {{dir: '{self.file.absolute()}.cache'}}\n"
        )

    def run_line(self, *words: str, config: Path | None = None) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                status = main(words, config)
            except SystemExit as end:
                status = int(end.code or 0)
        return status, out.getvalue()
