"""How running downloads share what is limited: places, connections to a host, bytes per second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define

from aimirror.exchanges.environment import shared
from aimirror.exchanges.plain import PlainFill
from aimirror.exchanges.ranged import RangedFill
from aimirror.routing.rules import Rule

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds after which a download that uses a place yields it to one that waits.  Short enough
#: that a waiting client does not give up, long enough for connections to get up to speed.
TURN = 8.0


@define(eq=False)
class _Member:
    """One running download; ``since`` is when it got its place, None while it waits."""

    fill: PlainFill | RangedFill
    rule: Rule
    since: float | None = None


class Sharing:
    """``most`` ranged downloads use workers at a time, the others wait in line.

    Each takes its turn, so that a huge file does not hold back small ones; the probe, and so the
    start of every file, waits for nobody.  ``per_host`` bounds the connections to one host over
    all downloads, shared evenly.  ``rate_limit`` is in bytes per second, 0 without limit.
    """

    def __init__(self, clock: IReactorTime, *, most: int, per_host: int, rate_limit: int) -> None:
        self._clock = clock
        self._most = most
        self._per_host = per_host
        self._rate_limit = rate_limit
        #: In the order in which they came, or came back after their turn.
        self._line: list[_Member] = []
        self._turning: IDelayedCall | None = None

    def reconfigure(self, *, most: int, per_host: int, rate_limit: int) -> None:
        """Other limits, at once."""
        self._most = most
        self._per_host = per_host
        self._rate_limit = rate_limit
        self._rearrange()

    def enter(self, fill: PlainFill | RangedFill, rule: Rule) -> int:
        """A download begins; with how many connections."""
        entered = _Member(fill, rule)
        self._line.append(entered)
        if not isinstance(fill, RangedFill):
            return 0
        self._rearrange(but=entered)
        return self._share(entered)

    def leave(self, fill: PlainFill | RangedFill) -> None:
        """A download is over."""
        self._line = [member for member in self._line if member.fill is not fill]
        self._rearrange()

    def rate(self, rule: Rule) -> int:
        """Bytes per second for one download: its share of its rule's and of the whole limit."""
        same = sum(member.rule.name == rule.name for member in self._line)
        limits = (shared(rule.rate_limit, same), shared(self._rate_limit, len(self._line)))
        return min((limit for limit in limits if limit > 0), default=0)

    def _ranged(self) -> Iterator[tuple[_Member, RangedFill]]:
        for member in self._line:
            if isinstance(member.fill, RangedFill):
                yield member, member.fill

    def _on(self, host: str) -> int:
        """Downloads with a place that draw from a host."""
        return sum(m.since is not None and fill.host == host for m, fill in self._ranged())

    def _rearrange(self, but: _Member | None = None) -> None:
        """Give places to those in front, and to each its share."""
        now = self._clock.seconds()
        free = self._most - sum(m.since is not None for m, _ in self._ranged())
        waiting = False
        for member, fill in self._ranged():
            if member.since is None and free > 0 and self._on(fill.host) < self._per_host:
                member.since, free = now, free - 1
            waiting = waiting or member.since is None
        for member, fill in list(self._ranged()):
            if member is not but:
                fill.allowed(self._share(member))
        if waiting and self._turning is None:
            self._turning = self._clock.callLater(TURN, self._turn)
        elif not waiting and self._turning is not None:
            self._turning.cancel()
            self._turning = None

    def _turn(self) -> None:
        """Those who had a place for a turn go to the end of the line."""
        self._turning = None
        now = self._clock.seconds()
        done = [m for m, _ in self._ranged() if m.since is not None and now - m.since >= TURN]
        for member in done:
            member.since = None
            self._line.remove(member)
            self._line.append(member)
        self._rearrange()

    def _share(self, member: _Member) -> int:
        """How many connections a download may use now."""
        fill = member.fill
        if member.since is None or not isinstance(fill, RangedFill):
            return 0
        if fill.total < member.rule.min_size:
            return 1
        return max(1, min(member.rule.concurrency, self._per_host // self._on(fill.host)))
