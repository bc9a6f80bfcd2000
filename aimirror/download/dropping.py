"""Which connections of a download are dropped: hopeless ones, and those that nobody needs."""

from __future__ import annotations

from statistics import median

from aimirror.download.assignment import Assignment
from aimirror.download.commands import Cancel, Command, Refused
from aimirror.download.flight import Flight

#: How much of a source's remembered rate is left after a connection was dropped, so that a line
#: that has become slow as a whole is soon accepted as it is.
FORGET = 0.8
#: Beside what finished pieces brought before, a connection may be slower by this factor: perhaps
#: the line has become slow as a whole.
LENIENCE = 0.4
#: Seconds, and round trips, without an answer to any request, after which they are too many.
HANGING_AFTER = 4.0
HANGING_ROUND_TRIPS = 20


def drop_hopeless(assignment: Assignment, now: float) -> list[Command]:
    """Drop connections far below their siblings; try whether fewer bring as much."""
    commands = _drop_silent(assignment, now)
    usual = assignment.usual(now)
    if assignment.landed:
        brought = min(median(rate for _, rate in assignment.landed), assignment.remembered())
        usual = max(usual, LENIENCE * brought)
    # Several that are all new and unanswered are no worse than others would be.
    compared = assignment.answered or len(assignment.flights) < 2
    for flight in list(assignment.flights.values()):
        if usual and compared and flight.hopeless(now - assignment.lag, usual, assignment.latency):
            del assignment.flights[flight.id]
            assignment.sources[flight.source].rate *= FORGET
            commands.append(Cancel(flight.id))
            commands.extend(_hung(assignment, flight, now))
    rate = sum(f.measured(now, assignment.latency) or 0.0 for f in assignment.flights.values())
    assignment.allowance.observe(now, rate, len(assignment.flights), assignment.missing())
    return commands


def _drop_silent(assignment: Assignment, now: float) -> list[Command]:
    """Several requests, and no answer to any: the host bears one, perhaps, and no second."""
    patience = max(HANGING_AFTER, HANGING_ROUND_TRIPS * assignment.latency)
    silent = [f for f in assignment.flights.values() if f.first_at is None]
    late = [f for f in silent if now - f.sent_at > patience]
    if len(silent) < max(2, len(assignment.flights)) or not late:
        return []
    commands: list[Command] = list(drop_all(assignment))
    for source in {flight.source for flight in silent}:
        assignment.sources[source].refused(1, False, None, assignment.jitter(), now)
        commands.append(Refused(source, alone=True))
    return commands


def _hung(assignment: Assignment, flight: Flight, now: float) -> list[Command]:
    """One that never got an answer beside others that work was one too many."""
    working = assignment.working(flight.source)
    if flight.first_at is not None or not working:
        return []
    assignment.sources[flight.source].refused(working, False, None, assignment.jitter(), now)
    return [Refused(flight.source)]


def drop_losers(assignment: Assignment) -> list[Command]:
    """Drop flights whose whole span somebody else has written by now.

    One that has written all of its own is about to end, and its connection serves again.
    """
    losers = [
        f.id
        for f in assignment.flights.values()
        if f.position < f.stop and assignment.written.covers(f.position, f.stop)
    ]
    for flight in losers:
        del assignment.flights[flight]
    return [Cancel(flight) for flight in losers]


def drop_all(assignment: Assignment) -> list[Command]:
    """Drop every flight."""
    dropped: list[Command] = [Cancel(flight) for flight in assignment.flights]
    assignment.flights.clear()
    return dropped


def let_land(assignment: Assignment) -> list[Command]:
    """Drop every flight but those that have written all of theirs, which end by themselves."""
    landing = [
        flight.id for flight in assignment.flights.values() if flight.position >= flight.stop
    ]
    for flight in landing:
        del assignment.flights[flight]
    return drop_all(assignment)
