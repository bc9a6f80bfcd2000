"""Tags: asked about with HEAD, noted as what they stand for, remembered in an outage."""

from __future__ import annotations

from attrs import evolve

from aimirror.caching.caching import prepare, variant
from aimirror.caching.entries import Entry
from aimirror.ecosystems.oci.errors import API_VERSION
from aimirror.ecosystems.oci.images import Images, Visit
from aimirror.ecosystems.oci.paths import parse_digest
from aimirror.ecosystems.oci.tokens import Refused, SingleFlight
from aimirror.exchanges.answering import UNABLE
from aimirror.exchanges.responses import drain
from aimirror.http.headers import Headers
from aimirror.http.statuses import NO_HEAD
from aimirror.interfaces import BodyFailed, ILibrary, IUpstreamResponse, UpstreamError
from aimirror.mirror.ecosystem import UNTAKEN, Declined, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer

#: Answers after which a manifest that a tag stands for is not to be had, but its last one is.
_NOT_HAD = UNABLE | {404}
#: Refusals for which registries give a reason.
_REASONED = frozenset({403, 412})
#: Digits of a digest that tell the notes of one tag apart.
_SHORT = 16
#: What is told of a manifest that HEAD has found.
_TOLD = ("content-type", "content-length", "docker-content-digest")


class Tags:
    """Answers for manifests by tag."""

    def __init__(self, library: ILibrary, images: Images) -> None:
        self._library = library
        self._images = images
        self._flights = SingleFlight()

    async def by_tag(self, visit: Visit) -> Answer:
        """The manifest that a tag stands for now; the last one if that can't be had.

        HEAD costs a registry little, and does not count against the limits of Docker Hub.
        Raises UpstreamError, BodyFailed and Refused.
        """
        tag = visit.route(visit.target)
        young = self._noted(visit, tag, self._images.now() - (visit.rule.cache.ttl or 0.0))
        if young is not None:
            return await self._by_digest(visit, young, None)
        accept = visit.headers("").joined("accept")
        name = (tag.key, accept, visit.who.hash)
        status, headers = await self._flights.do(name, lambda: self._head(visit))
        authorization, scope = await self._images.right(visit)
        digest = parse_digest(headers.get("docker-content-digest", "") or "")
        if status != 200 or digest is None:
            # No HEAD, or no digest in it: the general way, which revalidates by ETag. Nothing
            # was said about rights, so that each credential has a scope of its own.
            own = visit.who.hash if scope else ""
            return await self._images.serve(visit, visit.target, authorization, own)
        self._images.grant(visit)
        if not scope:
            self._note(visit, tag, headers, digest)
            if visit.who.anonymous:
                self._images.opened(visit.target)
        if visit.request.method == "HEAD" and headers.get("content-length", "0") != "0":
            return _told(headers)
        last = self._noted(visit, tag, self._since(visit))
        if last is None or last == digest or visit.declines:
            return await self._by_digest(visit, digest, headers)
        try:
            return await self._by_digest(evolve(visit, declines=_NOT_HAD), digest, headers)
        except (UpstreamError, BodyFailed, Declined):
            return await self._stale(visit, last)
        except Refused as refused:
            if refused.status not in _NOT_HAD:
                raise
            return await self._stale(visit, last)

    async def _by_digest(self, visit: Visit, digest: Digest, headers: Headers | None) -> Answer:
        answer = await self._images.by_digest(visit, visit.target.by_digest(digest), headers)
        return evolve(answer, memo_until=0.0)

    async def _head(self, visit: Visit) -> tuple[int, Headers]:
        response = await self._images.ask(visit, visit.target, "HEAD")
        drain(response)
        if response.status >= 400 and response.status not in NO_HEAD:
            if response.status == 404 and not visit.target.registry.keep_deleted:
                self._library.drop_key(visit.route(visit.target).key)
            raise await self._refused(visit, response)
        return response.status, response.headers

    async def _refused(self, visit: Visit, head: IUpstreamResponse) -> Refused:
        """A registry's no to HEAD, with the reason that only GET tells, such as a scanner's."""
        if head.status in _REASONED and visit.request.method == "GET":
            response = await self._images.ask(visit, visit.target, "GET")
            if response.status == head.status:
                return await self._images.refusal(response)
            response.abort()
        return Refused(head.status, "", head.headers)

    def _note(self, visit: Visit, tag: Route, headers: Headers, digest: Digest) -> None:
        """Remember what the tag stands for: an entry without a body.

        What it stood for before is forgotten once the new manifest is stored, and not sooner.
        """
        now = self._images.now()
        name, selecting = variant(("Accept",), visit.headers("")) or ("", Headers())
        stored = self._is_stored(visit, digest)
        for entry in self._library.at(tag.key).entries:
            other = _digest_of(entry)
            if entry.blob or entry.selecting != selecting or other is None:
                continue
            if stored or other == digest or not self._is_stored(visit, other):
                self._library.drop(entry)
        entry = Entry(
            key=tag.key,
            variant=f"{name} {digest.hex[:_SHORT]}",
            headers=prepare(headers.only(*_TOLD), now).with_("Vary", "Accept"),
            selecting=selecting,
            requested_at=now,
            received_at=now,
            rule=visit.rule.name,
        )
        self._library.put(entry)

    async def last(self, visit: Visit) -> Answer | Untaken:
        """What everybody was given last under a tag, as long as the rule allows, for an outage."""
        tag = visit.route(visit.target)
        if self._images.public(tag.key):  # of a registry that names no digests
            return await self._images.serve(visit, visit.target, "", "")
        digest = self._noted(visit, tag, self._since(visit))
        return UNTAKEN if digest is None else await self._stale(visit, digest)

    async def _stale(self, visit: Visit, digest: Digest) -> Answer:
        answer = await self._by_digest(evolve(visit, declines=frozenset()), digest, None)
        return evolve(answer, headers=answer.headers.with_("X-Cache", "STALE"))

    def _since(self, visit: Visit) -> float:
        bound = visit.rule.cache.stale_if_error
        return 0.0 if bound is None else self._images.now() - bound

    def _noted(self, visit: Visit, tag: Route, since: float) -> Digest | None:
        """The digest noted last under a tag, not before ``since``, whose manifest is stored.

        Of the kinds of manifest that this client understands.
        """
        accept = visit.headers("").joined("accept") or "*/*"
        noted = [
            entry
            for entry in self._library.at(tag.key).entries
            if not entry.scope
            and entry.received_at > since
            and ("*/*" in accept or (entry.headers.get("content-type") or "*") in accept)
        ]
        for entry in sorted(noted, key=lambda entry: -entry.received_at):
            digest = _digest_of(entry)
            if digest is not None and self._is_stored(visit, digest):
                return digest
        return None

    def _is_stored(self, visit: Visit, digest: Digest) -> bool:
        return self._images.public(visit.route(visit.target.by_digest(digest)).key)


def _digest_of(entry: Entry) -> Digest | None:
    return parse_digest(entry.headers.get("docker-content-digest") or "")


def _told(headers: Headers) -> Answer:
    """What a client that asks with HEAD gets to know."""
    kept = headers.only(*_TOLD)
    etag = f'"{headers.get("docker-content-digest")}"'
    fields = [*kept, ("ETag", etag), API_VERSION, ("X-Cache", "REVALIDATED")]
    return Answer(status=200, headers=Headers(fields))
