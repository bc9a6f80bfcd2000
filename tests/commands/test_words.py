"""How progress looks in a terminal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands.words import Pace, counted, ending, fitted, progress


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

    def test_pace(self) -> None:
        """While it runs, the rate, the time left, and what is under way are told."""
        pace = Pace()
        for second, count in enumerate((0, 100_000, 300_000)):
            pace.note(float(second), count)
        self.assertEqual(pace.rate, 150_000)
        job = {
            "done": 1,
            "total": 4,
            "bytes": 300_000,
            "total_bytes": None,
            "likely_bytes": 900_000,
        }
        line = progress({**job, "current": "/packages/aa/torch.whl"}, pace.rate)
        self.assertIn("300 kB of about 900 kB, 150 kB/s, 4 s left  torch.whl", line)
        ended = progress({**job, "state": "done", "done": 4}, pace.rate)
        self.assertNotIn("left", ended)
        self.assertEqual(ended.count("█"), 30)

    def test_fitted(self) -> None:
        """A line never goes over the edge of a terminal."""
        self.assertEqual(
            [fitted("abcdef", width) for width in (6, 4, None)], ["abcdef", "abc…", "abcdef"]
        )

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


class CountedTests(SynchronousTestCase):
    def test_plural(self) -> None:
        """One is one, and all others are many."""
        told = [counted(n, "entry") for n in (0, 1, 2)]
        self.assertEqual(told, ["0 entries", "1 entry", "2 entries"])
        self.assertEqual(counted(3, "file"), "3 files")
