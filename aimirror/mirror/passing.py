"""What is passed straight through: other methods, and answers that belong to one client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aimirror.caching import caching
from aimirror.caching.caching import Forward, Handling
from aimirror.http.conditions import Condition, evaluate
from aimirror.http.forwarding import passed_on
from aimirror.http.headers import Headers
from aimirror.http.urls import canonical
from aimirror.interfaces import ILibrary, Inquiry, IUpstreamResponse, UpstreamError
from aimirror.mirror.ecosystem import ClientRequest
from aimirror.mirror.transforms import Transforms
from aimirror.routing import digests
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.access import client
from aimirror.server.answers import Answer
from aimirror.server.errors import failure_answer
from aimirror.server.proving import HeldBack
from aimirror.server.relay import Relayed, relayed
from aimirror.upstream.responses import let_go

if TYPE_CHECKING:
    from aimirror.server.upload import RequestBody


def failure(error: UpstreamError) -> Answer:
    """What a client is told when the upstream could not be asked."""
    return failure_answer(error.reason, error.detail, error.retry_after, error.status)


def failed(body: RequestBody | None, error: UpstreamError) -> Answer:
    """The same; raises what the request's own body failed with, which is no fault of upstreams."""
    if body is not None:
        body.check()
    return failure(error)


def _digest(route: Route, response: IUpstreamResponse) -> Digest | None:
    """What a whole body must hash to, if that is known."""
    if response.status != 200 or "content-encoding" in response.headers:
        return None
    query = route.key.partition("#")[0].partition("?")[2]
    said = route.rule.digests
    return route.digest or digests.expected(said, route.path, query, response.headers)


class Passer:
    """Hands requests and answers on as they are, but for links that lead back to the mirror."""

    def __init__(
        self,
        library: ILibrary,
        transforms: Transforms,
    ) -> None:
        self._library = library
        self._transforms = transforms

    async def forward(
        self, request: ClientRequest, route: Route, headers: Headers | None = None
    ) -> Answer:
        """Any other method: straight through, both bodies streamed."""
        inquiry = Inquiry(
            rule=route.rule,
            url=route.urls[0],
            headers=passed_on(request.headers) if headers is None else headers,
            method=request.method,
            body=request.body,
            client=client(request.peer),
        )
        asked_at = self._library.now()
        try:
            response = await self._library.ask(inquiry)
        except UpstreamError as error:
            return failed(request.body, error)
        finally:
            request.waited(self._library.now() - asked_at)
        method = request.method
        for url in caching.invalidated(method, response.status, route.urls[0], response.headers):
            self._library.invalidate(canonical(url))
        return await self.pass_on(request, route, response, Forward.METHOD)

    async def pass_on(
        self, request: ClientRequest, route: Route, response: IUpstreamResponse, forward: Forward
    ) -> Answer:
        """An answer that belongs to this client alone, as it is but for its links.

        The client's own conditions are answered here where they did not travel upstream.
        """
        cache_status = caching.cache_status(Handling(forward=forward))
        headers = response.headers.with_("X-Cache", "PASS")
        headers = Headers([*headers, ("Cache-Status", cache_status)])
        mirror = request.mirror
        if "location" in headers:
            headers = self._transforms.located(route, headers, mirror)
        plain = Answer(status=response.status, headers=headers)
        change = self._transforms.change(route, plain, Headers(), mirror)
        rewrites = change is not None and bool(change.mark)
        if change is not None and rewrites:
            headers = change.headers(headers)
        if forward is not Forward.METHOD and self._settled(request, response.status, headers):
            let_go(response, bodiless=False)
            return Answer(status=response.status, headers=headers, body=b"")
        if change is None or not rewrites or request.head_only:
            digest = None if forward is Forward.METHOD else _digest(route, response)
            if digest is None or request.head_only:
                return relayed(response, headers)
            proving = HeldBack(digest)
            checked = Relayed(response, proving.feed, proving.end, same_length=True)
            return Answer(status=response.status, headers=headers, body=checked)
        rewriter = change.rewriter()
        body = Relayed(response, rewriter.feed, rewriter.end)
        return Answer(status=response.status, headers=headers, body=body)

    def _settled(self, request: ClientRequest, status: int, headers: Headers) -> bool:
        """Whether the request's conditions ask for a 304 or 412 instead of this answer."""
        validators = headers.get("etag"), headers.get("last-modified")
        verdict = evaluate(request.method, request.headers, *validators)
        return status == 200 and verdict is not Condition.PROCEED
