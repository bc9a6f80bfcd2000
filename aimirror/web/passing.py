"""What is passed straight through: other methods, and answers that belong to one client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aimirror.core import caching
from aimirror.core.caching import Forward, Handling
from aimirror.core.fetching import Outgoing
from aimirror.core.forwarding import passed_on
from aimirror.core.headers import Headers
from aimirror.core.rewriting import Rewriter
from aimirror.core.rules import Route
from aimirror.core.urls import canonical
from aimirror.downloads.tools import Tools
from aimirror.interfaces import IUpstreamResponse, UpstreamError
from aimirror.web.answers import Answer
from aimirror.web.errors import failure_answer
from aimirror.web.relay import relay
from aimirror.web.transforms import Transforms

if TYPE_CHECKING:
    from aimirror.web.memo import Memo
    from aimirror.web.request import MirrorRequest


def failure(error: UpstreamError) -> Answer:
    """What a client is told when the upstream could not be asked."""
    return failure_answer(error.reason, error.detail)


class Passer:
    """Hands requests and answers on as they are, but for links that lead back to the mirror."""

    def __init__(
        self,
        tools: Tools,
        transforms: Transforms,
        memo: Memo,
        mirror_url: Callable[[MirrorRequest], str],
    ) -> None:
        self._tools = tools
        self._transforms = transforms
        self._memo = memo
        self._mirror_url = mirror_url

    async def forward(
        self, request: MirrorRequest, found: Route, headers: Headers | None = None
    ) -> Answer | None:
        """Any other method: straight through, both bodies streamed."""
        outgoing = Outgoing(
            request.head.method,
            found.urls[0],
            passed_on(request.headers) if headers is None else headers,
            self._tools.egress(found.rule),
            self._tools.timeouts,
        )
        asked_at = self._tools.clock.seconds()
        try:
            response = await self._tools.upstream.request(outgoing, request.body)
        except UpstreamError as error:
            return failure(error)
        finally:
            request.waited += self._tools.clock.seconds() - asked_at
        method = request.head.method
        for url in caching.invalidated(method, response.status, found.urls[0], response.headers):
            if self._tools.store.invalidate(canonical(url)):
                self._memo.invalidate()
        return await self.pass_on(request, found, response, Forward.METHOD)

    async def pass_on(
        self, request: MirrorRequest, found: Route, response: IUpstreamResponse, forward: Forward
    ) -> Answer | None:
        """An answer that belongs to this client alone, as it is but for its links."""
        told = caching.cache_status(Handling(forward=forward))
        headers = response.headers.with_("X-Cache", "PASS")
        headers = Headers([*headers, ("Cache-Status", told)])
        if "location" in headers:
            headers = self._located(request, headers)
        plain = Answer(status=response.status, headers=headers)
        mirror = self._mirror_url(request)
        change = self._transforms.change(found, plain, Headers(), mirror)
        if change is None or not change.mark or request.head.method == "HEAD":
            await relay(request, response, headers)
            return None
        rewriter = Rewriter(change.links, change.root_relative)
        changed = change.headers(headers, compressible=False)
        await relay(request, response, changed, rewriter.feed, rewriter.end)
        return None

    def _located(self, request: MirrorRequest, headers: Headers) -> Headers:
        """Redirects that are the client's to follow lead back to the mirror, if it came to it."""
        mirror = self._mirror_url(request)
        if not mirror:
            return headers
        links = self._transforms.links_to(mirror)
        values = (
            Rewriter(links).rewrite(v.encode("latin-1")).decode("latin-1")
            for v in headers.get_all("location")
        )
        return headers.with_("Location", *values)
