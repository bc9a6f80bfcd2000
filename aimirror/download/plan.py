"""Which bytes to ask for next: sizes of pieces, their order, and when to take work from whom.

Pure functions over a snapshot of one download; ``download.py`` applies what they decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from aimirror.download.flight import Flight
from aimirror.download.spans import Spans

#: Bytes of the probe: a whole small file in one request, its first byte as soon as from a proxy.
FIRST_PIECE = 1 << 20
#: Bytes: below, the request costs more than the bytes; above, readers starve behind the head.
SMALLEST_PIECE = 256 << 10
LARGEST_PIECE = 32 << 20
#: On a slow line a small piece takes long: it may have as little as this, if that takes as long as
#: so many round trips.
LEAST_PIECE = 64 << 10
LEAST_ROUND_TRIPS = 2
#: Bytes of a piece while no rate is known, and nobody else wants its connection.
UNMEASURED_PIECE = 4 << 20
#: A piece should take this long (seconds), and this many round trips, at the measured rate.
PIECE_SECONDS = 3.0
PIECE_ROUND_TRIPS = 30
#: Bytes: what is left of a piece is not split into parts below this, but raced as a whole: each cut
#: costs a connection, and what is in its buffers.
SMALLEST_SPLIT = 128 << 10
#: Seconds that a connection must be from its end for another one to help: what is on its way by
#: then would be fetched twice.
WORTH_TAKING = 0.25
#: Seconds before its end from which on a flight is not shortened for a crowd.
ENDS_SOON = 0.25
#: Readers from which on a file is fetched in waves, each of half the rest: sending it to all of
#: them takes long, so it should begin before all is there, and little should be left for the end.
CROWD = 8
#: Bytes that are on their way to a connection on a fast line: shortening it by fewer saves none of
#: them, they come twice.  That may be where they are no more than this part of the rest.
ON_THE_WAY = 1 << 20
BEARABLE_PART = 32
#: Connections that may fetch the same span at the same time.
MOST_RACERS = 3
#: Bytes up to which two of the many that are idle at the end race for what one brings too slowly:
#: where one connection crawls, the next may do so, too, and it takes long to tell.
RACED_BY_TWO = 128 << 10


@frozen
class Demand:
    """Where one reader is and how far it will read, in bytes."""

    position: int
    stop: int


@frozen
class Pace:
    """What was measured: bytes/s of a usual connection (0 = unknown), seconds to the header.

    ``lag`` are the seconds by which we hear of it late, and are heard late.
    """

    rate: float = 0.0
    latency: float = 0.0
    lag: float = 0.0


def first_piece(chunk_size: int) -> int:
    """Bytes that the probe asks for; a rule's ``chunk_size`` bounds it (<= 0: automatic)."""
    return min(FIRST_PIECE, chunk_size) if chunk_size > 0 else FIRST_PIECE


def smallest_piece(pace: Pace) -> int:
    """Bytes of the smallest piece that is worth its request."""
    if pace.rate <= 0:
        return SMALLEST_PIECE
    worth = int(pace.rate * pace.latency * LEAST_ROUND_TRIPS)
    return min(SMALLEST_PIECE, max(LEAST_PIECE, worth))


