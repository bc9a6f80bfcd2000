"""Which connections of a download give way: to another source, a reader, or another file."""

from __future__ import annotations

from collections.abc import Collection

from aimirror.download.assignment import PROBE, Assignment
from aimirror.download.commands import Cancel, Command, Trim
from aimirror.download.cutting import side_by_side
from aimirror.download.flight import Flight
from aimirror.download.plan import Demand, crowd_piece, worth_shortening

#: Bytes that a reader wants at a place at which it only looks.
GLANCE = 512 << 10


def make_way_for(assignment: Assignment, source: int) -> list[Command]:
    """Give a source that was found just now its part of the connections.

    Those are dropped that have brought the least: their bytes come from elsewhere as soon.
    """
    fair = assignment.allowance.most // max(1, len(assignment.sources))
    free = assignment.allowance.most - len(assignment.flights)
    others = [f for f in assignment.flights.values() if f.source != source and f.id != PROBE]
    others.sort(key=lambda flight: (flight.position - flight.start, -flight.start))
    dropped = [f for f in others if f.position - f.start < GLANCE][: max(0, fair - free)]
    for flight in dropped:
        del assignment.flights[flight.id]
    return [Cancel(flight.id) for flight in dropped]


def give_way(assignment: Assignment, sources: Collection[int], count: int) -> list[Command]:
    """End up to ``count`` connections to these sources, those with most left first.

    Nobody waits for the file, and somebody for a connection: what is missing comes later.
    """
    flights = [flight for flight in assignment.flights.values() if flight.source in sources]
    flights.sort(key=lambda flight: flight.position - flight.stop)
    for flight in flights[:count]:
        del assignment.flights[flight.id]
    return [Cancel(flight.id) for flight in flights[:count]]


def thin_out(assignment: Assignment, now: float) -> list[Command]:
    """Shorten what flies when readers have become a crowd, for whom the head comes first."""
    missing = assignment.missing()
    piece = crowd_piece(missing, assignment.allowance.share)
    trims: list[Command] = []
    for flight in assignment.flights.values():
        left, rate = flight.stop - flight.position, flight.average(now, assignment.latency) or 0.0
        if worth_shortening(left, rate, piece, missing):
            flight.stop = flight.position + piece
            trims.append(Trim(flight.id, flight.stop))
    return trims


def make_way(assignment: Assignment, demand: Demand, now: float) -> list[Command]:
    """Let a reader that jumped to where nothing will arrive soon have a connection there.

    Several that read long parts side by side wait for their turns instead: all will be done
    when all bytes are there, and a connection that is cut for one of them is lost to all.
    """
    position = demand.position
    if assignment.written.run_from(position) > position or not _urgent(assignment, demand):
        return []
    commands: list[Command] = []
    for flight in assignment.flights.values():
        if flight.position <= position < flight.stop:
            rate = flight.rate(now, assignment.usual(now), assignment.latency)
            if (position - flight.position) <= rate * max(0.5, 4 * assignment.latency):
                return []
            if flight.id != PROBE:
                flight.stop = position
                commands.append(Trim(flight.id, position))
    if len(assignment.flights) < assignment.allowance.share:
        return commands
    others = [
        f for f in assignment.flights.values() if f.id != PROBE and not _wanted_soon(assignment, f)
    ]
    if others:
        victim = max(others, key=lambda f: f.stop - f.position)
        del assignment.flights[victim.id]
        commands.append(Cancel(victim.id))
    return commands


def _urgent(assignment: Assignment, demand: Demand) -> bool:
    """Whether a reader only looks at a place, or is one of the few that there are."""
    return demand.stop - demand.position <= GLANCE or not side_by_side(assignment.demands.values())


def _wanted_soon(assignment: Assignment, flight: Flight) -> bool:
    return any(flight.start <= d.position < flight.stop for d in assignment.demands.values())
