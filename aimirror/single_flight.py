"""One run of something for all who want it at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from twisted.internet.defer import Deferred


class SingleFlight:
    """One run of a coroutine for all who want the same at the same time."""

    def __init__(self) -> None:
        self._running: dict[Hashable, list[Deferred[Any]]] = {}

    async def do(self, name: Hashable, run: Callable[[], Awaitable[Any]]) -> Any:
        """The result or failure of the run that is under way, or of a new one.

        Cancelling leaves; the run goes on for the others.
        """
        waiting = self._running.get(name)
        if waiting is None:
            waiting = self._running[name] = []
            mine = self._wait(waiting)
            Deferred.fromCoroutine(self._run(name, run))
            return await mine
        return await self._wait(waiting)

    def _wait(self, waiting: list[Deferred[Any]]) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred(waiting.remove)
        waiting.append(deferred)
        return deferred

    async def _run(self, name: Hashable, run: Callable[[], Awaitable[Any]]) -> None:
        result: Any
        try:
            result = await run()
        except Exception as failure:
            for deferred in tuple(self._running.pop(name)):
                deferred.errback(failure)
        else:
            for deferred in tuple(self._running.pop(name)):
                deferred.callback(result)
