"""The one door to what is known of each key: stored, arriving, or to be had from an upstream."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from aimirror.caching.caching import matches
from aimirror.caching.entries import Entry
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.environment import Environment
from aimirror.exchanges.heading import Heading
from aimirror.exchanges.running import Downloads
from aimirror.exchanges.turns import first_able
from aimirror.exchanges.wishes import Wishes
from aimirror.http import urls
from aimirror.http.egress import Outgoing
from aimirror.http.forwarding import scope_of
from aimirror.http.headers import Headers
from aimirror.interfaces import (
    Arriving,
    BodyFailed,
    Described,
    Held,
    IBody,
    ILibrary,
    Inquiry,
    IStoredBody,
    IUpstreamResponse,
    Outcome,
    UpstreamError,
    Validated,
    Wanted,
)
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.store.journal import PartMeta
from aimirror.upstream.redirects import redirected_reach

_T = TypeVar("_T")


@implementer(ILibrary)
class Library:
    """See ILibrary: this one is on the disk, and filled by downloads.

    ``behind`` is another library that is asked for what is not here before the upstreams are; one
    that fails is left out.
    """

    log = Logger()

    def __init__(
        self, env: Environment, downloads: Downloads, behind: ILibrary | None = None
    ) -> None:
        self._env = env
        self._store = env.store
        self._downloads = downloads
        self._behind = behind

    @property
    def changes(self) -> int:
        """See ILibrary."""
        return self._store.changes

    # -- what there is -------------------------------------------------------------------------

    def at(self, key: str, scope: str = "") -> Held:
        """See ILibrary."""
        held = Held(
            self._stored(key),
            self._downloads.arriving(key, scope),
            self._downloads.under_way(key, scope),
        )
        if self._behind is not None and not (held.entries or held.arriving):
            return evolve(self._behind.at(key, scope), under_way=held.under_way)
        return held

    def _stored(self, key: str) -> tuple[Entry, ...]:
        try:
            return self._store.entries(key)
        except OSError as error:
            self.log.error("the cache can't be read: {error}", error=str(error))
            return ()

    def stored_below(self, prefix: str) -> Iterator[Entry]:
        """See ILibrary."""
        return self._store.find(prefix, negative=False)

    def arriving_below(self, prefix: str) -> Iterator[Arriving]:
        """See ILibrary."""
        return self._downloads.arriving_below(prefix)

    def body(self, entry: Entry) -> IStoredBody | None:
        """See ILibrary."""
        body: IStoredBody | None = self._store.body(entry)
        if body is None and self._behind is not None:
            return self._behind.body(entry)
        return body

    def read(
        self, body: IBody, most: int, start: int = 0, stop: int | None = None
    ) -> Deferred[bytes]:
        """See ILibrary."""
        return Deferred.fromCoroutine(self._read(body, most, start, stop))

    async def _read(self, body: IBody, most: int, start: int, stop: int | None) -> bytes:
        reader = body.reader(start, stop)
        data = bytearray()
        try:
            while not reader.ended():
                count = reader.ready()
                if not count:
                    await reader.wait()
                    continue
                if len(data) + count > most:
                    raise BodyFailed("too long to be read here")
                piece = await self.aside(os.pread, reader.fd, count, reader.position)
                if not piece:
                    raise BodyFailed("the stored file is too short")
                data += piece
                reader.advance(len(piece))
        finally:
            reader.close()
        return bytes(data)

    # -- more of it ----------------------------------------------------------------------------

    def fetch(self, wanted: Wanted) -> Deferred[Outcome]:
        """See ILibrary."""
        if self._behind is None or self._downloads.under_way(wanted.key, wanted.scope):
            return self._downloads.fetch(wanted)
        return Deferred.fromCoroutine(self._fetch_behind(self._behind, wanted))

    async def _fetch_behind(self, behind: ILibrary, wanted: Wanted) -> Outcome:
        try:
            return await behind.fetch(wanted)
        except UpstreamError as error:
            self.log.info("the library behind has no {key}: {why}", key=wanted.key, why=str(error))
        return await self._downloads.fetch(wanted)

    def head(self, wanted: Wanted) -> Deferred[Validated | Arriving | Described]:
        """See ILibrary."""
        return Deferred.fromCoroutine(self._head(wanted))

    async def _head(self, wanted: Wanted) -> Validated | Arriving | Described:
        for arriving in self._downloads.arriving(wanted.key, wanted.scope):
            if arriving.scope == wanted.scope and matches(arriving.entry, wanted.headers):
                return arriving
        if self._behind is not None:
            try:
                return await self._behind.head(wanted)
            except UpstreamError as error:
                self.log.info("the library behind is silent: {why}", why=str(error))
        repeating = self._downloads.repeating(wanted.route)
        heading = Heading(self._env, self._downloads.health, wanted, repeating=repeating)
        return await heading.run()

    def ask(self, inquiry: Inquiry) -> Deferred[IUpstreamResponse]:
        """See ILibrary."""
        return Deferred.fromCoroutine(self._ask(inquiry))

    async def _ask(self, inquiry: Inquiry) -> IUpstreamResponse:
        env, egress = self._env, self._env.egress(inquiry.rule)
        if inquiry.named_by is not None:
            egress = evolve(egress, reach=redirected_reach(egress.reach, inquiry.named_by))
            if urls.origin(inquiry.url) not in map(urls.origin, inquiry.rule.upstreams):
                egress = evolve(egress, trust=egress.trust.anonymous)
        outgoing = Outgoing(
            inquiry.method,
            inquiry.url,
            inquiry.headers,
            egress,
            env.timeouts,
            clients=lambda: (inquiry.client,),
        )
        redirects = env.redirects if inquiry.redirects is None else inquiry.redirects
        scope = scope_of(inquiry.headers, inquiry.rule.credential_headers)
        wishes = Wishes(self._downloads.health, env.clock)
        await wishes.obey(inquiry.url, scope)
        response = await env.hedging.request(env.upstream, outgoing, inquiry.body, redirects)
        wishes.heed(inquiry.url, scope, response)
        return self._downloads.limited(inquiry.rule, response)

    def first(
        self,
        upstreams: Sequence[str],
        attempt: Callable[[int, bool], Awaitable[_T]],
        able: Callable[[_T], bool],
    ) -> Deferred[_T]:
        """See ILibrary."""
        health = self._downloads.health
        return Deferred.fromCoroutine(first_able(health, self.now, upstreams, attempt, able=able))

    def away(self, route: Route) -> bool:
        """See ILibrary."""
        return self._downloads.health.away(route.urls, self.now())

    @property
    def several(self) -> bool:
        """See ILibrary."""
        return self._env.peers is not None or self._env.tier is not None

    def borrow(self, route: Route) -> Deferred[Arriving | None]:
        """See ILibrary."""
        if not self.several:
            return succeed(None)
        return Deferred.fromCoroutine(self._borrow(route))

    async def _borrow(self, route: Route) -> Arriving | None:
        good = (e for e in self._stored(route.key) if e.status == 200 and e.blob and not e.scope)
        newest = max(good, key=lambda e: e.received_at, default=None)
        wanted = Wanted(route=route, headers=Headers(), previous=newest, stored_only=True)
        try:
            outcome = await self._downloads.fetch(wanted)
        except UpstreamError:
            return None
        return outcome if isinstance(outcome, Arriving) else None

    def indexes(self, rule: Rule) -> Deferred[Sequence[str]]:
        """See ILibrary."""
        tier = self._env.tier
        if tier is None or not rule.tier:
            return succeed(())
        return Deferred.fromCoroutine(tier.indexes(rule))

    def said(self, route: Route, scope: str) -> Deferred[Digest | None]:
        """See ILibrary."""
        peers = self._env.peers
        if peers is None or scope:
            return succeed(None)
        return Deferred.fromCoroutine(peers.said(Wanted(route=route, headers=Headers())))

    def final(self, wanted: Wanted) -> Deferred[str | None]:
        """See ILibrary."""
        return Deferred.fromCoroutine(self._final(wanted))

    async def _final(self, wanted: Wanted) -> str | None:
        response = await Asking(self._env, self._downloads.health, wanted).first((0, 1))
        response.abort()
        return response.url if response.status in (200, 206) and response.hops else None

    # -- what is made here ---------------------------------------------------------------------

    def put(self, entry: Entry) -> None:
        """See ILibrary."""
        self._store.put(entry)

    def keep(self, entry: Entry, content: bytes) -> Deferred[None]:
        """See ILibrary."""
        return Deferred.fromCoroutine(self._keep(entry, content))

    async def _keep(self, entry: Entry, content: bytes) -> None:
        store = self._store
        if not await store.make_room(len(content)):
            raise OSError("there is no room for it")
        part = store.create_part(PartMeta(key=entry.key, scope=entry.scope, rule=entry.rule))
        try:
            part.write(0, content)
            await store.commit(part, entry.blob, len(content))
        finally:
            part.discard()
            part.close()
        store.put(entry)

    def blob_size(self, sha256: str, origin: str) -> int | None:
        """See ILibrary."""
        return self._store.blob_size(sha256, origin)

    def used(self, entry: Entry) -> None:
        """See ILibrary."""
        self._store.touch(entry)

    def drop(self, entry: Entry) -> None:
        """See ILibrary.  On a full disk it may be there again after a restart."""
        try:
            self._store.drop(entry)
        except OSError as error:
            self.log.error("an entry could not be dropped: {error}", error=str(error))

    def outdate(self, entry: Entry) -> None:
        """See ILibrary."""
        self.drop(entry)
        if entry.pinned:  # in its place until there is a new copy; said of nothing else
            empty = evolve(entry, status=504, headers=Headers(), blob="", size=0)
            self._store.put(evolve(empty, immutable=False, invalidated=True))

    def drop_key(self, key: str) -> None:
        """See ILibrary."""
        self._store.drop_key(key)

    def recheck(self, key: str) -> None:
        """See ILibrary."""
        self._store.invalidate(key)

    def invalidate(self, key: str) -> None:
        """See ILibrary."""
        self._downloads.invalidate(key)

    def settled(self, arriving: Arriving) -> Deferred[None]:
        """See ILibrary."""
        return Deferred.fromCoroutine(self._downloads.settled(arriving))

    # -- what work for it takes ----------------------------------------------------------------

    def now(self) -> float:
        """See ILibrary."""
        return self._env.clock.seconds()

    def within(self, deferred: Deferred[_T], seconds: float) -> Deferred[_T]:
        """See ILibrary."""
        return deferred.addTimeout(seconds, self._env.clock)

    def aside(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """See ILibrary."""
        return self._env.to_thread(function, *args)

    def apart(
        self,
        function: Callable[..., bytes],
        source: bytes | Callable[[], Awaitable[bytes]],
        *texts: str,
    ) -> Deferred[bytes]:
        """See ILibrary."""
        return self._env.apart(function, source, *texts)
