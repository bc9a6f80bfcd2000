"""What is counted as it happens: answers, ends of downloads, what upstreams say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.http import urls
from aimirror.interfaces import IUpstream, IUpstreamResponse
from aimirror.server.access_log import AccessHook, AccessRecord
from aimirror.server.tally import Tally

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.exchanges.environment import Finished, Progress
    from aimirror.exchanges.running import Downloads
    from aimirror.http.egress import Outgoing

#: Statuses that say that something is wrong there, or too much is asked.
_ILL = frozenset({429, *range(500, 600)})
#: Ends of downloads that say nothing of the upstream.
_NOT_UPSTREAMS = frozenset(
    {
        *(Reason.DONE, Reason.CANCELLED, Reason.CHANGED, Reason.WHOLE),
        *(Reason.DISK, Reason.DISK_FULL, Reason.WORKER_LOST),
    }
)
#: Letters of a reason that are kept.
MOST_WHY = 300


def counted(tally: Tally, log: AccessHook) -> AccessHook:
    """A hook that counts each answer, and logs it."""

    def count(exchange: AccessRecord, peer: str, sent: int, seconds: float) -> None:
        tally.answered(exchange.rule, exchange.outcome, exchange.status, sent, exchange.first)
        log(exchange, peer, sent, seconds)

    return count


def ended(tally: Tally, seconds: Callable[[], float]) -> Callable[[Progress, Finished], None]:
    """What ``Downloads`` calls at the end of each body."""

    def end(progress: Progress, finished: Finished) -> None:
        took = seconds() - progress.started_at
        reason = "mismatch" if finished.mismatch else finished.reason.value
        tally.downloaded(progress.rule, reason, progress.written, took, finished.mismatch)
        if finished.mismatch or finished.reason not in _NOT_UPSTREAMS:
            why = f"{reason}: {finished.detail}" if finished.detail else reason
            tally.upstreams.at(host_label(progress.key)).trouble(why[:MOST_WHY], seconds())

    return end


@implementer(IUpstream)
class CountedUpstream:
    """An upstream whose answers and failures are counted by host."""

    def __init__(self, upstream: IUpstream, tally: Tally, clock: IReactorTime) -> None:
        self._upstream = upstream
        self._tally = tally
        self._clock = clock

    def request(
        self, outgoing: Outgoing, body: object | None = None, redirects: int = 0
    ) -> Deferred[IUpstreamResponse]:
        """See IUpstream."""
        row = self._tally.upstreams.at(host_label(outgoing.url))
        began = self._clock.seconds()

        def answered(response: IUpstreamResponse) -> IUpstreamResponse:
            now = self._clock.seconds()
            row.answered += 1
            row.header.add(now - began)
            if response.status in _ILL:
                row.trouble(f"it answers with status {response.status}", now)
            else:
                row.well_at = now
            return response

        def failed(failure: Failure) -> Failure:
            if failure.check(CancelledError) is None:  # nobody wants it any more
                row.failed += 1
                row.trouble(str(failure.value)[:MOST_WHY], self._clock.seconds())
            return failure

        return self._upstream.request(outgoing, body, redirects).addCallbacks(answered, failed)


def host_label(url: str) -> str:
    """What an upstream is called wherever it is counted: its host, with a port that is unusual."""
    return urls.authority(url).rpartition("@")[2]


def shunned_hosts(downloads: Downloads, now: float) -> dict[str, float]:
    """The upstreams that are asked last, and for how many seconds."""
    hosts: dict[str, float] = {}
    for origin, left in downloads.health.shunned(now).items():
        host = host_label(origin)
        hosts[host] = max(left, hosts.get(host, 0.0))
    return hosts
