"""Work that may wait a little: done once, some seconds after the first change that calls for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Upkeep:
    """Calls ``act`` at most once at a time, ``delay`` seconds after ``soon``; idle otherwise."""

    log = Logger()

    def __init__(
        self, clock: IReactorTime, delay: float, act: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._clock = clock
        self._delay = delay
        self._act = act
        self._timer: IDelayedCall | None = None
        self._running: Deferred[None] | None = None
        self._again = False

    def soon(self) -> None:
        """There is something to do."""
        if self._running is not None:
            self._again = True
        elif self._timer is None:
            self._timer = self._clock.callLater(self._delay, self._start)

    def _start(self) -> None:
        self._timer = None
        self._again = False
        self._running = Deferred()
        Deferred.fromCoroutine(self._act()).addErrback(
            lambda failure: self.log.failure("upkeep of the cache failed", failure)
        ).addCallback(self._ended)

    def _ended(self, _: None) -> None:
        running, self._running = self._running, None
        if self._again:
            self.soon()
        if running is not None:
            running.callback(None)

    async def finish(self) -> None:
        """Do now what waits, and wait for what runs."""
        if self._running is not None:
            await self._running
        if self._timer is not None:
            self._timer.cancel()
            self._start()
        if self._running is not None:
            await self._running
