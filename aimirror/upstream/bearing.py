"""How many connections one host bears, as far as it has shown by refusing some."""

from __future__ import annotations

from attrs import define

#: Seconds for which a host is remembered to bear few connections, and between two attempts
#: whether it bears one more by now.
REMEMBERED = 600.0
REGAIN_EVERY = 30.0
#: Refusals in a row from which something is learned.
REFUSALS = 2


@define
class Bearing:
    """What is known of one host; ``now`` is in seconds."""

    #: Connections that it has shown to bear, None while it refused none; since when.
    borne: int | None = None
    #: Refusals since a connection brought something.
    unaccepted: int = 0
    _refused_at: float = 0.0
    _raised_at: float = 0.0
    #: Whether only its silence says so.
    _by_silence: bool = False

    def most(self, limit: int, now: float) -> int:
        """Connections that it may have: the limit, or what it bears if that is less."""
        if self.borne is None:
            return limit
        if now - self._refused_at >= REMEMBERED:
            self.borne = None
            return limit
        while now - self._raised_at >= REGAIN_EVERY:
            self._raised_at += REGAIN_EVERY
            self.borne += 1
        return min(limit, self.borne)

    def refused(self, busy: int, working: int, limit: int, now: float) -> bool:
        """It refused one of ``busy`` connections; whether that says how many it bears.

        One refusal may be an accident; the next ones without an accepted one between are not.
        """
        self.unaccepted += 1
        if self.unaccepted < REFUSALS or not working:
            return False
        self._learn(max(1, min(busy, self.most(limit, now) - 1)), now)
        return True

    def answers_nobody(self, idle: int, now: float) -> None:
        """It leaves all unanswered, beside ``idle`` ones that it answered before."""
        self.unaccepted += 1
        self._learn(max(1, idle), now)

    def silent(self, accepted: int, now: float) -> None:
        """It leaves new connections unanswered beside so many that it has answered."""
        self._learn(accepted, now, by_silence=True)

    def slow(self) -> bool:
        """Its silence says nothing; whether anything was made of it."""
        mistaken, self._by_silence = self._by_silence, False
        if mistaken:
            self.borne = None
        return mistaken

    def _learn(self, borne: int, now: float, *, by_silence: bool = False) -> None:
        self.borne, self._by_silence = borne, by_silence
        self._refused_at = self._raised_at = now
