"""A silence time-out on an injected clock."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Countdown:
    """Calls ``expired`` once ``seconds`` have passed without a restart; owns its delayed call."""

    def __init__(self, clock: IReactorTime, seconds: float, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._expired = expired
        self._call: IDelayedCall | None = None

    def restart(self) -> None:
        """Count from the beginning, also after ``stop``."""
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._fire)
        else:
            self._call.reset(self._seconds)

    def stop(self) -> None:
        """Count no more; idempotent."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _fire(self) -> None:
        self._call = None
        self._expired()
