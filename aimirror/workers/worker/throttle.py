"""How long to stop reading so that a rate is kept."""

from __future__ import annotations

#: Seconds' worth of the rate that may come at once after a lull.
BURST_SECONDS = 0.25


class Throttle:
    """A token bucket for one connection; ``rate`` in bytes per second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._paid_until = float("-inf")

    def pause_after(self, count: int, now: float) -> float:
        """Seconds to pause after ``count`` bytes came in at time ``now``; 0 for none."""
        self._paid_until = max(self._paid_until, now - BURST_SECONDS) + count / self._rate
        return max(0.0, self._paid_until - now)
