"""Which answers turned out to belong to one client each, so that nobody need wait for another."""

from __future__ import annotations

from aimirror.bounded import LRU

#: Seconds for which that is believed: a page may become one for all.
BELIEVED_FOR = 60.0
#: Keys that are remembered.
MOST_KEYS = 10_000


class Unshared:
    """Remembers (key, scope) pairs whose last answer might not be stored.

    Requests for such a page that come together would all wait for the first one's header, only
    to be sent one by one after it; they go at once instead.
    """

    def __init__(self) -> None:
        self._until: LRU[tuple[str, str], float] = LRU(MOST_KEYS)

    def note(self, key: str, scope: str, now: float) -> None:
        """An answer was for one client alone; ``now`` is in seconds."""
        self._until.put((key, scope), now + BELIEVED_FOR)

    def forget(self, key: str, scope: str) -> None:
        """An answer may be shared."""
        self._until.pop((key, scope))

    def expected(self, key: str, scope: str, now: float) -> bool:
        """Whether the next answer is likely to be for one client alone."""
        return (self._until.peek((key, scope)) or now) > now
