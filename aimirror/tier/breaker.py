"""When the store is left alone because it is slow or away."""

from __future__ import annotations

import enum
from collections import deque

from attrs import Factory, define

#: Failures within so many seconds after which nobody asks any more.
MOST_FAILURES = 5
WINDOW = 10.0
#: Seconds of waiting in vain within that time after which nobody asks, however few failures.
MOST_LOST = 0.7
#: Seconds for which nobody asks then; twice as many after each trial that failed.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 120.0


class State(enum.Enum):
    """Whether the store is asked."""

    CLOSED = "closed"
    OPEN = "open"
    #: One request is under way to see whether it is back.
    TRYING = "trying"


@define
class Breaker:
    """A machine of its own: ``allows`` before each request, then what came of it."""

    state: State = State.CLOSED
    #: Epoch seconds until which it is open.
    until: float = 0.0
    #: How often it has opened.
    opened: int = 0
    _pause: float = FIRST_PAUSE
    _failures: deque[tuple[float, float]] = Factory(deque)

    def allows(self, now: float) -> bool:
        """Whether to ask; a yes while it is open is the one trial, which must tell its end."""
        if self.state is State.CLOSED:
            return True
        if now < self.until:
            return False
        # A trial that never told its end must not keep it open for ever.
        self.state, self.until = State.TRYING, now + self._pause
        return True

    def succeeded(self) -> None:
        """The store has answered, if only that it has no such thing."""
        self.state, self._pause = State.CLOSED, FIRST_PAUSE
        self._failures.clear()

    def failed(self, now: float, lost: float = 0.0) -> None:
        """It has not, or only that it can't; somebody waited ``lost`` seconds for that."""
        if self.state is State.TRYING:
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
            self._open(now)
            return
        self._failures.append((now, lost))
        while self._failures[0][0] < now - WINDOW:
            self._failures.popleft()
        enough = sum(waited for _, waited in self._failures) >= MOST_LOST
        if self.state is State.CLOSED and (enough or len(self._failures) >= MOST_FAILURES):
            self._open(now)

    def _open(self, now: float) -> None:
        self.state, self.until = State.OPEN, now + self._pause
        self.opened += 1
        self._failures.clear()
