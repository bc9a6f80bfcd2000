"""A request whose answer does not begin is sent a second time; the first answer is taken."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from aimirror.bounded import LRU
from aimirror.http import urls
from aimirror.http.egress import Outgoing
from aimirror.interfaces import IUpstream, IUpstreamResponse
from aimirror.upstream.deadlines import Deadline, Deadlines
from aimirror.upstream.hosts import Hosts

#: Seconds without a header after which a request is sent again; clients give up after 15.
HEDGE_AFTER = 4.0
#: Second requests that one host may have at a time: it may be slow, and need no more work.
MOST_HEDGED = 2
#: URLs remembered whose answers come late though they come.
MOST_LATE = 1000
#: Sent twice without harm.
_METHODS = frozenset({"GET", "HEAD"})


class Hedging:
    """Sends requests; counts, by host, those that were sent a second time."""

    def __init__(self, clock: IReactorTime, hosts: Hosts) -> None:
        self._deadlines = Deadlines(clock, HEDGE_AFTER)
        self._hosts = hosts
        self._hedged: dict[str, int] = {}
        #: URLs whose first request was answered, late, before the second: work that takes time.
        self._late: LRU[str, bool] = LRU(MOST_LATE)

    def request(
        self,
        upstream: IUpstream,
        outgoing: Outgoing,
        body: object | None = None,
        redirects: int = 0,
    ) -> Deferred[IUpstreamResponse]:
        """As ``IUpstream.request``; the second one leaves by a connection of its own.

        There is none for a URL whose answer was slow to come, and came, the last time.
        """
        known = self._late.get(outgoing.url) is not None
        if outgoing.method not in _METHODS or body is not None or known:
            return upstream.request(outgoing, body, redirects)
        host = urls.authority(outgoing.url)

        def send(again: bool) -> Deferred[IUpstreamResponse]:
            return upstream.request(outgoing.anew() if again else outgoing, None, redirects)

        def may(begins: bool) -> bool:
            count = self._hedged.get(host, 0)
            if begins and (count >= MOST_HEDGED or not self._hosts.has_room(host)):
                return False
            self._hedged[host] = count + (1 if begins else -1)
            if not self._hedged[host]:
                del self._hedged[host]
            return True

        def came_late() -> None:
            self._late.put(outgoing.url, True)

        return _Hedged(self._deadlines, send, may, came_late).run()


class _Hedged:
    """One request, and perhaps a second.

    ``may(True)`` asks whether there may be a second one, ``may(False)`` tells that it is over;
    ``came_late()`` is called where the first is answered though there was a second.
    """

    def __init__(
        self,
        deadlines: Deadlines,
        send: Callable[[bool], Deferred[IUpstreamResponse]],
        may: Callable[[bool], bool],
        came_late: Callable[[], None],
    ) -> None:
        self._came_late = came_late
        self._deadlines = deadlines
        self._send = send
        self._may = may
        self._timer: Deadline | None = None
        self._running: list[Deferred[IUpstreamResponse]] = []
        self._answer: Deferred[IUpstreamResponse] = Deferred(lambda _: self._end())

    def run(self) -> Deferred[IUpstreamResponse]:
        """Fires with the first answer; fails as the last request did that had a chance."""
        self._begin(again=False)
        if not self._answer.called:
            self._watch()
        return self._answer

    def _watch(self) -> None:
        self._timer = self._deadlines.callLater(HEDGE_AFTER, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._may(True):
            self._watch()
            return
        self._answer.addBoth(self._over)
        self._begin(again=True)

    def _over(self, result: IUpstreamResponse | Failure) -> IUpstreamResponse | Failure:
        self._may(False)
        return result

    def _begin(self, *, again: bool) -> None:
        request = self._send(again)
        self._running.append(request)
        request.addCallbacks(
            lambda response: self._answered(request, response),
            lambda failure: self._failed(request, failure),
        )

    def _answered(self, request: Deferred[IUpstreamResponse], response: IUpstreamResponse) -> None:
        if len(self._running) > 1 and request is self._running[0]:
            self._came_late()
        self._running.remove(request)
        self._end()
        self._answer.callback(response)

    def _failed(self, request: Deferred[IUpstreamResponse], failure: Failure) -> None:
        if request not in self._running:
            return  # it has lost, or nobody waits any more
        self._running.remove(request)
        if not self._running:
            self._end()
            self._answer.errback(failure)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running, self._running = self._running, []
        for request in running:
            request.cancel()
