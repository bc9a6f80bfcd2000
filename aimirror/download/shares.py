"""Which of the running downloads may have how many connections to one host.

Each that somebody waits for keeps one.  The others go where they shorten the whole: to the client
who has the fewest, and of its files to the one of which most will be left for a while: it ends
last, whatever else is asked for meanwhile, and those that have as much left are equal.  What
remains goes to those that nobody waits for.  What a file can't use goes on at once to the next.

A running piece is never cut for it: who has more than its share opens no new ones, and the others
get theirs as connections become free.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from attrs import frozen

from aimirror.download.connections import useful

#: Of so many connections, first requests of files leave one to the pieces of those that have
#: begun, beside one for each: the largest must not wait until it is known how large all others are.
PART_KEPT = 3
#: Bytes that a connection brings in a while: the length of a piece on a usual connection.
AHEAD = 2 << 20


@frozen
class Need:
    """One download at one host; ``clients`` are those who want it, () where nobody waits."""

    #: Bytes that are not written yet.
    left: int
    #: Connections that it can use.
    most: int
    #: Connections that it has now.
    busy: int = 0
    clients: tuple[str, ...] = ()
    #: Connections that it may have, though they hardly help, where nobody else wants them.
    bound: int = 0


def shares(needs: Sequence[Need], limit: int) -> tuple[int, ...]:
    """The connections that each download may have now; the earlier come first where few are left.

    A share below ``busy`` says that no new connection may be opened.  Together with what is busy
    they never exceed ``limit``, unless more than that is busy already.
    """
    wanted = targets(needs, limit)
    free = limit - sum(need.busy for need in needs)
    granted = [min(need.busy, goal) for need, goal in zip(needs, wanted, strict=True)]
    lacking = [n for n, goal in enumerate(wanted) if goal > needs[n].busy]
    while free > 0 and lacking:
        n = max(lacking, key=lambda n: (not granted[n], wanted[n] - granted[n]))
        granted[n] += 1
        free -= 1
        if granted[n] == wanted[n]:
            lacking.remove(n)
    return tuple(granted)


def targets(needs: Sequence[Need], limit: int) -> tuple[int, ...]:
    """The shares as they should be, whatever is busy at the moment."""
    bounds = tuple(max(need.most, need.bound) for need in needs)
    if sum(bounds) <= limit:
        return bounds
    given, rest = [0] * len(needs), limit
    for awaited in (True, False):
        among = [n for n, need in enumerate(needs) if bool(need.clients) is awaited]
        for n in among:
            if rest > 0 and needs[n].most > 0:
                given[n], rest = 1, rest - 1
        rest = _spread(needs, given, rest, among)
    return tuple(given)


def kept(needs: Sequence[Need], streams: Sequence[int], untouched: Sequence[int], most: int) -> int:
    """How many of ``most`` connections first requests leave to downloads.

    One for each that has none: one that still reads its first piece (``streams``) has that.  And a
    part of all beside those, for what they use and can use for the bytes that are ``untouched`` by
    any: the largest decides when all is there, however many others there are.
    """
    without = used = 0
    for need, own, left in zip(needs, streams, untouched, strict=True):
        if need.clients:
            idle = need.most - need.busy
            more = useful(left, idle) if left and idle > 0 else 0
            without += not own
            used += need.busy - own + more
    return max(min(1, len(needs)), without, min(used, without + most // PART_KEPT))


def _spread(needs: Sequence[Need], given: list[int], rest: int, among: Sequence[int]) -> int:
    """Give ``rest`` more out, one by one, to those of the poorest client; what is left of it."""
    files: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for n in among:
        need = needs[n]
        if 0 < given[n] < need.most:
            files.setdefault(need.clients, []).append((_order(need, given[n]), n))
    has: dict[str, int] = {}
    for n, need in enumerate(needs):
        for client in need.clients or ("",):
            has[client] = has.get(client, 0) + given[n]
    for queue in files.values():
        heapify(queue)
    while rest > 0 and files:
        clients = min(files, key=lambda who: (_level(who, has), files[who][0]))
        _, n = heappop(files[clients])
        given[n], rest = given[n] + 1, rest - 1
        for client in clients or ("",):
            has[client] += 1
        if given[n] < needs[n].most:
            heappush(files[clients], (_order(needs[n], given[n]), n))
        if not files[clients]:
            del files[clients]
    return rest


def _order(need: Need, given: int) -> int:
    """Smaller where more will be left when those ``given`` have brought their next bytes."""
    return given * AHEAD - need.left


def _level(clients: tuple[str, ...], has: dict[str, int]) -> int:
    """How many connections the poorest of some clients has."""
    return min(has[client] for client in clients or ("",))
