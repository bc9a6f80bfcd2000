"""A rate limit by the time of day."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen


@frozen(kw_only=True)
class Hours:
    """A part of each day, in seconds after local midnight, and its limit in bytes per second.

    One that stops before it starts goes on over midnight.
    """

    start: float
    stop: float
    #: 0 is no limit.
    rate_limit: int = 0

    def cover(self, second: float) -> bool:
        """Whether a second of the day is in it."""
        if self.start <= self.stop:
            return self.start <= second < self.stop
        return second >= self.start or second < self.stop


def limit_at(second: float, hours: Iterable[Hours], usual: int) -> int:
    """The limit at a second of the day: that of the first hours it is in, else the usual one."""
    return next((each.rate_limit for each in hours if each.cover(second)), usual)
