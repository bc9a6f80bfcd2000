"""``FILE.whl.metadata`` made from the wheel where an index names it and does not have it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from attrs import frozen
from twisted.logger import Logger

from aimirror.caching.caching import prepare
from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.ecosystems.oci.tokens import SingleFlight, collect
from aimirror.ecosystems.pypi import wheels
from aimirror.ecosystems.pypi.pages import METADATA
from aimirror.ecosystems.pypi.wheels import MOST_DIRECTORY, TAIL, BadWheel, Member
from aimirror.ecosystems.reading import read
from aimirror.exchanges.tools import Passing, Storing, Tools, Wanted, new_hash
from aimirror.http.egress import Outgoing
from aimirror.http.forwarding import asked_for_storing, scope_of
from aimirror.http.headers import Headers
from aimirror.http.ranges import ContentRange, format_range, parse_content_range
from aimirror.interfaces import BodyFailed, IBody, UpstreamError
from aimirror.routing.rules import Route, route
from aimirror.store.journal import PartMeta

if TYPE_CHECKING:
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.request import MirrorRequest


class _Source(Protocol):
    """A wheel of which some bytes are wanted."""

    async def tail(self) -> tuple[bytes, int]:
        """Its last bytes, ``TAIL`` at most, and the size of the whole."""

    async def span(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer at its end."""


@frozen
class _Held:
    """A wheel in the cache, or on its way there."""

    tools: Tools
    body: IBody
    size: int

    async def tail(self) -> tuple[bytes, int]:
        """See _Source."""
        return await self.span(max(0, self.size - TAIL), self.size), self.size

    async def span(self, start: int, stop: int) -> bytes:
        """See _Source."""
        return await read(self.tools, self.body, MOST_DIRECTORY, start, min(stop, self.size))


class _NoRanges(Exception):
    """The upstream sends whole files alone."""


@frozen
class _Remote:
    """A wheel that nobody has asked for: a few ranges of it are enough."""

    tools: Tools
    wheel: Route
    headers: Headers

    async def tail(self) -> tuple[bytes, int]:
        """See _Source."""
        data, told = await self._ask(f"bytes=-{TAIL}", TAIL)
        if told.total is None:
            raise _NoRanges
        return data, told.total

    async def span(self, start: int, stop: int) -> bytes:
        """See _Source."""
        return (await self._ask(format_range(start, stop), stop - start))[0]

    async def _ask(self, wanted: str, most: int) -> tuple[bytes, ContentRange]:
        rule = self.wheel.rule
        headers = self.headers.with_("Range", wanted).with_("Accept-Encoding", "identity")
        outgoing = Outgoing(
            "GET", self.wheel.urls[0], headers, self.tools.egress(rule), self.tools.timeouts
        )
        response = await self.tools.upstream.request(outgoing, None, self.tools.redirects)
        told = parse_content_range(response.headers.get("content-range"))
        if response.status != 206 or not isinstance(told, ContentRange):
            response.abort()
            if response.status == 200:
                raise _NoRanges
            raise UpstreamError(Reason.STATUS, f"status {response.status}")
        return await collect(response, most), told


class Sidecars:
    """Makes and stores the sidecars that an index lacks."""

    log = Logger()

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._flights = SingleFlight()

    async def make(self, request: MirrorRequest, found: Route, mirror: Mirror) -> bool:
        """Whether the sidecar of a route is stored now; a digest in the route is checked."""
        wheel = route(mirror.rules, found.path.removesuffix(METADATA), request.raw_query or "")
        if not isinstance(wheel, Route) or not wheel.path.endswith(".whl"):
            return False
        headers = asked_for_storing(request.headers, compressed=False, more=found.request_headers)
        scope = scope_of(request.headers, found.rule.credential_headers)
        if found.rule.public:
            headers, scope = headers.without(*found.rule.secrets), ""
        made = await self._flights.do(
            (found.key, scope), lambda: self._make(mirror, wheel, found, headers, scope)
        )
        return bool(made)

    async def _make(
        self, mirror: Mirror, wheel: Route, found: Route, headers: Headers, scope: str
    ) -> bool:
        try:
            source = self._at_hand(mirror, wheel, scope)
            if source is None:
                source = _Remote(self._tools, wheel, headers)
            try:
                content = await self._metadata(source)
            except _NoRanges:
                whole = await self._whole(mirror, wheel, headers, scope)
                content = await self._metadata(whole)
            if not _is(found, content):
                raise BadWheel("its METADATA is not what the index says")
            await self._keep(found, content, scope)
        except (BadWheel, BodyFailed, UpstreamError, OSError) as error:
            self.log.info("no metadata from {path}: {error}", path=wheel.path, error=str(error))
            return False
        return True

    async def _metadata(self, source: _Source) -> bytes:
        """A directory may have hundreds of thousands of members: it is read in a thread."""
        tail, total = await source.tail()
        start, stop = wheels.directory(tail, total)
        begin = total - len(tail)
        found = tail[start - begin : stop - begin] if start >= begin else None
        found = found if found is not None else await source.span(start, stop)
        member: Member = await self._tools.to_thread(wheels.metadata, found)
        start, stop = member.span
        data = await source.span(start, min(stop, total))
        content: bytes = await self._tools.to_thread(wheels.unpack, data, member)
        return content

    def _at_hand(self, mirror: Mirror, wheel: Route, scope: str) -> _Source | None:
        for entry in self._tools.store.entries(wheel.key):
            body = self._tools.store.body(entry) if entry.scope in ("", scope) else None
            if body is not None and entry.status == 200:
                return _Held(self._tools, body, entry.size)
        for owner in {"", scope}:
            running = mirror.downloads.running(wheel.key, owner)
            if running is not None and running.body.size is not None:
                return _Held(self._tools, running.body, running.body.size)
        return None

    async def _whole(self, mirror: Mirror, wheel: Route, headers: Headers, scope: str) -> _Source:
        """The wheel on its way into the cache."""
        outcome = await mirror.downloads.fetch(Wanted(route=wheel, headers=headers, scope=scope))
        if isinstance(outcome, Passing):
            outcome.response.abort()
        if not isinstance(outcome, Storing) or outcome.body.size is None:
            raise UpstreamError(Reason.STATUS, "the wheel can't be stored")
        return _Held(self._tools, outcome.body, outcome.body.size)

    async def _keep(self, found: Route, content: bytes, scope: str) -> None:
        store, now = self._tools.store, self._tools.clock.seconds()
        digest = hashlib.sha256(content).hexdigest()
        headers = Headers([("Content-Type", "binary/octet-stream"), ("ETag", f'"{digest}"')])
        meta = PartMeta(key=found.key, scope=scope, rule=found.rule.name)
        if not await store.make_room(len(content)):
            raise OSError("there is no room for it")
        part = store.create_part(meta)
        try:
            part.write(0, content)
            await store.commit(part, digest, len(content))
        finally:
            part.discard()
            part.close()
        entry = Entry(
            key=found.key,
            scope=scope,
            headers=prepare(headers, now),
            requested_at=now,
            received_at=now,
            blob=digest,
            size=len(content),
            rule=found.rule.name,
            immutable=True,
        )
        store.put(entry)


def _is(found: Route, content: bytes) -> bool:
    if found.digest is None:
        return True
    running = new_hash(found.digest.algorithm)
    running.update(content)
    return bool(running.hexdigest() == found.digest.hex)
