"""Rate limits by the time of day."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.hours import Hours, limit_at

HOUR = 3600.0
WORK = Hours(start=8 * HOUR, stop=18 * HOUR, rate_limit=5)
NIGHT = Hours(start=22 * HOUR, stop=6 * HOUR)


class LimitTests(SynchronousTestCase):
    def test_hours(self) -> None:
        """From the first second to the last but one; over midnight, too; else the usual one."""
        for second, limit in (
            (8 * HOUR, 5),
            (18 * HOUR - 1, 5),
            (18 * HOUR, 9),
            (8 * HOUR - 1, 9),
            (22 * HOUR, 0),
            (0.0, 0),
            (6 * HOUR - 1, 0),
            (6 * HOUR, 9),
        ):
            self.assertEqual(limit_at(second, (WORK, NIGHT), 9), limit, second)

    def test_first(self) -> None:
        """Of several that fit the first one holds."""
        noon = Hours(start=12 * HOUR, stop=13 * HOUR, rate_limit=7)
        self.assertEqual(limit_at(12 * HOUR, (noon, WORK), 9), 7)
        self.assertEqual(limit_at(12 * HOUR, (WORK, noon), 9), 5)
