"""A response held to a rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aimirror.interfaces import IUpstreamResponse

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds ahead of its rate limit that a stream may be.
THROTTLE_STEP = 0.05


class Throttle:
    """Keeps a response at a rate (bytes per second, 0 = none) by pausing it."""

    def __init__(
        self, response: IUpstreamResponse, clock: IReactorTime, rate: Callable[[], int]
    ) -> None:
        self._response = response
        self._clock = clock
        self._rate = rate
        self._due = 0.0
        self._timer: IDelayedCall | None = None
        #: Whether somebody else wants it paused, too.
        self.held = False

    def took(self, count: int) -> None:
        """So many bytes arrived: pause for as long as they take at the rate limit."""
        rate, now = self._rate(), self._clock.seconds()
        if rate <= 0:
            return
        self._due = max(now, self._due) + count / rate
        if self._due - now > THROTTLE_STEP and self._timer is None:
            self._response.pause()
            self._wait()

    def hold(self) -> None:
        """Pause for another reason until ``release``."""
        if not self.held:
            self.held = True
            self._response.pause()

    def release(self) -> None:
        """The other reason is gone."""
        if self.held:
            self.held = False
            if self._timer is None:
                self._response.resume()

    def stop(self) -> None:
        """The body is over."""
        self.held = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = self._clock.callLater(self._due - self._clock.seconds(), self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        if self._due - self._clock.seconds() > THROTTLE_STEP:  # more came that was on its way
            self._wait()
        elif not self.held:
            self._response.resume()
