"""Failures count by what fails: a URL, or a host that can't be reached or fails all over."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.health import (
    AWAY,
    PAUSE_LONGEST,
    SHUNNED,
    SHUNNED_LONGEST,
    URLS_OF_AN_ILL_HOST,
    WELL_FOR,
    Health,
    Pause,
)

ONE, TWO = "https://one.test", "https://two.test"


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.health = Health()

    def order(self, path: str, now: float) -> list[int]:
        return self.health.order([ONE + path, TWO + path], now)

    def test_one_url(self) -> None:
        """One URL that fails, however often, is shunned itself, and nothing else of its host."""
        for now in range(50):
            self.health.failed(f"{ONE}/evil", float(now))
        self.assertEqual(self.order("/evil", 50.0), [1, 0])
        self.assertEqual(self.order("/good", 50.0), [0, 1])
        self.assertEqual(self.health.shunned(50.0), {})

    def test_many_urls(self) -> None:
        """Where several fail and none succeeds, the host is ill."""
        for number in range(URLS_OF_AN_ILL_HOST):
            self.assertEqual(self.order("/good", 1.0), [0, 1])
            self.health.failed(f"{ONE}/{number}", 1.0)
        self.assertEqual(self.order("/good", 1.0), [1, 0])

    def test_busy_host(self) -> None:
        """A host that has just answered is not ill, whatever else fails there."""
        self.health.succeeded(f"{ONE}/good", 1.0)
        for number in range(20):
            self.health.failed(f"{ONE}/{number}", 1.0 + WELL_FOR)
        self.assertEqual(self.order("/good", 1.0 + WELL_FOR), [0, 1])
        self.health.failed(f"{ONE}/last", 1.1 + WELL_FOR)
        self.assertEqual(self.order("/good", 1.1 + WELL_FOR), [1, 0])

    def test_unreachable(self) -> None:
        """One that can't be reached is shunned at once, longer each time, and never for good."""
        left = []
        for _ in range(20):
            self.health.failed(f"{ONE}/x", 0.0, unreachable=True)
            left.append(self.health.shunned(0.0)[ONE])
        self.assertEqual(left[:3], [SHUNNED, 2 * SHUNNED, 4 * SHUNNED])
        self.assertEqual(left[-1], SHUNNED_LONGEST)
        self.assertEqual(self.order("/y", 0.0), [1, 0])
        self.assertEqual(self.order("/y", SHUNNED_LONGEST), [0, 1])

    def test_success(self) -> None:
        """A success forgets all of it."""
        self.health.failed(f"{ONE}/x", 0.0, unreachable=True)
        self.health.succeeded(f"{ONE}/x", 1.0)
        self.assertEqual(self.order("/x", 1.0), [0, 1])


class AwayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.health = Health()

    def test_one_tries(self) -> None:
        """While a host can't be reached, one caller in a window is to try, ever more rarely."""
        self.assertFalse(self.health.away([f"{ONE}/x"], 0.0))
        self.health.unreached(f"{ONE}/x", 0.0, unreachable=True)
        self.assertTrue(self.health.away([f"{ONE}/other"], AWAY - 0.1))
        self.assertFalse(self.health.away([f"{ONE}/other"], AWAY))
        self.assertTrue(self.health.away([f"{ONE}/third"], AWAY + 0.1))
        self.health.unreached(f"{ONE}/x", AWAY, unreachable=True)
        self.assertTrue(self.health.away([f"{ONE}/x"], 2.9 * AWAY))
        self.health.reached(f"{ONE}/x")
        self.assertFalse(self.health.away([f"{ONE}/x"], 2.9 * AWAY))

    def test_silent_url(self) -> None:
        """A URL that says nothing is known by itself: its host may answer others."""
        self.health.unreached(f"{ONE}/x", 0.0, unreachable=False)
        self.assertTrue(self.health.away([f"{ONE}/x"], 1.0))
        self.assertFalse(self.health.away([f"{ONE}/y"], 1.0))

    def test_another_upstream(self) -> None:
        """Where one of several can be reached, all is well."""
        self.health.unreached(f"{ONE}/x", 0.0, unreachable=True)
        self.assertFalse(self.health.away([f"{ONE}/x", "https://elsewhere.test/x"], 1.0))

    def test_hanging_host(self) -> None:
        """A host at which two URLs say nothing hangs at all others, until one says something."""
        for number in (1, 2):
            self.assertFalse(self.health.away([f"{ONE}/other"], 0.0))
            self.health.unreached(f"{ONE}/{number}", 0.0, unreachable=False)
        self.assertTrue(self.health.away([f"{ONE}/other"], 1.0))
        self.health.reached(f"{ONE}/3")
        self.assertFalse(self.health.away([f"{ONE}/other"], 1.0))
        self.health.unreached(f"{ONE}/4", 1.0, unreachable=False)
        self.assertFalse(self.health.away([f"{ONE}/other"], 1.0))


class PauseTests(SynchronousTestCase):
    def test_bounded(self) -> None:
        """A wish holds for the host, for one credential or all, and not for ever."""
        health = Health()
        health.pause(f"{ONE}/x", "a", 10.0, 0.0, 429)
        self.assertEqual(health.paused(f"{ONE}/y", "a", 4.0), Pause(6.0, 429))
        self.assertIsNone(health.paused(f"{ONE}/y", "", 4.0))
        self.assertIsNone(health.paused(f"{ONE}/y", "a", 10.0))
        health.pause(f"{ONE}/x", "", 1e9, 0.0)
        self.assertEqual(health.paused(f"{ONE}/y", "b", 0.0), Pause(PAUSE_LONGEST, 503))
