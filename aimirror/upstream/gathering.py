"""How many bytes the kernel gathers before it wakes us: slow connections bring few each time.

A wake costs as much for 1.4 kB as for 64 kB.  Twenty connections of 1 MB/s wake a process several
thousand times a second; gathered for a fifth of a second, 100 times.
"""

from __future__ import annotations

from attrs import define

#: Bytes that come at once: a reader waits for them.
UNGATHERED = 16 << 10
#: While no rate is known, this part of what has come is gathered next: it takes no longer than
#: that part of the time that has passed.
FIRST_PART = 2
#: Seconds' worth of bytes that are gathered, and bytes at the most and at the least.
GATHER_SECONDS = 0.2
MOST_GATHERED = 512 << 10
LEAST_GATHERED = 8 << 10
#: Seconds over which a rate is measured.
MEASURED_OVER = 0.2
#: A rate that differs by less than this part is the same: each change is a system call.
STEADY = 4
#: Seconds without a byte after which the kernel is asked for every single one again.
SILENT_AFTER = 0.3


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
        self._came = 0
        self._since = now
        self._before = 0
        self._wanted = 1
        #: Whether it goes by what was measured, here or elsewhere.
        self._paced = False

    def took(self, count: int, room: int, now: float) -> int:
        """Bytes to gather after ``count`` came at ``now`` (seconds), when ``room`` are to come."""
        self._came += count
        if self._came > UNGATHERED:
            if now - self._since >= MEASURED_OVER:
                self._measure(now)
            elif not self._paced:
                self._begin()
        return self.within(room)

    def _measure(self, now: float) -> None:
        self._pace.rate = (self._came - self._before) / (now - self._since)
        self._since, self._before = now, self._came
        wanted = _gathered_at(self._pace.rate)
        if not self._paced or abs(wanted - self._wanted) * STEADY > self._wanted:
            self._paced, self._wanted = True, wanted

    def _begin(self) -> None:
        if self._pace.rate:
            self._paced, self._wanted = True, _gathered_at(self._pace.rate)
        else:
            self._wanted = min(MOST_GATHERED, self._came // FIRST_PART)

    def within(self, room: int) -> int:
        """Bytes to gather when ``room`` are to come: at most half of them, never the end itself."""
        return _enough(min(self._wanted, room // 2))

    def silent(self) -> int:
        """Nothing came for a while: what is there already must be seen, however little it is."""
        self._wanted, self._paced = 1, True
        return 1


def _gathered_at(rate: float) -> int:
    return _enough(min(MOST_GATHERED, int(rate * GATHER_SECONDS)))


def _enough(count: int) -> int:
    return count if count >= LEAST_GATHERED else 1
