"""Work of which little is done at a time, for many clients, who take turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred


class TooBusy(Exception):
    """Too much waits already, and most of it for this client."""


class FairQueue:
    """At most ``at_once`` pieces of work run and ``waiting`` wait; the clients take turns.

    Where too many wait, the newest of the client that has most of them is refused, so that a
    flood from one place takes the places of its own.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = at_once
        self._most = waiting
        self._count = 0
        #: By client, in the order of their turns; each the oldest first.
        self._lines: dict[str, list[Deferred[None]]] = {}

    async def run(self, client: str, work: Callable[[], Deferred[Any]]) -> Any:
        """What ``work`` brings once it is this client's turn; raises TooBusy.  Can be cancelled."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(client)
        try:
            return await work()
        finally:
            self._next()

    async def _wait(self, client: str) -> None:
        turn: Deferred[None] = Deferred()
        self._lines.setdefault(client, []).append(turn)
        self._count += 1
        if self._count > self._most:
            greedy = max(self._lines, key=lambda name: (len(self._lines[name]), name == client))
            self._remove(greedy, -1).errback(TooBusy())
        try:
            await turn
        finally:
            if turn in self._lines.get(client, ()):  # cancelled
                self._remove(client, self._lines[client].index(turn))

    def _next(self) -> None:
        if not self._count:
            self._free += 1
            return
        client = next(iter(self._lines))
        turn = self._remove(client, 0)
        if client in self._lines:  # to the end of the line
            self._lines[client] = self._lines.pop(client)
        turn.callback(None)

    def _remove(self, client: str, place: int) -> Deferred[None]:
        line = self._lines[client]
        turn = line.pop(place)
        self._count -= 1
        if not line:
            del self._lines[client]
        return turn