def piece_size(missing: int, slots: int, pace: Pace, chunk_size: int) -> int:
    """Bytes of the next piece when ``missing`` bytes, flying ones included, are left in all.

    A connection's fair share of the rest is cut into whole waves of equal pieces, since a wave
    that ends together leaves no connection idle; the wave's length follows the measured rate and
    round trip.
    """
    if pace.rate > 0:
        wanted = pace.rate * max(PIECE_SECONDS, PIECE_ROUND_TRIPS * pace.latency)
    else:
        wanted = UNMEASURED_PIECE
    ceiling = min(LARGEST_PIECE, chunk_size) if chunk_size > 0 else LARGEST_PIECE
    wanted = max(1, min(ceiling, max(SMALLEST_PIECE, int(wanted))))
    share = -(-missing // max(1, slots))
    waves = max(1, round(share / wanted))
    size = max(-(-share // waves), min(smallest_piece(pace), ceiling))
    return min(size, ceiling)


def next_gap(free: Spans, demands: Iterable[Demand]) -> tuple[int, int] | None:
    """The unassigned span ``(start, stop)`` that a reader needs soonest, None when all is taken.

    A span is as urgent as its distance ahead of the nearest reader; what no reader will reach
    comes last, in file order.
    """
    best: tuple[int, int, int] | None = None
    wants = tuple(demands)
    for start, stop in free:
        for want in wants:
            begin = max(start, want.position)
            if begin < min(stop, want.stop):
                candidate = (begin - want.position, begin, stop)
                if best is None or candidate < best:
                    best = candidate
    if best is not None:
        return best[1], best[2]
    return free.pairs[0] if free else None


def crowd_piece(missing: int, slots: int) -> int:
    """The largest piece, in bytes, while a crowd reads a file of which ``missing`` bytes are left.

    The last two waves are equal: a last one that does not employ all connections takes as long.
    """
    share = -(-missing // max(1, slots))
    return -(-share // 2) if share >= 2 * SMALLEST_PIECE else max(1, share)


def worth_shortening(left: int, rate: float, piece: int, missing: int) -> bool:
    """Whether a flight should end after ``piece`` for a crowd; see ``ON_THE_WAY``.

    It has ``left`` bytes to go, at ``rate`` bytes/s (0 = unknown).
    """
    excess = left - piece
    saved = excess > ON_THE_WAY or excess * BEARABLE_PART <= missing
    return excess > piece // 4 and saved and left > rate * ENDS_SOON


@frozen
class Takeover:
    """Let others fetch ``[start, stop)``, which some are at.

    Those in ``trimmed`` end at ``start``, and the span is free for all who are idle; without any,
    it is a race of so many more: the first to arrive wins.
    """

    start: int
    stop: int
    trimmed: tuple[int, ...] = ()
    racers: int = 1


def takeover(flights: Sequence[Flight], pace: Pace, now: float, idle: int = 1) -> Takeover | None:
    """What ``idle`` connections should take from a busy one, or None when all will end as soon.

    Flights that end at the same byte race for one span; what counts is the best of them.
    """
    if pace.rate <= 0:
        return None
    spans: dict[int, list[Flight]] = {}
    for flight in flights:
        spans.setdefault(flight.stop, []).append(flight)
    worst: Flight | None = None
    worst_eta = 0.0
    heard = now - pace.lag
    for racers in spans.values():
        best = min(racers, key=lambda f: f.eta(heard, pace.rate, pace.latency))
        eta = best.eta(heard, pace.rate, pace.latency)
        if eta > worst_eta and len(racers) < MOST_RACERS:
            worst, worst_eta = best, eta
    worst_eta -= pace.lag
    if worst is None or worst_eta < WORTH_TAKING:
        return None
    own = worst.rate(heard, pace.rate, pace.latency)
    place = min(worst.stop, worst.position + worst.unheard(heard, own) + int(own * pace.lag))
    left = worst.stop - place
    parts = int(left - own * (pace.latency + pace.lag)) // SMALLEST_SPLIT
    helpers = max(1, min(idle, parts - 1))
    keep = _kept(left, own, pace, helpers)
    part = (left - keep) // helpers
    after = 2 * pace.latency + pace.lag + part / pace.rate
    if min(keep, part) >= SMALLEST_SPLIT and after < 0.8 * worst_eta:
        split = place + keep
        losers = tuple(f.id for f in spans[worst.stop] if f.position < split)
        return Takeover(split, worst.stop, losers)
    if 2 * pace.latency + pace.lag + left / pace.rate < 0.6 * worst_eta:
        pair = len(spans[worst.stop]) == 1 and left <= RACED_BY_TWO and idle > len(flights)
        return Takeover(worst.position, worst.stop, racers=2 if pair else 1)
    return None


def _kept(left: int, own: float, pace: Pace, helpers: int) -> int:
    """Bytes of the rest that a flight keeps so that it ends together with those who help it.

    They begin a round trip later, and each takes the same part of what it does not keep.
    """
    together = helpers * pace.rate
    return int(own * (left + together * (pace.latency + pace.lag)) / (own + together))
