"""How progress looks in a terminal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands.words import ending, progress


class ProgressTests(SynchronousTestCase):
    def job(self, **values: int | None) -> str:
        given = {"done": 1, "total": 4, "bytes": 500_000, "total_bytes": None}
        return progress({**given, **values})

    def test_items(self) -> None:
        """Where only the items are counted, the bar is of them."""
        line = self.job()
        self.assertEqual((line.count("█"), line.count("░")), (7, 23))
        self.assertIn(" 1 of 4, 500 kB", line)

    def test_bytes(self) -> None:
        """Where the sum of the bytes is known, the bar is of them: one file may be most of it."""
        line = self.job(total_bytes=1_000_000)
        self.assertEqual((line.count("█"), line.count("░")), (15, 15))
        self.assertIn(" 1 of 4, 500 kB of 1.0 MB", line)

    def test_unknown(self) -> None:
        """Before the items are known the bar is empty."""
        line = self.job(total=None)
        self.assertIn("looking", line)
        self.assertNotIn("█", line)


class EndingTests(SynchronousTestCase):
    def test_ending(self) -> None:
        """What is too long is cut where it is least told apart."""
        self.assertEqual(ending("http://h/a.whl", 14), "http://h/a.whl")
        self.assertEqual(ending("http://h/a.whl", 6), "…a.whl")
        self.assertEqual([ending("long", width) for width in (1, 0, -3)], ["…"] * 3)
