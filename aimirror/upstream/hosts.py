"""Every connection to an upstream host, of every process, counted in one place.

A *permit* stands for one connection at work: a stream that the service reads itself, or a piece
in a worker.  A *spare* is an idle one that some process keeps.  Together they are never more than
``limit`` for one host; a spare is closed where a new connection is wanted elsewhere.  How many a
host bears, ``bearing`` says; what its silence means, ``silence``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.host import Host, Permit, Spare, somebody
from aimirror.upstream.line import Clients
from aimirror.upstream.silence import Silence

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Hosts of which something is remembered.
MOST_HOSTS = 4096
#: The limit that is none.
UNLIMITED = sys.maxsize

log = Logger()


class Hosts:
    """The ledger; ``changed(host)`` is called when a download may have more or fewer there.

    ``readers_changed(host)`` is for those who know that somebody has begun or ceased to wait for
    something there.
    """

    def __init__(self, clock: IReactorTime, limit: int) -> None:
        self._clock = clock
        self._hosts: dict[str, Host] = {}
        #: Hosts at which something became free, to be looked at in a moment.
        self._freed: set[str] = set()
        self.limit = limit
        self.changed: Callable[[str], None] = lambda host: None
        self.readers_changed: Callable[[str], None] = lambda host: None

    def queued(self, host: str) -> int:
        """Requests that wait for a connection to it, and that somebody waits for."""
        known = self._hosts.get(host)
        return 0 if known is None else known.waiting.awaited

    def lacks(self, host: str, count: int) -> None:
        """Downloads that somebody waits for lack so many connections; others wait for that."""
        known = self._host(host)
        known.lacking, before = count, known.lacking
        if before and not count:
            self._look(host, known)

    def lacking(self, host: str) -> int:
        """How many they lack."""
        known = self._hosts.get(host)
        return 0 if known is None else known.lacking

    def abandoned(self, host: str) -> int:
        """Streams that nobody waits for any more."""
        known = self._hosts.get(host)
        return 0 if known is None else known.waiting.abandoned

    def at_work(self, host: str, clients: Clients) -> bool:
        """Whether one of its connections was admitted for these."""
        known = self._hosts.get(host)
        return known is not None and known.waiting.at_work(clients)

    # -- how many --------------------------------------------------------------------------

    def most(self, host: str) -> int:
        """Connections that it may have: the limit, or what it bears if that is less."""
        known = self._hosts.get(host)
        if known is None:
            return self.limit
        return known.bearing.most(self.limit, self._clock.seconds())

    def connections(self, host: str) -> int:
        """All that it has now, idle ones included."""
        known = self._hosts.get(host)
        return 0 if known is None else known.busy + len(known.spares)

    def for_downloads(self, host: str, downloads: int) -> int:
        """Connections that ``downloads`` may share: what streams leave, or have to leave."""
        known, most = self._host(host), self.most(host)
        known.downloads = downloads
        rest = most - known.streams
        return max(0, min(rest, max(rest - known.waiting.awaited, _reserve(downloads, most))))

    def working(self, host: str) -> int:
        """Connections that bring something."""
        known = self._hosts.get(host)
        return 0 if known is None else known.working

    def starting(self, host: str) -> int:
        """Requests of which nothing is known yet: sent without an answer, or still in line."""
        known = self._hosts.get(host)
        return 0 if known is None else known.streams - known.answered + known.waiting.awaited

    def has_room(self, host: str) -> bool:
        """Whether one more stream would not wait for its turn."""
        known = self._hosts.get(host)
        return known is None or (not known.waiting and self._has_room(host, known))

    def shared(self, host: str) -> bool:
        """Whether others are at work there beside one that was just answered."""
        known = self._hosts.get(host)
        return known is not None and (known.busy > 1 or known.working > 0)

    def limited(self, host: str) -> bool:
        """Whether it has shown to bear fewer than the limit."""
        return self.most(host) < self.limit

    def suspected(self, host: str) -> bool:
        """Whether it has refused a connection since it accepted one."""
        known = self._hosts.get(host)
        return known is not None and known.bearing.unaccepted > 0

    def refused(self, host: str, *, alone: bool = False) -> None:
        """It refused a connection while others worked: perhaps that many are too many for it.

        ``alone``: it answers to nobody beside those that are idle, so that no more may be tried.
        """
        known, now = self._host(host), self._clock.seconds()
        before = known.bearing.borne
        if alone and not known.working:
            known.bearing.answers_nobody(len(known.spares), now)
        elif not known.bearing.refused(known.busy, known.working, self.limit, now):
            return
        self._learned(host, known, before)

    def _learned(self, host: str, known: Host, before: int | None) -> None:
        if known.bearing.borne != before:
            log.info("{host} bears {borne} connections", host=host, borne=known.bearing.borne)
        self._look(host, known)

    # -- silence ---------------------------------------------------------------------------

    def _watch(self, host: str, known: Host) -> None:
        """Look at what is unanswered when it is time to, as long as there is any."""
        wait = known.silence.wait() if self.limit < UNLIMITED else None
        if wait is None and known.looking is not None:
            known.looking.cancel()
            known.looking = None
        elif wait is not None and known.looking is None:
            known.looking = self._clock.callLater(wait, self._judge_silence, host, known)

    def _judge_silence(self, host: str, known: Host) -> None:
        known.looking = None
        verdict = known.silence.judge(known.accepted, self.limited(host))
        before = known.bearing.borne
        if verdict is not None and verdict.borne is not None:
            known.bearing.silent(verdict.borne, self._clock.seconds())
            self._learned(host, known, before)
            self.changed(host)  # what ends now is not to be tried again beside the others
            for pending in verdict.over:
                pending.end()
        elif verdict is not None and known.bearing.slow():
            self._learned(host, known, before)
        self._watch(host, known)

    # -- at work ---------------------------------------------------------------------------

    async def admit(self, host: str, seconds: float, clients: Clients = somebody) -> Permit:
        """Wait for one more connection, for these clients.  Cancelling leaves the queue.

        Raises UpstreamError when ``seconds`` have passed without one.
        """
        known = self._host(host)
        if known.waiting or not self._has_room(host, known):
            await self._queue(host, known, seconds, clients)
        else:
            known.streams += 1
        return self._permit(host, known, clients)

    def count(self, host: str, clients: Clients = somebody) -> Permit:
        """One more stream, whether there is room or not."""
        known = self._host(host)
        known.streams += 1
        return self._permit(host, known, clients)

    def take(self, host: str) -> Permit:
        """One for a piece: ``for_downloads`` has said that there is room."""
        known = self._host(host)
        known.pieces += 1
        return self._permitted(host, known, lambda: None, stream=False)

    def _permit(self, host: str, known: Host, clients: Clients) -> Permit:
        return self._permitted(host, known, known.waiting.begins(clients), stream=True)

    def _permitted(
        self, host: str, known: Host, ends: Callable[[], None], *, stream: bool
    ) -> Permit:
        def released() -> None:
            ends()
            self._watch(host, known)
            self._look(host, known)

        permit = Permit(known, released, stream, known.silence.begins())
        self._watch(host, known)
        return permit

    async def _queue(self, host: str, known: Host, seconds: float, clients: Clients) -> None:
        """Wait; whoever makes room counts the stream."""
        place, refused = known.waiting.join(clients)
        late = UpstreamError(Reason.CONNECT, f"{host}: no connection became free")
        place.turn.addTimeout(seconds, self._clock, lambda _result, _seconds: Failure(late))
        if refused is not None:
            many = UpstreamError(Reason.CONNECT, f"too many requests wait for {host}")
            refused.turn.errback(many)
        self._look(host, known)
        try:
            await place.turn
        finally:
            if known.waiting.leave(place):
                self._look(host, known)

    def _tell_watching(self, known: Host) -> None:
        if known.ended:
            watching, known.watching, known.ended = known.watching, [], False
            for freed in watching:
                if not freed.called:
                    freed.callback(None)

    def freed(self, host: str, seconds: float) -> Deferred[None]:
        """Fires when a connection that brought something has ended, or after so many seconds."""
        known = self._host(host)
        known.ended = False
        freed: Deferred[None] = Deferred()
        freed.addTimeout(seconds, self._clock, lambda _result, _seconds: None)
        known.watching.append(freed)
        return freed

    def _has_room(self, host: str, known: Host) -> bool:
        most = self.limit if known.bearing.borne is None else self.most(host)
        if known.downloads and known.streams >= most - _reserve(known.downloads, most):
            return False
        return known.streams + known.pieces < most

    def _may_begin(self, known: Host) -> bool:
        return bool(known.waiting) and (not known.lacking or known.waiting.awaited > 0)

    def _look(self, host: str, known: Host) -> None:
        """Not at once: who gives a connection back is still at it."""
        if known.waiting or known.downloads or known.watching or known.opening:
            if not self._freed:
                self._clock.callLater(0, self._turn)
            self._freed.add(host)

    def _turn(self) -> None:
        hosts, self._freed = self._freed, set()
        for host in hosts:
            known = self._host(host)
            self._tell_watching(known)
            _tell_opening(known)
            while self._may_begin(known) and self._has_room(host, known):
                known.streams += 1
                known.waiting.next().turn.callback(None)
            if known.downloads or known.waiting:
                self.changed(host)

    # -- idle ------------------------------------------------------------------------------

    def keep(self, host: str, close: Callable[[], Deferred[None]]) -> Spare:
        """A connection is idle now."""
        spares = self._host(host).spares
        spare = Spare(close, lambda spare: spares.pop(spare, None) and None)
        spares[spare] = None
        return spare

    async def make_room(self, host: str) -> None:
        """Wait until one more connection can be opened, for which a permit is held already.

        Idle ones are closed for it, the oldest first; pieces that were dropped take a moment.
        """
        known = self._host(host)
        known.unopened += 1
        try:
            while known.open >= self.most(host):
                if known.spares and known.open - known.closing >= self.most(host):
                    self._close_one(known)
                    continue
                gone: Deferred[None] = Deferred(known.opening.remove)
                known.opening.append(gone)
                await gone
        finally:
            known.unopened -= 1

    def _close_one(self, known: Host) -> None:
        """Close the oldest idle one; it counts until it is gone, whoever waits for that."""
        spare = next(iter(known.spares))
        del known.spares[spare]
        known.closing += 1

        def closed(_: object) -> None:
            known.closing -= 1
            _tell_opening(known)

        spare.close().addBoth(closed)

    def _host(self, name: str) -> Host:
        known = self._hosts.get(name)
        if known is None:
            known = self._hosts[name] = Host(Silence(self._clock.seconds))
            if len(self._hosts) > MOST_HOSTS:
                self._forget_one()
        return known

    def _forget_one(self) -> None:
        """The oldest of those at which nothing goes on."""
        oldest = next((name for name, known in self._hosts.items() if known.idle), None)
        if oldest is not None:
            del self._hosts[oldest]


def _tell_opening(known: Host) -> None:
    """A connection is gone, for which others wait to open theirs."""
    opening, known.opening = known.opening, []
    for gone in opening:
        gone.callback(None)


def _reserve(downloads: int, most: int) -> int:
    """What streams leave to downloads: a third is theirs, whatever those want."""
    return min(downloads, most - -(-most // 3))
