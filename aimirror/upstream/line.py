"""Who waits for a connection to one host, and whose turn is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import TypeVar

from attrs import Factory, define
from twisted.internet.defer import Deferred

_T = TypeVar("_T")
#: Who wants an answer, by address; nobody once the last one has left.
Clients = Callable[[], Collection[str]]


@define(eq=False)
class Place:
    """One who waits; ``turn`` fires when a connection may be had."""

    clients: Clients
    turn: Deferred[None] = Factory(Deferred)


@define(eq=False)
class Line:
    """The clients take turns; what nobody waits for any more comes last.

    Next is who has the fewest connections at work, then who came first.  ``most`` places are
    there: where all are taken, one goes that nobody waits for, or else the newest of the client
    who has most of them.
    """

    most: int
    _places: list[Place] = Factory(list)
    #: Connections at work by client.
    _has: dict[str, int] = Factory(dict)
    _at_work: dict[Clients, int] = Factory(dict)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def awaited(self) -> int:
        """How many somebody waits for."""
        return sum(bool(place.clients()) for place in self._places)

    def join(self, clients: Clients) -> tuple[Place, Place | None]:
        """A place at the end, and whose place had to go for it: perhaps this very one."""
        place = Place(clients)
        self._places.append(place)
        if len(self._places) <= self.most:
            return place, None
        refused = self._one_too_many()
        self._places.remove(refused)
        return place, refused

    def _one_too_many(self) -> Place:
        waiting = [(place, sorted(place.clients())) for place in self._places]
        left = next((place for place, clients in waiting if not clients), None)
        if left is not None:
            return left
        count = Counter(clients[0] for _, clients in waiting)
        greedy = max(reversed(waiting), key=lambda each: count[each[1][0]])
        return greedy[0]

    def leave(self, place: Place) -> bool:
        """Whether it was still waiting."""
        if place in self._places:
            self._places.remove(place)
            return True
        return False

    def next(self) -> Place:
        """Take whose turn it is out of the line."""
        best, lowest = 0, (True, 0)
        for n, place in enumerate(self._places):
            clients = place.clients()
            level = (not clients, min((self._has.get(client, 0) for client in clients), default=0))
            if n == 0 or level < lowest:
                best, lowest = n, level
            if level == (False, 0):
                break
        return self._places.pop(best)

    def begins(self, clients: Clients) -> Callable[[], None]:
        """A connection is at work for these; call the result when it is not any more."""
        names = tuple(clients())
        for name in names:
            self._has[name] = self._has.get(name, 0) + 1
        self._at_work[clients] = self._at_work.get(clients, 0) + 1

        def ends() -> None:
            for name in names:
                _less(self._has, name)
            _less(self._at_work, clients)

        return ends

    @property
    def abandoned(self) -> int:
        """Connections at work that nobody waits for any more."""
        return sum(count for clients, count in self._at_work.items() if not clients())

    def at_work(self, clients: Clients) -> bool:
        """Whether a connection is at work for these."""
        return clients in self._at_work


def _less(counts: dict[_T, int], key: _T) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
