"""How many bytes the kernel gathers before it wakes a worker: slow connections bring few each time.

A wake costs as much for 1.4 kB as for 64 kB.  Twenty connections of 1 MB/s wake a worker several
thousand times a second; gathered for some hundredths of a second, 500 times.
"""

from __future__ import annotations

#: Bytes that come at once: a reader waits for them, and no rate is known.
UNGATHERED = 64 << 10
#: Seconds' worth of bytes that are gathered, and bytes at the most and at the least.
GATHER_SECONDS = 0.04
MOST_GATHERED = 128 << 10
LEAST_GATHERED = 8 << 10
#: Seconds over which a rate is measured.
MEASURED_OVER = 0.2


class Gathering:
    """What to ask of the kernel (SO_RCVLOWAT) for one body; 1 is "wake me for every byte"."""

    def __init__(self, now: float) -> None:
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
            wanted = min(MOST_GATHERED, int(rate * GATHER_SECONDS))
            self._wanted = wanted if wanted >= LEAST_GATHERED else 1
        return self._wanted if room >= 4 * self._wanted else 1

    def silent(self) -> int:
        """Nothing came for a while: what is there already must be seen, however little it is."""
        self._wanted = 1
        return 1
