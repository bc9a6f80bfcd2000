"""Tags: asked about with HEAD, noted as what they stand for, remembered in an outage."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred, TimeoutError

from aimirror.caching.caching import prepare, variant
from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.ecosystems.oci.errors import API_VERSION
from aimirror.ecosystems.oci.images import Images
from aimirror.ecosystems.oci.trials import NOT_HAD, Trials
from aimirror.ecosystems.oci.visit import Visit
from aimirror.http.headers import Headers
from aimirror.http.statuses import NO_HEAD
from aimirror.interfaces import BodyFailed, ILibrary, UpstreamError
from aimirror.mirror.ecosystem import UNTAKEN, Declined, Untaken
from aimirror.registries.paths import Kind, parse_digest
from aimirror.registries.tokens import Refused
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer
from aimirror.single_flight import SingleFlight
from aimirror.upstream.responses import drain

#: Seconds for which a registry is waited for where what a tag stood for last can stand in.
PATIENCE = 5.0
#: Digits of a digest that tell the notes of one tag apart.
_SHORT = 16
#: What is told of a manifest that HEAD has found.
_TOLD = ("content-type", "content-length", "docker-content-digest")

_T = TypeVar("_T")


class Tags:
    """Answers for manifests by tag."""

    def __init__(self, library: ILibrary, images: Images) -> None:
        self._library = library
        self._images = images
        self._trials = Trials(images)
        self._flights = SingleFlight()

    async def by_tag(self, visit: Visit) -> Answer:
        """The manifest that a tag stands for now; the last one if that can't be had.

        HEAD costs a registry little, and does not count against the limits of Docker Hub.
        Raises UpstreamError, BodyFailed and Refused.
        """
        tag = visit.route(visit.target)
        for young in self._noted(visit, tag, self._images.now() - (visit.rule.cache.ttl or 0.0)):
            if not self._trials.refused(visit, young):
                return await self._by_digest(visit, young, None)
        accept = visit.headers("").joined("accept")
        name = (tag.key, accept, visit.who.hash, visit.request.head_only)
        last = await self._former(visit, tag)
        head = self._flights.do(name, lambda: self._head(visit, last is not None))
        status, headers = await (head if last is None else self._patiently(head))
        authorization, scope = await self._images.right(visit)
        digest = parse_digest(headers.get("docker-content-digest", "") or "")
        if status != 200 or digest is None:
            # No HEAD, or no digest in it: the general way, which revalidates by ETag. Nothing
            # was said about rights, so that each credential has a scope of its own.
            own = visit.who.hash if scope else ""
            return await self._images.serve(visit, visit.target, authorization, own)
        self._images.grant(visit)
        whose = visit.own_scope(scope)
        if whose is not None:
            await self._note(visit, tag, headers, digest, whose)
        if not scope and visit.who.anonymous:
            self._images.opened(visit.target)
        former = await self._former(visit, tag, digest)
        if former is None:
            return await self._current(visit, digest, headers)
        try:
            await self._patiently(self._trials.attempt(visit, digest, former))
            declining = evolve(visit, declines=visit.declines | NOT_HAD)
            return await self._current(declining, digest, headers)
        except (UpstreamError, BodyFailed):
            if visit.declines:
                raise  # another upstream may have it
        except (Declined, Refused) as problem:
            if problem.status in visit.declines or problem.status not in NOT_HAD:
                raise
        return await self._stale(visit, former)

    async def _patiently(self, asking: Coroutine[Any, Any, _T]) -> _T:
        """What a registry says, as long as it does not keep clients waiting who can do without.

        The question stays, for others and for later.
        """
        try:
            return await self._library.within(Deferred.fromCoroutine(asking), PATIENCE)
        except TimeoutError:
            why = f"no answer for {PATIENCE:g} s"
            raise UpstreamError(Reason.SILENT, why) from None

    async def by_digest(self, visit: Visit) -> Answer:
        """What a digest names; a tag that has moved to it stays where it was if it is missing."""
        try:
            answer = await self._images.by_digest(visit, visit.target)
        except (UpstreamError, BodyFailed):
            await self._trials.missed(visit, 502)
            raise
        except (Declined, Refused) as problem:
            if problem.status in NOT_HAD:
                await self._trials.missed(visit, problem.status)
            raise
        if answer.status in NOT_HAD:
            await self._trials.missed(visit, answer.status)
        return answer

    async def _current(self, visit: Visit, digest: Digest, headers: Headers) -> Answer:
        """What a tag stands for, as HEAD has just told."""
        if visit.request.head_only and headers.get("content-length", "0") != "0":
            return _told(headers)
        return await self._by_digest(visit, digest, headers)

    async def _by_digest(self, visit: Visit, digest: Digest, headers: Headers | None) -> Answer:
        answer = await self._images.by_digest(
            visit, visit.target.named(digest, Kind.MANIFEST), headers
        )
        return evolve(answer, memo_until=0.0)

    async def _head(self, visit: Visit, known: bool) -> tuple[int, Headers]:
        """Status and fields of HEAD; raises Refused.  ``known``: what it was last can stand in."""
        response = await self._images.ask(visit, visit.target, "HEAD")
        drain(response)
        if response.status < 400 or response.status in NO_HEAD:
            return response.status, response.headers
        gone = response.status == 404 and not visit.target.registry.keep_deleted
        if gone:
            self._library.drop_key(visit.route(visit.target).key)
        instead = known and not gone and response.status in NOT_HAD
        if response.status == 401 or visit.request.head_only or instead:
            raise Refused(response.status, "", response.headers)
        return await self._reasoned(visit, response.status)

    async def _reasoned(self, visit: Visit, status: int) -> tuple[int, Headers]:
        """What only GET tells of a refusal, such as a scanner's reason; or that it is none."""
        response = await self._images.ask(visit, visit.target, "GET")
        if response.status == status:
            raise await self._images.refusal(response)
        response.abort()
        if response.status < 400:  # it is HEAD alone that the registry does not like
            return response.status, Headers()
        raise Refused(response.status, "", response.headers)

    async def _note(
        self, visit: Visit, tag: Route, headers: Headers, digest: Digest, scope: str
    ) -> None:
        """Remember what the tag stands for: an entry without a body.

        What it stood for before is forgotten once the new image is stored whole, and not sooner.
        """
        now = self._images.now()
        name, selecting = variant(("Accept",), visit.headers("")) or ("", Headers())
        notes = [
            (entry, other)
            for entry in self._library.at(tag.key).entries
            if (entry.scope, entry.selecting) == (scope, selecting)
            and not entry.blob
            and (other := _digest_of(entry))
        ]
        kept = None
        if any(other != digest for _, other in notes):
            kept = await self._former(visit, tag, digest)
        if kept is not None and await self._trials.replaces(visit, digest, kept):
            kept = None
        for entry, other in notes:
            if other != kept:
                self._library.drop(entry)
        entry = Entry(
            key=tag.key,
            scope=scope,
            variant=f"{name} {digest.hex[:_SHORT]}",
            headers=prepare(headers.only(*_TOLD), now).with_("Vary", "Accept"),
            selecting=selecting,
            requested_at=now,
            received_at=now,
            rule=visit.rule.name,
        )
        self._library.put(entry)

    async def last(self, visit: Visit) -> Answer | Untaken:
        """What was given last under a tag, as long as the rule allows, for an outage."""
        tag = visit.route(visit.target)
        if self._images.public(tag.key):  # of a registry that names no digests
            return await self._images.serve(visit, visit.target, "", "")
        digest = await self._former(visit, tag)
        return UNTAKEN if digest is None else await self._stale(visit, digest)

    async def _former(self, visit: Visit, tag: Route, now: Digest | None = None) -> Digest | None:
        """What a tag stood for last, other than what it stands for now; whole images first."""
        noted = [each for each in self._noted(visit, tag, self._since(visit)) if each != now]
        if len(noted) > 1:
            for each in noted:
                if await self._trials.whole(visit, each):
                    return each
        return noted[0] if noted else None

    async def _stale(self, visit: Visit, digest: Digest) -> Answer:
        answer = await self._by_digest(evolve(visit, declines=frozenset()), digest, None)
        return evolve(answer, headers=answer.headers.with_("X-Cache", "STALE"))

    def _since(self, visit: Visit) -> float:
        bound = visit.rule.cache.stale_if_error
        return 0.0 if bound is None else self._images.now() - bound

    def _noted(self, visit: Visit, tag: Route, since: float) -> list[Digest]:
        """The digests noted under a tag, not before ``since``, whose manifests are stored.

        Of the kinds of manifest that this client understands; the last one first.
        """
        accept = visit.headers("").joined("accept") or "*/*"
        grace = self._images.now() - visit.rule.cache.private_grace
        noted = [
            entry
            for entry in self._library.at(tag.key).entries
            if entry.received_at > (max(since, grace) if entry.scope else since)
            and entry.scope in ("", visit.who.hash)
            and ("*/*" in accept or (entry.headers.get("content-type") or "*") in accept)
        ]
        digests = (_digest_of(e) for e in sorted(noted, key=lambda entry: -entry.received_at))
        return [each for each in digests if each and self._trials.is_stored(visit, each)]


def _digest_of(entry: Entry) -> Digest | None:
    return parse_digest(entry.headers.get("docker-content-digest") or "")


def _told(headers: Headers) -> Answer:
    """What a client that asks with HEAD gets to know."""
    kept = headers.only(*_TOLD)
    etag = f'"{headers.get("docker-content-digest")}"'
    fields = [*kept, ("ETag", etag), API_VERSION, ("X-Cache", "REVALIDATED")]
    return Answer(status=200, headers=Headers(fields))
