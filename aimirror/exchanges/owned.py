"""An answer that the node which owns it has, as it is, or as it grows there."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from aimirror.caching.entries import Entry
from aimirror.exchanges.environment import Finished
from aimirror.exchanges.wrapped import WrappedResponse
from aimirror.interfaces import IUpstreamResponse, Wanted

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


class OwnersResponse(WrappedResponse):
    """The owner's stream, with the fields that the upstream gave the owner.

    So whatever goes on with it, asks for the same version.
    """

    def __init__(self, response: IUpstreamResponse, entry: Entry, url: str) -> None:
        super().__init__(response)
        self.status, self.phrase, self.headers = entry.status, "", entry.headers
        self.url, self.hops = url, ()
