"""``aimirror drain``: what it waits for, and how it ends."""

from __future__ import annotations

import argparse
import io
from contextlib import redirect_stdout
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands import drain
from aimirror.commands.common import Complaint


class FakeLink:
    """Tells how many answers run, one number for each question."""

    def __init__(self, *answering: int) -> None:
        self.answering = list(answering)
        self.posted: list[dict[str, Any]] = []

    def post(self, name: str, **words: Any) -> None:
        self.posted.append({name: words})

    def get(self, name: str) -> dict[str, int]:
        return {"answering": self.answering.pop(0) if self.answering else 0}


class DrainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(drain, "LOOK", 0.001)
        self.patch(drain, "NOTICED", 0.02)

    def run_with(self, link: FakeLink, wait: str = "10s", *, undo: bool = False) -> str:
        self.patch(drain, "online", lambda given: (link, None))
        said = io.StringIO()
        with redirect_stdout(said):
            self.assertEqual(drain.drain(argparse.Namespace(wait=wait, undo=undo)), 0)
        return said.getvalue()

    def test_waits(self) -> None:
        """It ends when nothing is answered any more, and not before balancers have noticed."""
        link = FakeLink(0, 3, 1)
        self.assertIn("drained", self.run_with(link))
        self.assertEqual((link.posted, link.answering), ([{"drain": {"on": True}}], []))

    def test_too_long(self) -> None:
        """What still runs at the end of its patience is told, and the status is not 0."""
        with self.assertRaisesRegex(Complaint, "2 answers still running"):
            self.run_with(FakeLink(*[2] * 100_000), "1s")

    def test_undone(self) -> None:
        """It can be taken back."""
        link = FakeLink()
        self.run_with(link, undo=True)
        self.assertEqual(link.posted, [{"drain": {"on": False}}])
