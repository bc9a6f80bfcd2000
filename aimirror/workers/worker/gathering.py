"""How many bytes the kernel gathers before it wakes a worker: slow connections bring few each time.

A wake costs as much for 1.4 kB as for 64 kB.  Twenty connections of 1 MB/s wake a worker several
thousand times a second; gathered for a tenth of a second, 200 times.
"""

from __future__ import annotations

from attrs import define

#: Bytes that come at once: a reader waits for them, and no rate is known; and where it is.
UNGATHERED = 64 << 10
UNGATHERED_AT_A_PACE = 16 << 10
#: Seconds' worth of bytes that are gathered, and bytes at the most and at the least.
GATHER_SECONDS = 0.1
MOST_GATHERED = 128 << 10
LEAST_GATHERED = 8 << 10
#: Seconds over which a rate is measured.
MEASURED_OVER = 0.2


@define
class Pace:
    """Bytes per second that a connection to one host has brought lately; 0 is unknown.

    A file comes in many pieces: each would be read in small bits until its rate is measured.
    """

    rate: float = 0.0


class Gathering:
    """What to ask of the kernel (SO_RCVLOWAT) for one body; 1 is "wake me for every byte"."""

    def __init__(self, now: float, pace: Pace | None = None) -> None:
        self._pace = Pace() if pace is None else pace
        self._known = self._pace.rate
        self._came = 0
        self._since = now
        self._before = 0
        self._wanted = 1

    def took(self, count: int, room: int, now: float) -> int:
        """Bytes to gather after ``count`` came at ``now`` (seconds), when ``room`` are to come.

        The end is never waited for: what is asked for is always less than what is still to come.
        """
        self._came += count
        if self._came > UNGATHERED and now - self._since >= MEASURED_OVER:
            rate = (self._came - self._before) / (now - self._since)
            self._since, self._before = now, self._came
            self._pace.rate, self._known = rate, 0.0
            self._wanted = _gathered_at(rate)
        elif self._known and self._came > UNGATHERED_AT_A_PACE:
            self._wanted, self._known = _gathered_at(self._known), 0.0
        return self._wanted if room >= 4 * self._wanted else 1

    def silent(self) -> int:
        """Nothing came for a while: what is there already must be seen, however little it is."""
        self._wanted, self._known = 1, 0.0
        return 1


def _gathered_at(rate: float) -> int:
    wanted = min(MOST_GATHERED, int(rate * GATHER_SECONDS))
    return wanted if wanted >= LEAST_GATHERED else 1
