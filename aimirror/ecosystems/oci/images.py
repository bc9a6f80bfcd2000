"""What digests name: shared between repositories, rights checked before private hits."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from aimirror.bounded import LRU
from aimirror.caching.caching import prepare
from aimirror.caching.entries import Entry
from aimirror.ecosystems.oci.errors import MOST_ERROR, own_words
from aimirror.ecosystems.oci.manifests import MOST_MANIFEST, Manifest, read_manifest
from aimirror.ecosystems.oci.visit import PRIVATE, Visit
from aimirror.exchanges.answering import UNABLE
from aimirror.http import urls
from aimirror.http.headers import Headers
from aimirror.http.ranges import format_range
from aimirror.http.statuses import NO_HEAD
from aimirror.interfaces import (
    Arriving,
    BodyFailed,
    ILibrary,
    Inquiry,
    IUpstreamResponse,
    Passing,
    Refresh,
    UpstreamError,
    Wanted,
)
from aimirror.mirror.cached import GRANTED_FOR
from aimirror.registries.auth import Credential
from aimirror.registries.paths import Kind, Target
from aimirror.registries.tokens import Refused, Tokens
from aimirror.server.answers import Answer
from aimirror.upstream.responses import collect, drain

#: Grants in memory, by when they were given; each lasts a minute, in an outage for a grace.
MOST_GRANTS = 10_000
_OCTETS = "application/octet-stream"
#: What says that something is there: 416 is about a blob without bytes.
_THERE = frozenset({200, 206, 416})


class Images:
    """Answers for manifests and blobs of any registry."""

    def __init__(self, library: ILibrary, tokens: Tokens) -> None:
        self._library = library
        self._tokens = tokens
        self._grants: LRU[tuple[str, str, str], float] = LRU(MOST_GRANTS)

    def now(self) -> float:
        """Epoch seconds."""
        return self._library.now()

    # -- digests ---------------------------------------------------------------------------

    async def by_digest(
        self, visit: Visit, target: Target, headers: Headers | None = None
    ) -> Answer:
        """What a digest names, if the client may read it; ``headers`` if the registry just said so.

        Raises UpstreamError, BodyFailed and Refused.
        """
        route = visit.route(target)
        if self.public(route.key):
            return await self.serve(visit, target, "", "")
        try:
            authorization, scope = await self.right(visit)
            allowed = await self._adopted(visit, target, scope, headers) or not scope
            if not allowed and not self._granted(visit) and self._held(route.key):
                await self.has(visit, target)
        except (UpstreamError, Refused) as problem:
            if isinstance(problem, Refused) and problem.status not in UNABLE:
                raise
            if not self.graced(visit, route.key):
                raise
            authorization, scope = "", PRIVATE
        # Nothing is awaited between that look and the fetch that others would join.
        return await self.serve(visit, target, authorization, scope)

    async def _adopted(
        self, visit: Visit, target: Target, scope: str, headers: Headers | None
    ) -> bool:
        """Share bytes that another repository brought, once this one's registry has said yes.

        Whether it has said so.  They are anybody's, or of the same registry: whoever has a registry
        can have it say yes to any digest.
        """
        digest, key = target.digest, visit.route(target).key
        if digest is None or digest.algorithm != "sha256":
            return headers is not None
        size = self._library.blob_size(digest.hex, urls.origin(key))
        if size is None or any(e.scope == scope and e.blob for e in self._library.at(key).entries):
            return headers is not None
        headers = headers or await self.has(visit, target)
        now = self.now()
        kind = headers.get("content-type") if target.kind is Kind.MANIFEST else _OCTETS
        entry = Entry(
            key=key,
            scope=scope,
            headers=prepare(Headers([("Content-Type", kind or _OCTETS)]), now),
            requested_at=now,
            received_at=now,
            blob=digest.hex,
            size=size,
            rule=visit.rule.name,
            immutable=True,
        )
        self._library.put(entry)
        return True

    async def has(self, visit: Visit, target: Target) -> Headers:
        """The registry's word that this client may read a digest; raises Refused.

        A redirect alone says nothing, some registries send one for any digest; and addresses
        that are signed for GET refuse HEAD.
        """
        response = await self.ask(visit, target, "HEAD", redirects=0)
        drain(response)
        if 300 <= response.status < 400 or response.status in NO_HEAD:
            response = await self.ask(visit, target, "GET", ("Range", format_range(0, 1)))
            response.abort()
        if response.status not in _THERE:
            raise Refused(response.status, "", response.headers)
        self.grant(visit)
        return response.headers

    async def refusal(self, response: IUpstreamResponse) -> Refused:
        """What a registry's refusal says, in its own words where clients can read them."""
        body = b""
        try:
            body = await collect(response, MOST_ERROR)
        except (UpstreamError, BodyFailed):
            response.abort()
        if not own_words(response.headers.get("content-type") or "", body):
            body = b""
        return Refused(response.status, "", response.headers, body)

    async def stored_manifest(self, visit: Visit, target: Target) -> Manifest | None:
        """What a manifest names that is stored for everybody."""
        for entry in self._library.at(visit.route(target).key).entries:
            body = self._library.body(entry) if entry.status == 200 and not entry.scope else None
            if body is not None:
                try:
                    return read_manifest(await self._library.read(body, MOST_MANIFEST))
                except (BodyFailed, OSError):
                    continue
        return None

    async def manifest(self, visit: Visit, target: Target) -> Manifest:
        """What a manifest names, which is fetched and stored if it has to be.

        Raises UpstreamError, Refused and BodyFailed.
        """
        stored = await self.stored_manifest(visit, target)
        if stored is not None:
            return stored
        authorization, scope = await self.right(visit)
        wanted = Wanted(
            route=visit.route(target),
            headers=visit.headers(authorization),
            scope=scope,
            refresh=self._refresh(visit, target, authorization, scope),
        )
        outcome = await self._library.fetch(wanted)
        if isinstance(outcome, Passing):
            raise await self.refusal(outcome.response)
        if outcome.entry.status != 200:
            raise Refused(outcome.entry.status, "", outcome.entry.headers)
        body = outcome.body if isinstance(outcome, Arriving) else self._library.body(outcome.entry)
        try:
            return read_manifest(await self._library.read(body, MOST_MANIFEST) if body else b"")
        except OSError as error:
            raise BodyFailed("the manifest can't be read") from error

    async def serve(self, visit: Visit, target: Target, authorization: str, scope: str) -> Answer:
        """The general way, with the client's right or anybody's, which is renewed as it ends."""
        return await visit.mirror.answer(
            visit.request,
            visit.route(target),
            headers=visit.headers(authorization),
            scope=scope,
            refresh=self._refresh(visit, target, authorization, scope),
            granted=True,
            declines=visit.declines,
        )

    def _refresh(self, visit: Visit, target: Target, authorization: str, scope: str) -> Refresh:
        """Makes the fields of a request anew when the registry does not take them any more."""
        current = authorization
        who = visit.who if scope else Credential()

        async def refresh() -> Headers | None:
            nonlocal current
            try:
                fresh = await self._tokens.authorization(visit.rule, target, who, current)
            except Refused:
                return None
            if fresh in ("", current):
                return None
            current = fresh
            return visit.headers(fresh)

        return refresh

    # -- rights ----------------------------------------------------------------------------

    async def ask(
        self,
        visit: Visit,
        target: Target,
        method: str,
        field: tuple[str, str] | None = None,
        redirects: int | None = None,
    ) -> IUpstreamResponse:
        """Ask the registry with the client's right; once more with a new token if one was out.

        Raises UpstreamError, and Refused when the token service says no.
        """
        authorization = await self._tokens.authorization(visit.rule, target, visit.who)
        response = await self._send(visit, target, method, authorization, field, redirects)
        if response.status != 401:
            return response
        challenge = self._tokens.learn(visit.rule, response)
        if authorization and challenge and challenge.error == "insufficient_scope":
            return response
        fresh = await self._tokens.authorization(visit.rule, target, visit.who, authorization)
        if fresh in ("", authorization):
            return response
        response.abort()
        return await self._send(visit, target, method, fresh, field, redirects)

    def _send(
        self,
        visit: Visit,
        target: Target,
        method: str,
        authorization: str,
        field: tuple[str, str] | None,
        redirects: int | None,
    ) -> Deferred[IUpstreamResponse]:
        headers = visit.headers(authorization)
        return self._library.ask(
            Inquiry(
                rule=visit.rule,
                url=visit.route(target).urls[0],
                headers=headers.with_(*field) if field is not None else headers,
                method=method,
                redirects=redirects,
            )
        )

    async def right(self, visit: Visit) -> tuple[str, str]:
        """Authorization for the client's repository, and whose what it brings is."""
        value = await self._tokens.authorization(visit.rule, visit.target, visit.who)
        return value, PRIVATE if value and not visit.who.anonymous else ""

    def opened(self, target: Target) -> None:
        """Note that the registry lets anybody read a repository."""
        self._tokens.opened(target)

    def grant(self, visit: Visit) -> None:
        """Note that the registry lets this client read this repository now."""
        self._grants.put(visit.reader, self.now())

    def _granted(self, visit: Visit, within: float = GRANTED_FOR) -> bool:
        """Whether the registry has let this client read this repository just now."""
        granted_at = self._grants.get(visit.reader)
        return granted_at is not None and self.now() - granted_at < within

    def graced(self, visit: Visit, key: str) -> bool:
        """Whether a login may have what is stored while the registry can't be asked about it."""
        stored = any(e.scope == PRIVATE and e.blob for e in self._library.at(key).entries)
        return stored and self._granted(visit, visit.rule.cache.private_grace)

    def public(self, key: str) -> bool:
        """Whether anybody may have it, from the cache or a download under way."""
        held = self._library.at(key)
        stored = any(e.blob and not e.scope and e.status == 200 for e in held.entries)
        return stored or bool(held.arriving)

    def _held(self, key: str) -> bool:
        """Whether somebody else's right has brought it, or is about to."""
        held = self._library.at(key, PRIVATE)
        return held.under_way or any(entry.scope == PRIVATE for entry in held.entries)
