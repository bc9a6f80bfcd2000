"""The site: the tree of resources, and which of them a request goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource

from aimirror.server.access import Limits
from aimirror.server.access_log import AccessHook, ignore
from aimirror.server.answers import Answer
from aimirror.server.channel import MirrorChannel
from aimirror.server.errors import error_answer
from aimirror.server.memo import Memo
from aimirror.server.request import Destinations, Handler, MirrorRequest
from aimirror.server.respond import HandlerResource, render, serve
from aimirror.server.site_base import SiteBase

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress


class Root(Resource):
    """The root: some names of their own, all else for one resource, with the path left whole."""

    def __init__(self, rest: IResource, named: Mapping[str, IResource]) -> None:
        super().__init__()
        self._rest = rest
        for name, resource in named.items():
            self.putChild(name.encode("ascii"), resource)

    def getChild(self, path: bytes, request: MirrorRequest) -> IResource:
        """Whatever has no name here."""
        return self._rest

    def unnamed(self, path: bytes) -> IResource | None:
        """The resource of a path that can have no name here, None where that has to be looked up.

        Most paths are of this kind, and walking down a tree costs more than all the rest of it.
        """
        first = path[1:].partition(b"/")[0]
        return None if first in self.children or b"%" in first else self._rest


async def refuse_forward(request: MirrorRequest) -> Answer:
    """The answer to CONNECT and to absolute-form targets where nothing serves them."""
    if request.head.method == "CONNECT":
        return error_answer(501, "no tunnels", "this mirror does not serve CONNECT")
    return error_answer(400, "no forward proxy", "ask for a path, not for an absolute URL")


class MirrorSite(SiteBase):
    """Answers HTTP/1 as ``handler`` says, and ``named`` handlers below their own first segment.

    ``forward`` answers CONNECT and absolute-form requests.  ``access`` is called once for each
    answer.  Listen on it with ``FilePort`` to have files sent by sendfile.
    """

    def __init__(
        self,
        handler: Handler,
        reactor: IReactorTime,
        *,
        named: Mapping[str, Handler] | None = None,
        forward: Handler = refuse_forward,
        limits: Limits | None = None,
        access: AccessHook = ignore,
        memo: Memo | None = None,
    ) -> None:
        children = {name: HandlerResource(each) for name, each in (named or {}).items()}
        root = Root(HandlerResource(handler), children)
        super().__init__(root, reactor, limits or Limits(), access, memo)
        self._unnamed = root.unnamed
        self._destinations = Destinations(self._here, lambda request: serve(request, forward))

    def buildProtocol(self, addr: IAddress | None) -> MirrorChannel | None:  # type: ignore[override]
        """A channel for a new connection, None (close it) when there are too many."""
        if not self.has_room(getattr(addr, "host", "unix")):
            return None
        return MirrorChannel(self, self._destinations)

    def _here(self, request: MirrorRequest) -> None:
        """Hand a request to the resource of its path."""
        rest = self._unnamed(request.path)
        if rest is None:
            request.prepath = []
            request.postpath = [unquote_to_bytes(part) for part in request.path[1:].split(b"/")]
            rest = self.getResourceFor(request)
        render(request, rest)
