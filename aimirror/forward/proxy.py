"""The forward proxy: requests of clients that set HTTP_PROXY or HTTPS_PROXY.

A URL that a rule serves is answered as at the rule's own path, from the same cache entries; any
other that policy allows is passed through.  CONNECT opens a tunnel, or, where TLS is to be ended
here, makes the connection one to the host's origin: its requests then go the same two ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.internet.defer import Deferred

from aimirror.bounded import LRU
from aimirror.download.tasks import Reason
from aimirror.forward.policy import Denied, ForwardPolicy
from aimirror.forward.routes import place
from aimirror.forward.tunnel import End, EndFactory, is_own_port, open_tunnel
from aimirror.http import urls
from aimirror.http.egress import Egress, Outgoing, Reach, Timeouts
from aimirror.http.forwarding import passed_on
from aimirror.http.headers import Headers
from aimirror.http.targets import BadTarget, Target, parse_target
from aimirror.interfaces import IUpstream, UpstreamError
from aimirror.mirror.passing import failed
from aimirror.routing.rules import Refused
from aimirror.server.access import client
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.server.fair_queue import TooBusy
from aimirror.server.head import Form
from aimirror.server.relay import relay
from aimirror.server.users import Users

if TYPE_CHECKING:
    from aimirror.forward.intercept import Interceptor
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.request import MirrorRequest
    from aimirror.upstream.agent import Agents

_PORT = re.compile(r":[0-9]+\Z")
#: Hosts to which upstreams have redirected that are remembered.
MAX_SEEN = 256
#: Names of this machine in URLs.
_HERE = ("localhost", "127.0.0.1", "::1")
_CHALLENGE = (("Proxy-Authenticate", 'Basic realm="aimirror", charset="UTF-8"'),)
#: RFC 9110 section 7.6.3.
_VIA = ("Via", "1.1 aimirror")


class Seen:
    """The hosts to which upstreams of rules have redirected, the last ones."""

    def __init__(self) -> None:
        self._hosts: LRU[str, str] = LRU(MAX_SEEN)

    def note(self, url: str) -> None:
        """An upstream has redirected to ``url``."""
        try:
            host = urls.host(url)
        except ValueError:
            return
        self._hosts.put(host, host)

    @property
    def hosts(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self._hosts)


@frozen(kw_only=True)
class Forward:
    """Answers what the site hands to its forward hook."""

    mirror: Mirror
    #: For what no rule serves.
    upstream: IUpstream
    agents: Agents
    policy: ForwardPolicy
    #: How streams and requests leave, to addresses within a reach.
    egress: Callable[[Reach], Egress]
    timeouts: Timeouts
    #: Authorities (host, port) by which clients name the mirror, beside addresses of its own.
    own: frozenset[tuple[str, int]] = frozenset()
    seen: Seen = field(factory=Seen)
    users: Users | None = None
    interceptor: Interceptor | None = None
    #: Seconds after which a tunnel without a byte is closed.
    idle: float = 600.0

    async def handle(self, request: MirrorRequest) -> Answer | None:
        """Answer one request; None when it was answered or handed on."""
        origin = request.channel.origin
        if origin:
            return await self._intercepted(request, origin)
        if request.head.form is Form.ABSOLUTE:
            try:
                target = parse_target(request.head.target)
            except BadTarget as bad:
                return error_answer(400, "bad URL", str(bad))
            if self._is_own(request, target):
                request.become(target.path)
                request.destinations.here(request)
                return None
        if self.users is not None:
            try:
                known = await self.users.admits(
                    request.headers.get("proxy-authorization"), client(request.peer)
                )
            except TooBusy:
                return error_answer(503, "too many logins at once", retry_after=1)
            if not known:
                _challenge(request)
                return None
        if request.head.form is Form.AUTHORITY:
            return await self._connect(request)
        return await self._fetch(request, target)

    def _is_own(self, request: MirrorRequest, target: Target) -> bool:
        """Whether a URL names the mirror itself."""
        here = request.getHost()
        port = getattr(here, "port", None)
        if (target.host, target.port) in self.own:
            return True
        return target.port == port and target.host in (getattr(here, "host", ""), *_HERE)

    # -- requests

    async def _intercepted(self, request: MirrorRequest, origin: str) -> Answer | None:
        """A request inside a connection that stands for one origin; all must be for that."""
        host = request.headers.get("host") or ""
        try:
            if request.head.form is Form.ABSOLUTE:
                target = parse_target(request.head.target)
            elif request.head.form is Form.ORIGIN:
                target = parse_target(origin + request.head.target)
            else:
                return error_answer(400, "bad target", "ask for a path of this host")
            named = parse_target(f"https://{host}/") if host else target
        except BadTarget as bad:
            return error_answer(400, "bad URL", str(bad))
        if not urls.origin(target.url) == urls.origin(named.url) == origin:
            return error_answer(421, "another host", "this connection is for one host alone")
        return await self._fetch(request, target)

    async def _fetch(self, request: MirrorRequest, target: Target) -> Answer | None:
        """By the rule that serves the URL, else straight from its host."""
        request.proxied = urls.origin(target.url)
        judged = self.policy.judge(target.host, target.port, plain=True, seen=self.seen.hosts)
        if isinstance(judged, Denied):
            return error_answer(403, "not allowed", judged.reason)
        placed = place(self.mirror.rules, target)
        if isinstance(placed, Refused):
            return error_answer(400, "bad path", placed.reason)
        if placed is not None:
            _path, mark, query = target.path.partition("?")
            request.become(placed.path + mark + query)
            return await self.mirror.handle_routed(request, placed)
        return await self._pass_through(request, target, judged.reach)

    async def _pass_through(
        self, request: MirrorRequest, target: Target, reach: Reach
    ) -> Answer | None:
        headers = Headers([*passed_on(request.headers), _VIA])
        outgoing = Outgoing(
            request.head.method, target.url, headers, self.egress(reach), self.timeouts
        )
        try:
            response = await self.upstream.request(outgoing, request.body)
        except UpstreamError as error:
            return _refused(request, error)
        await relay(request, response, Headers([*response.headers, _VIA, ("X-Cache", "PASS")]))
        return None

    # -- CONNECT

    async def _connect(self, request: MirrorRequest) -> Answer | None:
        if request.head.length != 0:  # what follows is the tunnel's (RFC 9110 section 9.3.6)
            return error_answer(400, "bad CONNECT", "CONNECT has no body")
        named = request.head.target
        if _PORT.search(named) is None:
            return error_answer(400, "bad CONNECT", "CONNECT wants host:port")
        try:
            target = parse_target(f"https://{named}/")
        except BadTarget as bad:
            return error_answer(400, "bad CONNECT", str(bad))
        judged = self.policy.judge(target.host, target.port, seen=self.seen.hosts)
        if isinstance(judged, Denied):
            return error_answer(403, "not allowed", judged.reason)
        if self.interceptor is not None and self.interceptor.takes(target):
            self.interceptor.take(request, target)
            return None
        return await self._tunnel(request, target, judged.reach)

    async def _tunnel(self, request: MirrorRequest, target: Target, reach: Reach) -> Answer | None:
        channel = request.channel
        try:
            far = await self._dial(target, reach)
        except UpstreamError as error:
            return _refused(request, error)
        if request.gone or is_own_port(far, channel):
            far.abort()
            return error_answer(403, "not allowed", "that is this mirror itself")

        def counted(count: int) -> None:
            request.sentLength += count

        request.begin_tunnel()
        open_tunnel(channel, far, self.idle, counted)
        return None

    def _dial(self, target: Target, reach: Reach) -> Deferred[End]:
        return self.agents.stream(  # type: ignore[return-value]
            target.host, target.port, self.egress(reach), self.timeouts.connect, EndFactory()
        )


def _challenge(request: MirrorRequest) -> None:
    """The answer to a login that is missing or wrong (RFC 9110 section 15.5.8)."""
    answer = error_answer(407, "who are you", "the proxy wants a user name and password")
    assert isinstance(answer.body, bytes)
    request.reply(answer.status, answer.headers, answer.body, added=_CHALLENGE)


def _refused(request: MirrorRequest, error: UpstreamError) -> Answer:
    """Why a host could not be reached; an address that is not allowed is our refusal."""
    if error.reason is Reason.FORBIDDEN:
        return error_answer(
            403, error.reason.value, "the host is at an address that is not allowed"
        )
    return failed(request.body, error)
