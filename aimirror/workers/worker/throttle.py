"""How long to stop reading so that a rate is kept."""

from __future__ import annotations

#: Seconds' worth of the rate that may come at once after a lull.
BURST_SECONDS = 0.25


class Throttle:
    """A token bucket for one connection; ``rate`` in bytes per second, which may change.

    It begins empty: many short pieces with a burst each would exceed a limit.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._paid_until: float | None = None

    def pause_after(self, count: int, now: float) -> float:
        """Seconds to pause after ``count`` bytes came in at time ``now``; 0 for none."""
        earliest = now if self._paid_until is None else max(self._paid_until, now - BURST_SECONDS)
        self._paid_until = earliest + count / self.rate
        return max(0.0, self._paid_until - now)
