"""``FILE.whl.metadata`` made from the wheel where an index names it and does not have it."""

from __future__ import annotations

import hashlib
from typing import Protocol

from attrs import frozen
from twisted.logger import Logger

from aimirror.caching.caching import prepare
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.download.tasks import Reason
from aimirror.ecosystems.pypi import wheels
from aimirror.ecosystems.pypi.names import METADATA
from aimirror.ecosystems.pypi.wheels import MOST_DIRECTORY, TAIL, BadWheel, Member
from aimirror.http.forwarding import asked_for_storing, scope_of
from aimirror.http.headers import Headers
from aimirror.http.ranges import ContentRange, format_range, parse_content_range
from aimirror.interfaces import (
    Arriving,
    BodyFailed,
    IBody,
    ILibrary,
    Inquiry,
    Passing,
    UpstreamError,
    Wanted,
)
from aimirror.mirror.ecosystem import ClientRequest, Desk
from aimirror.routing.digests import new_hash
from aimirror.routing.rules import Route, route_of
from aimirror.single_flight import SingleFlight
from aimirror.upstream.responses import collect


class _Source(Protocol):
    """A wheel of which some bytes are wanted."""

    async def tail(self) -> tuple[bytes, int]:
        """Its last bytes, ``TAIL`` at most, and the size of the whole."""

    async def span(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer at its end."""


@frozen
class _Held:
    """A wheel in the cache, or on its way there."""

    library: ILibrary
    body: IBody
    size: int

    async def tail(self) -> tuple[bytes, int]:
        """See _Source."""
        return await self.span(max(0, self.size - TAIL), self.size), self.size

    async def span(self, start: int, stop: int) -> bytes:
        """See _Source."""
        return await self.library.read(self.body, MOST_DIRECTORY, start, min(stop, self.size))


class _NoRanges(Exception):
    """The upstream sends whole files alone."""


@frozen
class _Remote:
    """A wheel that nobody has asked for: a few ranges of it are enough."""

    library: ILibrary
    wheel: Route
    headers: Headers

    async def tail(self) -> tuple[bytes, int]:
        """See _Source."""
        data, content_range = await self._ask(f"bytes=-{TAIL}", TAIL)
        if content_range.total is None:
            raise _NoRanges
        return data, content_range.total

    async def span(self, start: int, stop: int) -> bytes:
        """See _Source."""
        return (await self._ask(format_range(start, stop), stop - start))[0]

    async def _ask(self, wanted: str, most: int) -> tuple[bytes, ContentRange]:
        rule = self.wheel.rule
        headers = self.headers.with_("Range", wanted).with_("Accept-Encoding", "identity")
        url = self.wheel.urls[0]
        inquiry = Inquiry(rule=rule, url=url, headers=headers, redirects=None)
        response = await self.library.ask(inquiry)
        content_range = parse_content_range(response.headers.get("content-range"))
        if response.status != 206 or not isinstance(content_range, ContentRange):
            response.abort()
            if response.status == 200:
                raise _NoRanges
            raise UpstreamError(Reason.STATUS, f"status {response.status}")
        return await collect(response, most), content_range


class Sidecars:
    """Makes and stores the sidecars that an index lacks."""

    log = Logger()

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._flights = SingleFlight()

    async def make(self, request: ClientRequest, route: Route, mirror: Desk) -> bool:
        """Whether the sidecar of a route is stored now; a digest in the route is checked."""
        wheel = route_of(mirror.rules, route.path.removesuffix(METADATA), request.query or "")
        if not isinstance(wheel, Route) or not wheel.path.endswith(".whl"):
            return False
        headers = asked_for_storing(request.headers, compressed=False, more=route.request_headers)
        scope = scope_of(request.headers, route.rule.credential_headers)
        if route.rule.public:
            headers, scope = headers.without(*route.rule.secrets), ""
        made = await self._flights.do(
            (route.key, scope), lambda: self._make(wheel, route, headers, scope)
        )
        return bool(made)

    async def _make(self, wheel: Route, route: Route, headers: Headers, scope: str) -> bool:
        try:
            source = self._at_hand(wheel, scope)
            if source is None:
                source = _Remote(self._library, wheel, headers)
            try:
                content = await self._metadata(source)
            except _NoRanges:
                whole = await self._whole(wheel, headers, scope)
                content = await self._metadata(whole)
            if not _is(route, content):
                raise BadWheel("its METADATA is not what the index says")
            await self._keep(route, content, scope)
        except (BadWheel, BodyFailed, UpstreamError, OSError) as error:
            self.log.info("no metadata from {path}: {error}", path=wheel.path, error=str(error))
            return False
        return True

    async def _metadata(self, source: _Source) -> bytes:
        """A directory may have hundreds of thousands of members: it is read in a thread."""
        tail, total = await source.tail()
        start, stop = wheels.directory(tail, total)
        begin = total - len(tail)
        raw = tail[start - begin : stop - begin] if start >= begin else None
        raw = raw if raw is not None else await source.span(start, stop)
        member: Member = await self._library.aside(wheels.metadata, raw)
        start, stop = member.span
        data = await source.span(start, min(stop, total))
        content: bytes = await self._library.aside(wheels.unpack, data, member)
        return content

    def _at_hand(self, wheel: Route, scope: str) -> _Source | None:
        held = self._library.at(wheel.key, scope)
        for entry in held.entries:
            body = self._library.body(entry) if tells(entry, scope) else None
            if body is not None and entry.status == 200:
                return _Held(self._library, body, entry.size)
        for arriving in held.arriving:
            if arriving.body.size is not None:
                return _Held(self._library, arriving.body, arriving.body.size)
        return None

    async def _whole(self, wheel: Route, headers: Headers, scope: str) -> _Source:
        """The wheel on its way into the cache."""
        outcome = await self._library.fetch(Wanted(route=wheel, headers=headers, scope=scope))
        if isinstance(outcome, Passing):
            outcome.response.abort()
        if not isinstance(outcome, Arriving) or outcome.body.size is None:
            raise UpstreamError(Reason.STATUS, "the wheel can't be stored")
        return _Held(self._library, outcome.body, outcome.body.size)

    async def _keep(self, route: Route, content: bytes, scope: str) -> None:
        now = self._library.now()
        digest = hashlib.sha256(content).hexdigest()
        headers = Headers([("Content-Type", "binary/octet-stream"), ("ETag", f'"{digest}"')])
        entry = Entry(
            key=route.key,
            scope=scope,
            headers=prepare(headers, now),
            requested_at=now,
            received_at=now,
            blob=digest,
            size=len(content),
            rule=route.rule.name,
            immutable=True,
        )
        await self._library.keep(entry, content)


def _is(route: Route, content: bytes) -> bool:
    if route.digest is None:
        return True
    running = new_hash(route.digest.algorithm)
    running.update(content)
    return bool(running.hexdigest() == route.digest.hex)
