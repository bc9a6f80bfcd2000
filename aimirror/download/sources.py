"""The places that one download draws from: how many connections each bears, and when it is lost."""

from __future__ import annotations

from attrs import define

from aimirror.download.backoff import wait_before

#: Failures in a row, without a byte of progress, after which a source is given up; fewer when
#: another source can take over.
MOST_STRIKES = 6
MOST_STRIKES_BESIDE_OTHERS = 2
#: Seconds: an upstream that asks us to wait longer than this has refused.
LONGEST_RETRY_AFTER = 120.0
#: Rounds of refusals without a byte of progress, while other connections to the host are at work,
#: after which they count as failures; and rounds after which a refused address counts as expired.
MOST_ROUNDS = 12
ROUNDS_BEFORE_EXPIRED = 2
#: Connections regained with each finished piece after the upstream had refused some.
REGAIN = 0.25


@define
class Source:
    """One place to fetch from; times in seconds, rates in bytes per second."""

    strikes: int = 0
    #: Rounds of refusals beside working connections; those since a connection was accepted.
    rounds: int = 0
    unaccepted: int = 0
    resolving: bool = False
    alive: bool = True
    #: Of a usual connection, 0 while unknown.
    rate: float = 0.0
    #: Connections that it has shown to bear, None while it refused none.
    borne: float | None = None
    paused_until: float = 0.0
    #: Connections that this download may have to its host, None without a limit.
    granted: int | None = None

    def takes(self, busy: int, now: float) -> bool:
        """Whether one more connection beside ``busy`` ones may be tried."""
        if not self.alive or self.resolving or now < self.paused_until:
            return False
        if self.granted is not None and busy >= self.granted:
            return False
        return self.borne is None or busy < max(1, int(self.borne))

    def measured(self, rate: float) -> None:
        """A whole piece came at this rate."""
        self.rate = 0.7 * self.rate + 0.3 * rate if self.rate else rate

    def accepted(self) -> None:
        """One more connection brought its first bytes."""
        self.unaccepted = 0

    def progressed(self) -> None:
        """Some bytes came."""
        self.strikes = self.rounds = 0

    def finished(self) -> None:
        """A piece came well: perhaps it bears more connections again."""
        if self.borne is not None:
            self.borne += REGAIN

    def refused(
        self, beside: int, busy: bool, retry_after: float | None, jitter: float, now: float
    ) -> None:
        """A connection failed beside others that are at work; ``busy``: the upstream said so.

        While others work, it only says that they are too many; the last one to fail, and one that
        fails again and again, counts against the source.
        """
        if now >= self.paused_until:
            self.rounds += 1
            self.unaccepted += 1
        if beside and self.rounds <= MOST_ROUNDS:
            self.borne = max(1.0, beside / 2 if busy else beside)
        else:
            self.borne = 1.0
            self.strikes += 1
        wait = wait_before(max(self.strikes, self.rounds), jitter, retry_after)
        self.paused_until = max(self.paused_until, now + wait)

    def hopeless(self, alone: bool, beside: int, retry_after: float | None) -> bool:
        """Whether it is to be given up after such a failure."""
        most = MOST_STRIKES if alone else MOST_STRIKES_BESIDE_OTHERS
        too_long = (retry_after or 0.0) > LONGEST_RETRY_AFTER and not beside
        return self.strikes >= most or too_long
