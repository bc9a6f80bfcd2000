"""Requests to the upstreams of one wanted file: the first one, and later ones for its pieces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache
from typing import Protocol

from attrs import evolve
from twisted.internet.defer import Deferred

from aimirror.caching.directives import response_directives
from aimirror.caching.freshness import explicit_lifetime
from aimirror.download.backoff import MAY_PASS, MOST_REPEATS, wait_before
from aimirror.download.piece import retry_after
from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.answering import UNABLE, WITHHELD, Kind, meaning, validator
from aimirror.exchanges.environment import Environment, Place
from aimirror.exchanges.turns import PassedOver, first_able
from aimirror.exchanges.wishes import Wishes, waited
from aimirror.http import urls
from aimirror.http.cookies import Cookies
from aimirror.http.egress import Outgoing
from aimirror.http.forwarding import ELSEWHERE, fresher
from aimirror.http.headers import Headers
from aimirror.http.ranges import format_range
from aimirror.http.validator import Validator
from aimirror.interfaces import IUpstreamResponse, UpstreamError, Wanted
from aimirror.routing.choices import Credentials, OnMissing
from aimirror.routing.rules import Route
from aimirror.upstream.health import Health

#: Answers by which a host may say that it bears no more connections; those that are asked again
#: wherever others are at work, and those that are where it is known to bear few.
TURNED_AWAY = frozenset({403})
PERHAPS_TURNED_AWAY = frozenset({404, 429, 503})
_MAY_BE_TURNED_AWAY = TURNED_AWAY | PERHAPS_TURNED_AWAY
#: Fields of requests for spans that are held ready.
MOST_RANGED = 256
#: Times that a request is repeated for that, and seconds that each waits for one of the others to
#: end: at a host that is known to bear few, and at one that is not.
MOST_TURNS = 8
TURN_SECONDS = 4.0
DOUBT_SECONDS = 0.3
#: Times that the latter is waited after an answer that hardly means anything else.
DOUBTS = 3
#: Answers that are asked for again at once, unless they say when to come again.
TRANSIENT = frozenset({500, 502, 503, 504})

#: Statuses by which an upstream says that it does not have something.
MISSING = frozenset({404, 410})

_NEEDS_LOGIN = "the first upstream can't answer, and only it may know the login"
_OTHER_VERSION = FetchResult(Reason.CHANGED, 0, detail="the upstream has another version now")


class Version(Protocol):
    """What is being fetched, for those who compare."""

    @property
    def total(self) -> int:
        """Its bytes."""

    def same_version(self, source: int, theirs: Validator, strongly: bool = False) -> bool:
        """Whether a validator is of that version."""


class Asking:
    """Asks for ``wanted`` by ``method``, with the client's own fields, credentials included.

    ``asked_at`` (epoch seconds) and ``source`` (an index of the route's URLs) tell of the request
    that was answered last by ``first``.
    """

    def __init__(
        self,
        env: Environment,
        health: Health,
        wanted: Wanted,
        method: str = "GET",
        clients: Callable[[], Collection[str]] | None = None,
    ) -> None:
        self._env = env
        self._health = health
        self._wishes = Wishes(health, env.clock)
        self.wanted = wanted
        self._method = method
        self._clients = clients or (lambda: (wanted.client,))
        #: The wanted fields, with the newest credential.
        self._headers = fresher(wanted.headers)
        self.asked_at = 0.0
        self.source = 0

    async def first(
        self, span: tuple[int, int | None] | None, *, conditional: bool = False, if_range: str = ""
    ) -> IUpstreamResponse:
        """The first answer of an upstream that can; failures that may pass are tried again.

        Raises UpstreamError.  With a stored entry that may stand in, nothing is tried again.
        """
        repeats = 0 if self.wanted.previous is not None else MOST_REPEATS
        calm = not any(self._health.ill(url, self._now()) for url in self.wanted.route.urls)
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._of_any(span, conditional, if_range)
            except UpstreamError as error:
                most = MOST_TURNS if repeats and self._others_work() else repeats
                if attempt > most or error.reason not in MAY_PASS:
                    raise
            else:
                if attempt > repeats or not (calm and _may_pass(response)):
                    return response
                response.abort()
            await self.wait(wait_before(attempt, self._env.jitter()))

    def want(self, wanted: Wanted) -> None:
        """Ask for this instead: the same, under other conditions."""
        self.wanted = wanted
        self._headers = fresher(wanted.headers)

    async def part(self) -> IUpstreamResponse:
        """The answer to the client's own Range; raises UpstreamError."""
        headers = self._headers.with_("Accept-Encoding", "identity")
        self._headers = Headers([*headers, *self.wanted.part])
        return await self.first(None)

    async def _of_any(
        self, span: tuple[int, int | None] | None, conditional: bool, if_range: str
    ) -> IUpstreamResponse:
        """The upstreams are asked in order of health until one can answer."""

        async def attempt(source: int, last: bool) -> IUpstreamResponse:
            await self._wishes.obey(self.wanted.route.urls[source], self.wanted.scope)
            self.asked_at = self._now()
            self.source = source
            response = await self.request(source, span, conditional, if_range)
            self._wishes.heed(self.wanted.route.urls[source], self.wanted.scope, response)
            if _rejected(self.wanted.route, response):
                response.abort()
                raise PassedOver(UpstreamError(Reason.STATUS, "a page where a file should be"))
            if response.status == 304 and not conditional and not len(self.wanted.part):
                response.abort()
                raise PassedOver(UpstreamError(Reason.PROTOCOL, "304, and no condition was set"))
            if span is None and not len(self.wanted.part) and _shows_part(response):
                response.abort()
                raise PassedOver(UpstreamError(Reason.PROTOCOL, "a part where the whole should be"))
            if response.status in WITHHELD and self._withholds(source):
                response.abort()  # of no account: what failed before it is the trouble
                raise PassedOver
            return response

        if self.wanted.route.rule.on_missing is OnMissing.NEXT:
            return await self._of_those_that_have(attempt)
        return await first_able(
            self._health,
            self._now,
            self.wanted.route.urls,
            attempt,
            able=lambda response: response.status not in UNABLE,
            drop=lambda response: response.abort(),
            nobody=lambda: UpstreamError(Reason.STATUS, _NEEDS_LOGIN),
        )

    async def _of_those_that_have(
        self, attempt: Callable[[int, bool], Awaitable[IUpstreamResponse]]
    ) -> IUpstreamResponse:
        """The first upstream, in the rule's order, that does not say that it has no such thing.

        One that fails, or wants a login, might have it: nobody else's namesake takes its place.
        """
        last = len(self.wanted.route.urls) - 1
        for source in range(last):
            try:
                response = await attempt(source, False)
            except PassedOver as passed:
                if source == 0 or passed.trouble is not None:
                    raise passed.trouble or UpstreamError(Reason.STATUS, _NEEDS_LOGIN) from None
                continue
            if response.status not in MISSING:
                return response
            response.abort()
        try:
            return await attempt(last, True)
        except PassedOver as passed:
            raise passed.trouble or UpstreamError(Reason.STATUS, _NEEDS_LOGIN) from None

    async def request(
        self,
        source: int,
        span: tuple[int, int | None] | None,
        conditional: bool = False,
        if_range: str = "",
    ) -> IUpstreamResponse:
        """Ask one upstream, following redirects; when a token has expired, again with a new one.

        Raises UpstreamError.
        """
        response = await self._admitted(source, span, conditional, if_range)
        if response.status != 401 or self.wanted.refresh is None:
            return response
        headers = await self.wanted.refresh()
        if headers is None:
            return response
        response.abort()
        self._headers = fresher(headers)
        return await self._send(source, span, conditional, if_range)

    def _send(
        self, source: int, span: tuple[int, int | None] | None, conditional: bool, if_range: str
    ) -> Deferred[IUpstreamResponse]:
        headers = self._headers_for(source)
        if span is not None:
            headers = _ranged(headers, span, if_range)
        if conditional:
            headers = Headers([*headers, *self.wanted.conditional])
        route = self.wanted.route
        egress = self._env.egress(route.rule)
        url, timeouts = route.urls[source], self._env.timeouts
        outgoing = Outgoing(self._method, url, headers, egress, timeouts, clients=self._clients)
        request = self._env.hedging.request
        return request(self._env.upstream, outgoing, None, self._env.redirects)

    def _others_work(self) -> bool:
        """Whether the host that was asked last has connections that bring something."""
        host = urls.authority(self.wanted.route.urls[self.source])
        works = self._env.hosts.working(host) > 0
        if works:
            self._env.hosts.refused(host)
        return works

    async def _admitted(
        self, source: int, span: tuple[int, int | None] | None, conditional: bool, if_range: str
    ) -> IUpstreamResponse:
        """An answer; a refusal beside connections that work is asked again when one has ended."""
        hosts = self._env.hosts
        for _ in range(MOST_TURNS):
            response = await self._send(source, span, conditional, if_range)
            status = response.status
            if status not in _MAY_BE_TURNED_AWAY:
                return response
            host = urls.authority(response.url)
            if not hosts.shared(host):
                return response
            if hosts.limited(host):
                await hosts.freed(host, TURN_SECONDS)
            elif status in TURNED_AWAY or span is not None:
                await self._doubt(host, DOUBTS if status in TURNED_AWAY else 1)
            sure = hosts.limited(host)
            if not sure and status in PERHAPS_TURNED_AWAY:
                return response
            response.abort()
            if not sure:
                break
        return await self._send(source, span, conditional, if_range)

    async def _doubt(self, host: str, times: int) -> None:
        """Wait whether others are refused there who were answered before.

        That makes one of a refused first request, too, which alone may mean what it says.
        """
        hosts = self._env.hosts
        for _ in range(times):
            await hosts.freed(host, DOUBT_SECONDS)
            if hosts.suspected(host):
                hosts.refused(host)
            if hosts.limited(host):
                return

    def _withholds(self, source: int) -> bool:
        """Whether an upstream is not shown the client's credentials."""
        route = self.wanted.route
        if source == 0:
            return False
        secrets = frozenset(route.rule.secrets)
        if route.rule.credentials is Credentials.ALL or not self._headers.has_any(secrets):
            return False
        return urls.origin(route.urls[source]) != urls.origin(route.urls[0])

    def _headers_for(self, source: int) -> Headers:
        if not self._withholds(source):
            return self._headers
        return self._headers.without(*self.wanted.route.rule.secrets)

    def place(self, source: int, response: IUpstreamResponse) -> Place:
        """Where workers ask: the URL that answered, at another origin with ``ELSEWHERE`` alone."""
        headers = self._headers_for(source).without("accept-encoding")
        egress = evolve(self._env.egress(self.wanted.route.rule), reach=response.reach)
        if urls.origin(response.url) != urls.origin(self.wanted.route.urls[source]):
            headers = headers.only(*ELSEWHERE)
            egress = evolve(egress, trust=egress.trust.anonymous)
        cookies = Cookies()
        for hop in response.hops:
            cookies = cookies.after(hop.url, hop.headers)
        headers = cookies.added(headers, response.url)
        return Place(response.url, headers, egress, validator(response.headers))

    async def locate(self, source: int, total: int) -> Place | FetchResult:
        """Ask an upstream's original URL for the place that serves ranges of so many bytes now."""
        span = (0, 1)
        try:
            response = await self.request(source, span)
        except UpstreamError as error:
            return FetchResult(error.reason, 0, detail=error.detail)
        judged = meaning(response.status, response.headers, span, False)
        response.abort()
        if judged.kind is not Kind.RANGED:
            return self._refused(response)
        if judged.total != total:
            return _OTHER_VERSION
        return self.place(source, response)

    async def resolve(self, source: int, version: Version) -> Place | FetchResult:
        """The place that serves the same version now."""
        place = await self.locate(source, version.total)
        if isinstance(place, Place) and not version.same_version(source, place.validator):
            return _OTHER_VERSION
        return place

    async def whole(self, source: int, version: Version) -> IUpstreamResponse | FetchResult:
        """Ask without Range for the same version, in no encoding."""
        self._headers = self._headers.with_("Accept-Encoding", "identity")
        try:
            response = await self.request(source, None)
        except UpstreamError as error:
            return FetchResult(error.reason, 0, detail=error.detail)
        same = version.same_version(source, validator(response.headers))
        plain = response.headers.tokens("content-encoding") in ((), ("identity",))
        sized = response.length in (None, version.total) and not _shows_part(response)
        if response.status == 200 and same and plain and sized:
            return response
        response.abort()
        if response.status != 200:
            return self._refused(response)
        if not plain:
            return FetchResult(Reason.ENCODED, 0, detail="the upstream insists on an encoding")
        return _OTHER_VERSION

    def rest(self, if_range: str, start: int, stop: int) -> Deferred[IUpstreamResponse]:
        """Ask the upstream that answered for ``[start, stop)`` of the version that it sent."""
        return Deferred.fromCoroutine(self.request(self.source, (start, stop), if_range=if_range))

    def _refused(self, response: IUpstreamResponse) -> FetchResult:
        wait = retry_after(response.headers.get("retry-after"), self._now())
        detail = f"status {response.status}"
        return FetchResult(Reason.STATUS, 0, response.status, wait, detail)

    def wait(self, seconds: float) -> Deferred[None]:
        """Fires after some seconds; can be cancelled."""
        return waited(self._env.clock, seconds)

    def _now(self) -> float:
        return self._env.clock.seconds()


@lru_cache(MOST_RANGED)
def _ranged(headers: Headers, span: tuple[int, int | None], if_range: str) -> Headers:
    """The fields of a request for a span; those of first requests are mostly the same."""
    fields = {"Range": format_range(*span), "Accept-Encoding": "identity"}
    return headers.with_all({**fields, "If-Range": if_range} if if_range else fields)


def _may_pass(response: IUpstreamResponse) -> bool:
    """Whether an answer tells of a failure that may be over in a moment.

    One that says for how long it holds, or when to come again, means it.
    """
    headers = response.headers
    if response.status not in TRANSIENT or "retry-after" in headers:
        return False
    return explicit_lifetime(headers, response_directives(headers)) is None


def _shows_part(response: IUpstreamResponse) -> bool:
    return meaning(response.status, response.headers, None, False).kind is Kind.PART


def _rejected(route: Route, response: IUpstreamResponse) -> bool:
    kind = response.headers.get("content-type", "") or ""
    return response.status in (200, 206) and route.rule.rejects(kind, route.path)
