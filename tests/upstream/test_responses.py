"""Short answers, and answers of no use."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.responses import TINY, let_go
from tests.mirror.support import Played


class LetGoTests(SynchronousTestCase):
    def test_what_is_read(self) -> None:
        """A connection is kept if little or nothing has to be read for that."""
        for size, bodiless, aborted in (
            (TINY, False, False),
            (TINY + 1, False, True),
            (TINY + 1, True, False),
        ):
            played = Played(200, f"Content-Length: {size}", body=None)
            let_go(played, bodiless=bodiless)
            self.assertEqual(played.aborted, aborted)
