"""What is said of a request whatever its path is."""

from __future__ import annotations

from aimirror.http.headers import Headers
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.server.head import Form
from aimirror.server.request import Handler, MirrorRequest

#: Names those who have passed a request on, so that it can't go round for ever (RFC 8586).
LOOP = "cdn-loop"
_METHODS = Headers([("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")])


def at_the_door(handler: Handler, name: str) -> Handler:
    """``handler``, but for requests that no path can answer; ``name`` is ours in CDN-Loop.

    A rule whose upstream leads back here would ask itself for ever.  TRACE would show what
    proxies in between have added (RFC 9110 section 9.3.8).
    """

    async def handle(request: MirrorRequest) -> Answer | None:
        head = request.head
        if LOOP in request.headers and name in passed_by(request.headers):
            return error_answer(508, "loop", "an upstream of this mirror leads back to it")
        if "service-worker" in request.headers and not request.proxied:
            return error_answer(403, "service worker", "no script here may answer for others")
        if head.method == "TRACE":
            return error_answer(405, "method", "TRACE is not served", headers=_METHODS)
        if head.form is Form.ASTERISK:
            return Answer(status=204, headers=_METHODS)
        return await handler(request)

    return handle


def own_words(handler: Handler) -> Handler:
    """A handler whose answers are the mirror's own, nobody else's that have to be confined."""

    async def answer(request: MirrorRequest) -> Answer | None:
        request.mirrored = False
        return await handler(request)

    return answer


def passed_by(request: Headers) -> tuple[str, ...]:
    """Who has passed a request on already, parameters left out."""
    return tuple(each.partition(";")[0].strip() for each in request.tokens(LOOP))
