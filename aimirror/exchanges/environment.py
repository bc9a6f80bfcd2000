"""What every exchange works with, and the words in which its end is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred

from aimirror.caching.entries import Entry
from aimirror.download.hours import Hours
from aimirror.download.tasks import Reason
from aimirror.exchanges.hedging import Hedging
from aimirror.http.egress import Egress, Timeouts
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator
from aimirror.interfaces import IPool, IUpstream
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Rule

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.cluster.peers import Peers
    from aimirror.exchanges.stream import ToThread
    from aimirror.store.store import Store
    from aimirror.tier.tier import Tier
    from aimirror.upstream.hosts import Hosts

#: Bytes of a body that is gathered: most packages of npm, and what an upstream sends at once.
SMALL = 64 << 10


@frozen(kw_only=True)
class Environment:
    """The disk, the workers, the network and the clock; ``clock.seconds()`` is epoch time."""

    store: Store
    pool: IPool
    upstream: IUpstream
    clock: IReactorTime
    #: Counts the connections to each host.
    hosts: Hosts
    #: Sends what is answered by nothing a second time.
    hedging: Hedging = field(
        default=Factory(lambda self: Hedging(self.clock, self.hosts), takes_self=True)
    )
    to_thread: ToThread
    #: See ``ILibrary.apart``.
    apart: Callable[..., Deferred[bytes]]
    #: Numbers in [0, 1) to spread back-offs.
    jitter: Callable[[], float]
    #: How requests of a rule leave.
    egress: Callable[[Rule], Egress]
    timeouts: Timeouts = Timeouts()
    #: Bytes per second over all downloads, 0 = unlimited.
    rate_limit: int = 0
    #: What takes its place at some times of the day.
    rate_hours: tuple[Hours, ...] = ()
    #: Redirects followed inside one request.
    redirects: int = 10
    #: Bytes of bodies that are gathered in memory and stored in one go.
    small: int = SMALL
    #: Whether a download goes on when its last reader has left.
    finish_abandoned: bool = True
    #: What the nodes of a cluster share.
    tier: Tier | None = None
    peers: Peers | None = None


@define
class Progress:
    """Numbers of one running download, for status pages."""

    key: str
    rule: str
    started_at: float
    total: int | None = None
    written: int = 0


@frozen
class Finished:
    """How a fill ended: ``entry`` is set when it is stored."""

    entry: Entry | None = None
    reason: Reason = Reason.DONE
    detail: str = ""
    #: The bytes were whole and did not hash to what they should.
    mismatch: bool = False
    #: They came from the tier, and need not go there.
    shared: bool = False
    #: Whether another node owns it, and so will keep it longer.
    lent: bool = False
    #: What was stored in one go, without a fill.
    at_once: Progress | None = None


@frozen
class Place:
    """Where pieces of one source come from: the URL after redirects and how to ask it."""

    url: str = field(repr=False)
    headers: Headers = field(repr=False)
    egress: Egress
    validator: Validator


def shared(limit: int, among: int) -> int:
    """One share of a rate limit in bytes per second; 0 is no limit, and no share is as little."""
    return max(1, limit // max(1, among)) if limit > 0 else 0


def algorithms(expected: Digest | None) -> tuple[str, ...]:
    """The digests to compute: sha256 names the blob, and the expected one proves it."""
    if expected is None or expected.algorithm == "sha256":
        return ("sha256",)
    return ("sha256", expected.algorithm)
