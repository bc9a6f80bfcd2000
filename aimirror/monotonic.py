"""Seconds that go on evenly when somebody sets the system's clock.

Twisted's timers follow that clock: set back by an hour, they would all wait for an hour longer,
set forward, every time-out would be over at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: Seconds between two looks at the system's clock, and the share of the passing time by which it
#: is approached: a second in twenty is no harm to any timer.
LOOK_EVERY = 1.0
CATCH_UP = 0.05
#: Seconds that are not crept but jumped over: a machine that had no time at all when it booted.
#: That ends what waits for a time-out, once; to say a wrong Date for years is worse.
FAR = 86_400.0

#: Linux has a clock that goes on while the machine is suspended; it is asked less often, for it
#: costs more.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _since_boot() -> float:
    """Seconds since boot, those in which the machine was suspended included."""
    return time.clock_gettime(_CLOCK)


class Steady:
    """Epoch seconds that never go back.

    They jump over the time of a suspended machine, and out of a past farther away than ``FAR``.

    ``awake`` counts while the machine is awake, ``passed`` always.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        awake: Callable[[], float] = time.monotonic,
        passed: Callable[[], float] = _since_boot,
    ) -> None:
        self._wall = wall
        self._awake = awake
        self._passed = passed
        awoken, self._looked = awake(), passed()
        self._slept = self._looked - awoken
        self._shift = wall() - awoken
        self._look_at = awoken + LOOK_EVERY
        self._last = 0.0

    def seconds(self) -> float:
        """Now."""
        awoken = self._awake()
        if awoken >= self._look_at:
            self._look(awoken)
        now = awoken + self._shift
        if now < self._last:
            return self._last
        self._last = now
        return now

    def _look(self, awoken: float) -> None:
        passed = self._passed()
        most = CATCH_UP * (passed - self._looked)
        self._look_at, self._looked = awoken + LOOK_EVERY, passed
        slept, self._slept = passed - awoken - self._slept, passed - awoken
        self._shift += slept
        behind = self._wall() - awoken - self._shift
        self._shift += behind if behind > FAR else max(-most, min(most, behind))


def steady(reactor: Any) -> None:
    """Have a reactor count such seconds; to be called before it runs."""
    reactor.seconds = Steady().seconds
