"""Single requests over pooled connections, for the service and, below treq, for the workers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTime,
)
from twisted.python.failure import Failure
from twisted.web._newclient import Request
from twisted.web.http_headers import Headers as WireHeaders
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from aimirror.bounded import LRU
from aimirror.download.tasks import Reason
from aimirror.http.egress import Egress, Outgoing, Timeouts
from aimirror.http.headers import Headers
from aimirror.http.targets import BadTarget, Target, parse_target
from aimirror.interfaces import UpstreamError
from aimirror.upstream.bodies import WatchedBody
from aimirror.upstream.connection import Connection
from aimirror.upstream.countdown import Countdown
from aimirror.upstream.deadlines import Deadlines
from aimirror.upstream.dialing import READ_BYTES, Dialer, Resolve, system_resolver
from aimirror.upstream.errors import explain
from aimirror.upstream.host import Permit
from aimirror.upstream.hosts import UNLIMITED, Hosts
from aimirror.upstream.incoming import Bare, Incoming
from aimirror.upstream.pool import Pool
from aimirror.upstream.proxies import Proxy
from aimirror.upstream.reply import Reply
from aimirror.upstream.routes import Route
from aimirror.upstream.silence import MOST_TURNS
from aimirror.upstream.trust import Policies
from aimirror.upstream.tunnel import PROXY_AUTHENTICATION_REQUIRED, authorization, refused
from aimirror.upstream.ways import Way

#: Idle connections kept to one host: as many as clients may have made at one time.
PERSISTENT = 64

#: Safe, and repeated on a fresh connection when a kept-alive one turns out to be dead.
_REPEATABLE = ("GET", "HEAD")

#: Set from the URL and the body, never taken over; Expect would need a wait for 100.
_OURS = ("host", "content-length", "expect")

#: Requests that have no Content-Length where they have no body.
_BARE = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS"})
#: A target on the wire.
_FORM = re.compile(rb"[\x21-\x7e]+")
#: Sets of fields that are held ready for the wire.
MOST_FIELDS = 256
#: Ways to hosts that are held ready.
MOST_ROUTES = 256

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STRAY = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Agents:
    """Sends requests; owns the idle connections, which ``close`` ends.

    ``hosts`` counts all connections, and says when a host may have one more.
    ``persistent`` is the number of idle connections kept to one host, ``read_bytes`` what a
    socket reads at once, ``resolve`` turns a name into addresses (default: the reactor's way).
    """

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        persistent: int = PERSISTENT,
        tls: Policies | None = None,
        read_bytes: int = READ_BYTES,
        resolve: Resolve | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        #: The clock of all time-outs.
        self.clock = reactor
        self._hosts = hosts if hosts is not None else Hosts(reactor, UNLIMITED)
        self._pool = Pool(reactor, persistent, self._hosts)
        self._tls = tls if tls is not None else Policies()
        if resolve is None:
            resolve = system_resolver(cast(IReactorPluggableNameResolver, reactor).nameResolver)
        self._dialer = Dialer(reactor, resolve, read_bytes)
        self._deadlines: dict[float, Deadlines] = {}
        #: Each with the egress that it is for, so that nothing else has its ``id`` meanwhile.
        self._routes: LRU[tuple[str, str, int, int, float], tuple[Route, Egress]] = LRU(MOST_ROUTES)

    def agent(self, egress: Egress, timeouts: Timeouts) -> IAgent:
        """A Twisted agent whose requests leave by ``egress``; its responses are ``Reply``s.

        The URL goes out as the agent gets it; treq however respells some URLs and adds fields of
        its own before an agent sees them: where that matters, put ``send`` below treq.
        """
        return EgressAgent(self, egress, timeouts)

    def send(self, outgoing: Outgoing, body: IBodyProducer | None = None) -> Deferred[Reply]:
        """Send one request; fires with its Reply when the header is there.

        Fails with UpstreamError.  Cancelling closes the connection.  A GET or HEAD without body
        that a kept-alive connection loses before a byte of the answer came is sent once more on
        a fresh one (RFC 9110 section 9.2.2); other requests always get a fresh connection, as
        they could not be repeated.
        """
        return Deferred.fromCoroutine(self.sending(outgoing, body))

    def stream(
        self, host: str, port: int, egress: Egress, seconds: float, factory: IProtocolFactory
    ) -> Deferred[IProtocol]:
        """A byte stream to a host, through the proxy where there is one, within ``seconds``.

        Fires with what ``factory`` built; it owns the socket.  Fails with UpstreamError;
        cancelling closes the socket.
        """
        return Deferred.fromCoroutine(
            self._stream(host, port, egress, seconds, factory)
        ).addTimeout(
            seconds,
            self.clock,
            lambda _result, _seconds: Failure(UpstreamError(Reason.CONNECT, f"{host}: timed out")),
        )

    async def _stream(
        self, host: str, port: int, egress: Egress, seconds: float, factory: IProtocolFactory
    ) -> IProtocol:
        # The scheme says which of two proxies is crossed: tunnels are what https goes through.
        target = Target("https", host, port, "/")
        way = Way(self.clock, self._dialer, self._tls, target, egress, seconds)
        try:
            way.judge()
            return (await way.open(factory))[0]
        except Exception as error:
            raise explain(error) from None

    def close_idle(self, host: str) -> Deferred[None]:
        """Close one idle connection to a host, if there is any; fires when it is gone."""
        return self._pool.close_idle(host)

    def close(self) -> Deferred[None]:
        """Close the idle connections; fires when they are gone."""
        return self._pool.close()

    async def sending(self, outgoing: Outgoing, body: IBodyProducer | None = None) -> Reply:
        """As ``send``, for who waits for it at once."""
        target = _target(outgoing.url)
        route = self._route(target, outgoing)
        request = _Sending(self, outgoing, target, route.host, keep=self._pool.persistent)
        if route.absolute and route.proxy is not None:
            request.address(route.proxy)
        while True:
            try:
                if request.repeatable and body is None and not outgoing.fresh:
                    reply = await self._repeatable(request, route)
                else:
                    reply = await self._fresh(request, route, body)
                break
            except _OneTooMany:
                request.turns += 1
        if route.absolute and route.proxy and reply.code == PROXY_AUTHENTICATION_REQUIRED:
            reply.abortConnection()
            raise refused(reply.head, route.proxy)
        return reply

    def _route(self, target: Target, outgoing: Outgoing) -> Route:
        """How the target's host is reached, which most requests have in common.

        Raises UpstreamError where it may not be.
        """
        egress, seconds = outgoing.egress, outgoing.timeouts.connect
        name = (target.scheme, target.host, target.port, id(egress), seconds)
        known = self._routes.get(name)
        if known is not None:
            return known[0]
        route = Route(self.clock, self._dialer, self._tls, target, egress, seconds)
        route.judge()
        self._routes.put(name, (route, egress))
        return route

    async def _repeatable(self, request: _Sending, route: Route) -> Reply:
        connection = await self._counted(request, route, idle=True)
        reused = connection.exchanges > 0
        if reused and connection.permit is not None and not request.turns:
            connection.permit.reuses()
        try:
            return await request.over(connection, route)
        except UpstreamError as error:
            if not reused or connection.answered or error.reason is not Reason.RESET:
                raise
        return await self._fresh(request, route)

    async def _fresh(
        self, request: _Sending, route: Route, body: IBodyProducer | None = None
    ) -> Reply:
        request.repeatable = request.repeatable and body is None
        connection = await self._counted(request, route, idle=False)
        return await request.over(connection, route, body)

    async def _counted(self, request: _Sending, route: Route, *, idle: bool) -> Connection:
        """Wait until the host may have one more connection at work, then get it."""
        permit = await self._hosts.admit(route.host, request.patience, request.clients)
        permit.pending.turns = request.turns
        kept = self._pool.idle(route.key, route.admits) if idle else None
        if kept is not None and request.may_give_up:
            permit.pending.give_up = kept.drop
        connection = kept or await self._opened(request, route, permit)
        connection.permit, connection.host = permit, route.host
        return connection

    async def _opened(self, request: _Sending, route: Route, permit: Permit) -> Connection:
        opening = Deferred.fromCoroutine(self._pool.fresh(route.key, route))
        if request.may_give_up:
            permit.pending.give_up = opening.cancel
        try:
            return await opening
        except BaseException as error:
            permit.release()
            raise _OneTooMany if permit.pending.given_up else error from None

    def deadlines(self, seconds: float) -> Deadlines:
        """What calls within so many seconds; there are as many as rules have time-outs."""
        known = self._deadlines.get(seconds)
        if known is None:
            known = self._deadlines[seconds] = Deadlines(self.clock, seconds)
        return known


class _OneTooMany(Exception):
    """The host seems to bear no more connections: the request is to wait for one of them."""


class _Sending:
    """One request, ready to be written to a connection."""

    def __init__(
        self, agents: Agents, outgoing: Outgoing, target: Target, host: str, *, keep: bool
    ) -> None:
        if _TOKEN.fullmatch(outgoing.method) is None:
            raise UpstreamError(Reason.PROTOCOL, "the request's method is no token")
        self._agents = agents
        self._clock = agents.clock
        self._method = outgoing.method.encode("ascii")
        self._timeouts = outgoing.timeouts
        self._fields = _wire_fields(outgoing.headers, host)
        self._proxy: Proxy | None = None
        self._target = target
        self._form = target.path
        self._keep = keep
        #: Whether it does no harm twice; how often it was asked before for want of a connection.
        self.repeatable = outgoing.method in _REPEATABLE
        self.turns = 0
        #: Seconds that it may wait for its turn at the host.
        self.patience = outgoing.timeouts.header
        self.clients = outgoing.clients

    @property
    def may_give_up(self) -> bool:
        """Whether it may be ended, to be asked again, where its answer does not begin."""
        return self.repeatable and self.turns < MOST_TURNS

    def address(self, proxy: Proxy) -> None:
        """Write it for a proxy, which wants the whole URL (RFC 9112 section 3.2.2)."""
        self._form = self._target.url
        self._proxy = proxy

    def _request(self, body: WatchedBody | None) -> Request | Bare:
        fields, block = self._fields
        if self._proxy is not None and self._proxy.login is not None:
            fields = fields.copy()
            fields.setRawHeaders("Proxy-Authorization", [authorization(self._proxy)])
            block = _block(fields)
        form = self._form.encode("ascii")
        if body is not None or self._method not in _BARE:
            return Request(self._method, form, fields.copy(), body, self._keep)
        if _FORM.fullmatch(form) is None:
            raise UpstreamError(Reason.PROTOCOL, "the request's target is malformed")
        close = b"" if self._keep else b"Connection: close\r\n"
        wire = b"%s %s HTTP/1.1\r\n%s%s\r\n" % (self._method, form, close, block)
        return Bare(self._method, fields, wire, self._keep)

    async def over(
        self, connection: Connection, route: Route, body: IBodyProducer | None = None
    ) -> Reply:
        """Write it and wait for the header; raises UpstreamError."""

        def silent() -> None:
            connection.fail(UpstreamError(Reason.SILENT, "no response header"))

        watched: WatchedBody | None = None
        if body is None:
            patience = self._timeouts.header
            stop = self._agents.deadlines(patience).callLater(patience, silent).cancel
        else:
            countdown = Countdown(self._clock, self._timeouts.header, silent)
            watched, stop = WatchedBody(body, countdown.restart), countdown.stop
            countdown.restart()
        permit = connection.permit
        if permit is not None and permit.pending.give_up is not None:
            permit.pending.give_up = silent
        try:
            response: IResponse = await connection.exchange(self._request(watched))
        except Exception as error:
            connection.drop()
            if permit is not None and permit.pending.given_up:
                raise _OneTooMany from None
            raise explain(error) from None
        finally:
            stop()
        zone, silence = route.zone(connection), self._timeouts.silence
        if isinstance(response, Incoming) and response.head is not None:
            return Reply(response, response.head, connection, zone, self._clock, silence)
        if permit is not None:
            permit.answered()
        if connection.head is None:
            raise UpstreamError(Reason.PROTOCOL, "no response header")
        if connection.head.status < 400 and connection.permit is not None:
            connection.permit.works()
        if connection.sending:  # answered early: the rest of the body is not wanted
            if watched is not None:
                watched.stopProducing()
            connection.drop()
        return Reply(response, connection.head, connection, zone, self._clock, silence)


@implementer(IAgent)
class EgressAgent:
    """An IAgent for one way out."""

    def __init__(self, agents: Agents, egress: Egress, timeouts: Timeouts) -> None:
        self._agents = agents
        self._egress = egress
        self._timeouts = timeouts

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: WireHeaders | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request (IAgent); fails with UpstreamError."""
        given = () if headers is None else headers.getAllRawHeaders()
        outgoing = Outgoing(
            method=method.decode("latin-1"),
            url=uri.decode("latin-1"),
            headers=Headers.from_raw((name, value) for name, values in given for value in values),
            egress=self._egress,
            timeouts=self._timeouts,
        )
        return cast("Deferred[IResponse]", self._agents.send(outgoing, bodyProducer))


@lru_cache(MOST_FIELDS)
def _wire_fields(headers: Headers, authority: str) -> tuple[WireHeaders, bytes]:
    """The fields as they are sent, and the lines that they make; most requests have the same."""
    fields = wire_headers(headers, authority)
    return fields, _block(fields)


def _block(fields: WireHeaders) -> bytes:
    pairs = ((name, value) for name, values in fields.getAllRawHeaders() for value in values)
    return b"".join(b"%s: %s\r\n" % pair for pair in pairs)


def wire_headers(headers: Headers, authority: str) -> WireHeaders:
    """The fields as they are sent: end-to-end ones as given, and the right Host.

    Raises UpstreamError for names and values that would break out of their line.
    """
    wire = WireHeaders({b"Host": [authority.encode("ascii")]})
    for name, value in headers.end_to_end().without(*_OURS):
        if _TOKEN.fullmatch(name) is None:
            raise UpstreamError(Reason.PROTOCOL, "a request field's name is no token")
        if _STRAY.search(value):
            raise UpstreamError(Reason.PROTOCOL, f"request field {name} holds a control character")
        try:
            wire.addRawHeader(name.encode("ascii"), value.encode("latin-1"))
        except UnicodeEncodeError:
            raise UpstreamError(Reason.PROTOCOL, f"request field {name} is not latin-1") from None
    return wire


def _target(url: str) -> Target:
    try:
        return parse_target(url)
    except BadTarget as error:
        raise UpstreamError(Reason.PROTOCOL, str(error)) from None
