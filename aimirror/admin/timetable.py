"""When something is due that is done again and again."""

from __future__ import annotations

#: Seconds after the start for what has no time of its own: clients come first.
AFTER_START = 60.0


def next_due(now: float, every: float, at: float | None, offset: float) -> float:
    """The next time after ``now`` (epoch seconds).

    ``at`` is seconds after local midnight, from which every span of ``every`` seconds is counted;
    ``offset`` is what local time is ahead of UTC.  Without ``at`` it is one span from now.
    """
    if at is None:
        return now + every
    local = now + offset
    spans = (local - at) // every + 1
    return at + spans * every - offset
