"""How long to wait before trying again."""

from __future__ import annotations

from aimirror.download.tasks import Reason

#: Times that the first request of an exchange is repeated, when what went wrong may pass.
#: A client waits meanwhile, so they are few.
MOST_REPEATS = 2
MAY_PASS = frozenset({Reason.RESOLVE, Reason.CONNECT, Reason.RESET, Reason.SHORT})

#: Seconds: the first wait, and the longest one.
FIRST_WAIT = 0.25
LONGEST_WAIT = 30.0


def wait_before(attempt: int, jitter: float, retry_after: float | None = None) -> float:
    """Seconds to wait before attempt number ``attempt`` (1 = the first repetition).

    Exponential, spread over the upper half by ``jitter`` in [0, 1) so that many downloads do not
    come back in step; an upstream's Retry-After is a lower bound (RFC 9110 section 10.2.3).
    """
    ceiling = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (max(1, attempt) - 1))
    wait = ceiling * (0.5 + 0.5 * jitter)
    if retry_after is None:
        return wait
    return max(wait, retry_after)
