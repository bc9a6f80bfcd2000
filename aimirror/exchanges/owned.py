"""An answer that the node which owns it has, as it is, or as it grows there."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve
from zope.interface import implementer

from aimirror.caching.entries import Entry
from aimirror.exchanges.environment import Finished
from aimirror.http.egress import Reach, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop, IReceiver, IUpstreamResponse, Wanted

#: Whence it comes, in X-Cache and Cache-Status.
PEER = "peer"


def as_ours(entry: Entry, wanted: Wanted) -> Entry:
    """Another node's entry as this node's."""
    route = wanted.route
    immutable = route.immutable and entry.status == 200
    return evolve(entry, rule=route.rule.name, immutable=immutable, pinned=False)


def passed_on(then: Callable[[Finished], None], finished: Finished) -> None:
    """The end of such a download: its owner keeps it, and sends it to the tier, if anybody."""
    then(evolve(finished, shared=True, lent=True))


@implementer(IUpstreamResponse)
class OwnersResponse:
    """The owner's stream, with the fields that the upstream gave the owner.

    So whatever goes on with it, asks for the same version.
    """

    phrase = ""
    hops: tuple[Hop, ...] = ()

    def __init__(self, response: IUpstreamResponse, entry: Entry, url: str) -> None:
        self._response = response
        self.status = entry.status
        self.headers: Headers = entry.headers
        self.url = url
        self.length: int | None = response.length
        self.reach: Reach = response.reach
        self.zone: Zone = response.zone
        self.framed: bool = response.framed

    def deliver(self, receiver: IReceiver) -> None:
        """See IUpstreamResponse."""
        self._response.deliver(receiver)

    def gather(self, left: int) -> None:
        """See IUpstreamResponse."""
        self._response.gather(left)

    def pause(self) -> None:
        """See IUpstreamResponse."""
        self._response.pause()

    def resume(self) -> None:
        """See IUpstreamResponse."""
        self._response.resume()

    def abort(self) -> None:
        """See IUpstreamResponse."""
        self._response.abort()
