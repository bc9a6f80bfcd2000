"""Delayed calls that all wait equally long, by one delayed call of the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """One of them."""

    __slots__ = ("_act", "_all", "_args", "at")

    def __init__(
        self, deadlines: Deadlines, at: float, act: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self._all = deadlines
        #: When it is due, on the clock.
        self.at = at
        self._act = act
        self._args = args

    def cancel(self) -> None:
        """Forget it; nothing happens when it was called or cancelled before."""
        self._all.drop(self)

    def act(self) -> None:
        """Call it."""
        self._act(*self._args)


class Deadlines:
    """Calls what is not cancelled within ``seconds``.

    Most deadlines are cancelled, and the reactor's own calls are dear: one for the oldest will do.
    """

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._waiting: dict[Deadline, None] = {}
        self._call: IDelayedCall | None = None

    def callLater(self, seconds: float, act: Callable[..., object], *args: Any) -> Deadline:
        """As of IReactorTime; ``seconds`` are those of all of them."""
        if seconds != self._seconds:
            raise ValueError(f"{seconds} s, and all wait {self._seconds} s")
        deadline = Deadline(self, self._clock.seconds() + seconds, act, args)
        self._waiting[deadline] = None
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._fire)
        return deadline

    def drop(self, deadline: Deadline) -> None:
        """Forget one."""
        self._waiting.pop(deadline, None)
        if not self._waiting and self._call is not None:
            self._call.cancel()
            self._call = None

    def _fire(self) -> None:
        self._call = None
        now = self._clock.seconds()
        try:
            while self._waiting and (first := next(iter(self._waiting))).at <= now:
                del self._waiting[first]
                first.act()
        finally:
            if self._waiting and self._call is None:
                left = max(0.0, next(iter(self._waiting)).at - now)
                self._call = self._clock.callLater(left, self._fire)
