"""How running downloads share what is limited: places, connections to a host, bytes per second."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import define

from aimirror.download.connections import useful
from aimirror.download.shares import Need, kept, shares, targets
from aimirror.exchanges.plain import PlainFill
from aimirror.exchanges.ranged import RangedFill
from aimirror.exchanges.rates import Rates
from aimirror.routing.rules import Rule
from aimirror.upstream.hosts import Hosts

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds after which a download that uses a place yields it to one that waits.  Short enough
#: that a waiting client does not give up, long enough for connections to get up to speed.
TURN = 8.0

#: Seconds after which a plain stream that nobody reads counts as left: its first reader may be on
#: the way still.
LEFT_FOR = 2.0

#: Seconds for which a download that has just begun keeps to its first request while others wait for
#: their first answers: they come together, the largest of them is to have what is free, and a
#: connection that has a piece is not given back for a while.
AMONG_MANY = 0.25

#: Who wants a download, by name or address.
Clients = Callable[[], Collection[str]]


def _nobody() -> tuple[str, ...]:
    return ()


@define(eq=False)
class _Member:
    """One running download; ``since`` is when it got its place, None while it waits."""

    fill: PlainFill | RangedFill
    rule: Rule
    begun: float
    clients: Clients = _nobody
    since: float | None = None


class Sharing:
    """``most`` ranged downloads use workers at a time, the others wait in line.

    Each takes its turn, so that a huge file does not hold back small ones; those whom nobody waits
    for any more come last, and have what the others leave.  The probe, and so the
    start of every file, waits for no place.  ``hosts`` bounds the connections to one host, which
    ``shares`` divides.
    """

    def __init__(
        self,
        clock: IReactorTime,
        hosts: Hosts,
        *,
        most: int,
        rates: Rates,
        abandoned: Callable[[str], Sequence[Callable[[], object]]] = lambda host: (),
    ) -> None:
        self._clock = clock
        self._hosts = hosts
        self._most = most
        self._rates = rates
        self._abandoned = abandoned
        #: Hosts at which something was left a moment ago.
        self._looking: set[str] = set()
        #: Many come and go in one turn of the reactor: what follows is found out once.
        self._settling: IDelayedCall | None = None
        #: Hosts whose connections are then shared anew beside those that downloads draw from.
        self._touched: set[str] = set()
        self._later: IDelayedCall | None = None
        #: In the order in which they came, or came back after their turn.
        self._line: list[_Member] = []
        self._turning: IDelayedCall | None = None
        self._ripening: IDelayedCall | None = None
        hosts.changed = self._changed
        hosts.readers_changed = self.look

    def reconfigure(self, *, most: int, per_host: int) -> None:
        """Other limits, at once."""
        self._most = most
        self._hosts.limit = per_host
        self._soon()

    def enter(self, fill: PlainFill | RangedFill, rule: Rule, clients: Clients = _nobody) -> None:
        """A download begins."""
        self._line.append(_Member(fill, rule, self._clock.seconds(), clients))
        self._rates.enter(fill, rule, fill.paced)
        if isinstance(fill, RangedFill):
            self._soon()

    def leave(self, fill: PlainFill | RangedFill) -> None:
        """A download is over."""
        self._line = [member for member in self._line if member.fill is not fill]
        self._rates.leave(fill)
        if isinstance(fill, RangedFill):
            self._touched |= fill.sources.hosts
            self._soon()
        if not self._line and self._ripening is not None:
            self._ripening.cancel()
            self._ripening = None

    def _soon(self) -> None:
        if self._settling is None:
            self._settling = self._clock.callLater(0, self._settle)

    def _settle(self) -> None:
        if self._settling is not None and self._settling.active():
            self._settling.cancel()
        self._settling = None
        looking, self._looking = self._looking, set()
        self._rearrange()
        for host in looking:
            self._cut_abandoned(host)

    def _changed(self, host: str) -> None:
        if self._settling is None:
            self.share_out(host)
        else:
            self._touched.add(host)
            self._settle()

    def _ranged(self) -> Iterator[tuple[_Member, RangedFill]]:
        for member in self._line:
            if isinstance(member.fill, RangedFill):
                yield member, member.fill

    def _on(self, host: str) -> list[tuple[_Member, RangedFill]]:
        """Downloads with a place that draw from a host."""
        held = ((m, fill) for m, fill in self._ranged() if m.since is not None)
        return [(m, fill) for m, fill in held if host in fill.sources.hosts]

    def _rearrange(self) -> None:
        """Give places to those in front, and to each its share."""
        now = self._clock.seconds()
        self._line.sort(key=lambda member: not member.clients())
        self._give_up_places()
        self._abandoned_yield()
        free = self._most - sum(m.since is not None for m, _ in self._ranged())
        waiting = False
        for member, fill in self._ranged():
            awaited = bool(member.clients())
            if member.since is None and free > 0 and self._place_at(fill.host, awaited=awaited):
                member.since, free = now, free - 1
            waiting = waiting or member.since is None
            if member.since is None:
                fill.allowed(dict.fromkeys(fill.sources.hosts, 0), 0)
        touched, self._touched = self._touched, set()
        for host in touched.union(*(fill.sources.hosts for _, fill in self._ranged())):
            self.share_out(host)
        if waiting and self._turning is None:
            self._turning = self._clock.callLater(TURN, self._turn)
        elif not waiting and self._turning is not None:
            self._turning.cancel()
            self._turning = None

    def _place_at(self, host: str, *, awaited: bool) -> bool:
        """Whether a host bears one more download, perhaps instead of one that nobody waits for."""
        placed = self._on(host)
        if len(placed) < self._hosts.most(host):
            return True
        left = [member for member, _ in placed if not member.clients()]
        if awaited and left:
            left[-1].since = None
        return awaited and bool(left)

    def _give_up_places(self) -> None:
        """At a host that bears fewer connections than there are downloads, the last ones wait."""
        for host in {fill.host for _, fill in self._ranged()}:
            for member, _ in self._on(host)[max(1, self._hosts.most(host)) :]:
                member.since = None

    def _abandoned_yield(self) -> None:
        """Those whom nobody waits for any more make room at once for those who are waited for."""
        ranged = [member for member, _ in self._ranged()]
        held = sum(member.since is not None for member in ranged)
        lacking = sum(member.since is None and bool(member.clients()) for member in ranged)
        for member in reversed(ranged):
            if held + lacking <= self._most:
                return
            if member.since is not None and not member.clients():
                member.since, held = None, held - 1

    def _cut_abandoned(self, host: str) -> None:
        """What nobody waits for any more gives way where somebody waits for a connection.

        First go pieces, which are fetched later, then requests that have brought no header, then
        plain streams, which begin again at the start.
        """
        queued = self._hosts.queued(host)
        wanting = queued + self._hosts.lacking(host)
        if not wanting:
            return
        left = [member for member in self._line if not member.clients()]
        for member in left:
            if isinstance(fill := member.fill, RangedFill):
                count = max(0, min(wanting, fill.flying(host)))
                if member.since is not None:  # its share is for what downloads lack
                    count = min(count, queued)
                    fill.allowed({host: fill.flying(host) - count}, member.rule.concurrency)
                wanting -= fill.give_way(host, count)
        plain = [m.fill for m in left if isinstance(m.fill, PlainFill) and m.fill.host == host]
        late = self._clock.seconds() - LEFT_FOR
        streams = [fill.cancel for fill in plain if fill.progress.started_at <= late]
        if queued and len(streams) < len(plain) and not self._later:
            self._later = self._clock.callLater(LEFT_FOR, self._look_later, host)
        ends = self._abandoned(host)[: max(0, wanting)]
        for end in [*ends, *streams[: max(0, queued - len(ends))]]:
            end()

    def look(self, host: str) -> None:
        """Others wait for something there, or nobody does; not at once: it still ends."""
        if len(self._line) < 2 and not self._hosts.queued(host):
            return
        self._looking.add(host)
        self._soon()

    def _look_later(self, host: str) -> None:
        self._later = None
        self.look(host)

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

    def share_out(self, host: str) -> None:
        """Divide what a host may have among the downloads that draw from it."""
        members = self._on(host)
        if len(members) > self._hosts.most(host):
            self._rearrange()
            return
        needs = [self._need(member, fill, host) for member, fill in members]
        streams = [fill.flights.streams_at(host) for _, fill in members]
        untouched = [fill.machine.assignment.untouched() for _, fill in members]
        left = kept(needs, streams, untouched, self._hosts.most(host))
        room = self._hosts.for_downloads(host, left) + sum(streams)
        young_since = self._young_since(host, members)
        given = [
            share if member.begun <= young_since else min(share, need.busy)
            for share, need, (member, _) in zip(shares(needs, room), needs, members, strict=True)
        ]
        for (member, fill), share in zip(members, given, strict=True):
            fill.allowed({host: share}, member.rule.concurrency)
        goals = targets(needs, room + self._hosts.abandoned(host))
        lacking = sum(
            goal - share
            for (_, fill), need, goal, share in zip(members, needs, goals, given, strict=True)
            if need.clients and goal > share and fill.flights.at(host) >= share
        )
        self._hosts.lacks(host, lacking)
        if lacking or self._hosts.queued(host):
            for (_, fill), need, share in zip(members, needs, given, strict=True):
                if not need.clients:
                    fill.give_way(host, max(0, fill.flying(host) - share))
        self._cut_abandoned(host)

    def _young_since(self, host: str, members: Sequence[tuple[_Member, RangedFill]]) -> float:
        """Those that have begun after that wait for others that begin; their share is theirs."""
        now = self._clock.seconds()
        if not self._hosts.starting(host):
            return now
        since = now - AMONG_MANY
        young = [member.begun for member, _ in members if member.begun > since]
        if young and self._ripening is None:
            self._ripening = self._clock.callLater(min(young) - since, self._ripe)
        return since

    def _ripe(self) -> None:
        self._ripening = None
        self._rearrange()

    def _need(self, member: _Member, fill: RangedFill, host: str) -> Need:
        most = 1
        if fill.machine.total >= member.rule.min_size:
            most = member.rule.concurrency
        left = fill.machine.assignment.missing()
        clients = tuple(sorted(member.clients()))
        return Need(left, useful(left, most), fill.flights.at(host), clients, most)
