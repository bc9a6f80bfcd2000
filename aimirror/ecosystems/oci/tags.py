"""Tags: asked about with HEAD, noted as what they stand for, remembered in an outage."""

from __future__ import annotations

from attrs import evolve

from aimirror.caching.caching import prepare, variant
from aimirror.caching.entries import Entry
from aimirror.ecosystems.oci.errors import API_VERSION
from aimirror.ecosystems.oci.images import Images, Visit
from aimirror.ecosystems.oci.paths import parse_digest
from aimirror.ecosystems.oci.tokens import Refused, SingleFlight
from aimirror.exchanges.responses import drain
from aimirror.http.headers import Headers
from aimirror.http.statuses import NO_HEAD
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import UNTAKEN, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer

#: What is told of a manifest that HEAD has found.
_TOLD = ("content-type", "content-length", "docker-content-digest")


class Tags:
    """Answers for manifests by tag."""

    def __init__(self, library: ILibrary, images: Images) -> None:
        self._library = library
        self._images = images
        self._flights = SingleFlight()

    async def by_tag(self, visit: Visit) -> Answer:
        """The manifest that a tag stands for now.

        HEAD costs a registry little, and does not count against the limits of Docker Hub.
        Raises UpstreamError, BodyFailed and Refused.
        """
        tag = visit.route(visit.target)
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
            self._note(visit, tag, headers)
        if visit.request.method == "HEAD" and headers.get("content-length", "0") != "0":
            return _told(headers)
        answer = await self._images.by_digest(visit, visit.target.by_digest(digest), headers)
        return evolve(answer, memo_until=0.0)

    async def _head(self, visit: Visit) -> tuple[int, Headers]:
        response = await self._images.ask(visit, visit.target, "HEAD")
        drain(response)
        if response.status >= 400 and response.status not in NO_HEAD:
            if response.status == 404:
                self._library.drop_key(visit.route(visit.target).key)
            raise Refused(response.status, "", response.headers)
        return response.status, response.headers

    def _note(self, visit: Visit, tag: Route, headers: Headers) -> None:
        """Remember what the tag stands for: an entry without a body."""
        now = self._images.now()
        name, selecting = variant(("Accept",), visit.headers("")) or ("", Headers())
        entry = Entry(
            key=tag.key,
            variant=name,
            headers=prepare(headers.only(*_TOLD), now).with_("Vary", "Accept"),
            selecting=selecting,
            requested_at=now,
            received_at=now,
            rule=visit.rule.name,
        )
        self._library.put(entry)

    async def stale(self, visit: Visit) -> Answer | Untaken:
        """What everybody was given last under a tag, as long as the rule allows, for an outage."""
        tag = visit.route(visit.target)
        if self._images.public(tag.key):  # of a registry that names no digests
            return await self._images.serve(visit, visit.target, "", "")
        digest = self._last(visit, tag)
        target = visit.target.by_digest(digest) if digest is not None else None
        if target is None or not self._images.public(visit.route(target).key):
            return UNTAKEN
        answer = await self._images.by_digest(visit, target)
        return evolve(answer, memo_until=0.0, headers=answer.headers.with_("X-Cache", "STALE"))

    def _last(self, visit: Visit, tag: Route) -> Digest | None:
        """The digest that was noted last under a tag and that this client understands."""
        bound = visit.rule.cache.stale_if_error
        since = 0.0 if bound is None else self._images.now() - bound
        accept = visit.headers("").joined("accept") or "*/*"
        noted = [
            entry
            for entry in self._library.at(tag.key).entries
            if not entry.scope
            and entry.received_at >= since
            and ("*/*" in accept or (entry.headers.get("content-type") or "*") in accept)
        ]
        last = max(noted, key=lambda entry: entry.received_at, default=None)
        told = last.headers.get("docker-content-digest") if last is not None else None
        return parse_digest(told or "")


def _told(headers: Headers) -> Answer:
    """What a client that asks with HEAD gets to know."""
    kept = headers.only(*_TOLD)
    etag = f'"{headers.get("docker-content-digest")}"'
    fields = [*kept, ("ETag", etag), API_VERSION, ("X-Cache", "REVALIDATED")]
    return Answer(status=200, headers=Headers(fields))
