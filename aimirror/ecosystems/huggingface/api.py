"""The hub's API: what is told of repositories, without what leads clients past the mirror."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from attrs import evolve

from aimirror.at_hand import AtHand
from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.ecosystems.huggingface import paths as huggingface
from aimirror.exchanges.answering import UNABLE
from aimirror.exchanges.decoding import DecodedResponse, decodable
from aimirror.http import urls
from aimirror.http.forwarding import asked_for_storing, passed_on
from aimirror.http.headers import Headers
from aimirror.indexes.indexes import credential, stored_bytes
from aimirror.indexes.remembered import last_told, remember
from aimirror.interfaces import BodyFailed, ILibrary, Inquiry, Unreadable, UpstreamError
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Declined, Desk, Untaken
from aimirror.mirror.link_targets import Link
from aimirror.mirror.rewriting import Rewriter
from aimirror.routing.choices import Xet
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer, Streamed
from aimirror.server.relay import relayed
from aimirror.server.short_bodies import gathered
from aimirror.upstream.responses import collect

#: Bytes of a page of a tree; the hub sends at most 1000 files on one.
MOST_TREE = 16 << 20
#: Bytes of a list of paths that a client asks about.
MOST_PATHS = 4 << 20


class Api:
    """Answers below ``/api/``."""

    def __init__(self, library: ILibrary) -> None:
        self._library = library

    async def answer(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """GET and HEAD: private answers by right, pages of trees without Xet, commits for ever.

        Raises UpstreamError and BodyFailed.
        """
        call = huggingface.call(route.urls[0])
        if call is None:
            return UNTAKEN
        if call.personal:
            return await mirror.forward(request, route)
        rule = evolve(route.rule, public=True) if call.of_repo else route.rule
        known = evolve(route, rule=rule, immutable=route.immutable or call.pinned)
        if call.is_file:
            plain = asked_for_storing(request.headers, compressed=False, more=route.request_headers)
            return await mirror.answer(request, evolve(known, exact=True), headers=plain)
        if call.is_tree and rule.xet is Xet.STRIP:
            return await self._tree(request, known, mirror)
        stored = self._library.at(known.key).entries
        other = None if stored else await self._same_commit(route)
        if other is None:
            return await mirror.answer(request, known)
        try:
            return await mirror.answer(request, known, declines=UNABLE)
        except (UpstreamError, Declined):
            return await mirror.answer(request, evolve(known, urls=(other,), key=other))

    async def _same_commit(self, route: Route) -> str | None:
        """The URL of what is stored of the commit of a URL, by another name of that; public only.

        What the hub tells of a branch is what it tells of the commit for which that stands.
        """
        repo, commit = huggingface.revision(urls.canonical(route.urls[0]))
        if not commit:
            return None
        for entry in self._library.stored_below(repo):
            named = entry.key == repo or entry.key.startswith(f"{repo}/revision/")
            if not named or "?" in entry.key or entry.scope or entry.status != 200:
                continue
            if await self._commit_of(entry) == commit:
                return entry.key
        return None

    async def _commit_of(self, entry: Entry) -> str:
        async def read() -> bytes:
            return await stored_bytes(self._library, entry)

        try:
            commit: bytes = await self._library.apart(huggingface.commit_told, read)
        except (BodyFailed, OSError, Unreadable):
            return ""
        return commit.decode("utf-8", "replace")

    async def _tree(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer:
        answer = await mirror.answer(request, evolve(route, exact=True))
        data = answer.body
        if answer.status != 200 or data is None or isinstance(data, Streamed):
            return answer
        if not isinstance(data, bytes):
            data = await self._library.read(data, MOST_TREE)
        data = await self._without_xet(data)
        headers = answer.headers.without("content-length", "etag", "content-md5", "digest")
        changed = evolve(answer, headers=headers, body=data, memo_until=0.0)
        return await mirror.changed(request, route, changed)

    async def _without_xet(self, data: bytes) -> bytes:
        try:
            return await self._library.apart(huggingface.tree_without_xet, data)
        except Unreadable as error:
            raise UpstreamError(Reason.PROTOCOL, f"the hub's page: {error}") from None

    async def write(self, request: ClientRequest, route: Route) -> Answer | Untaken:
        """Any other method: passed on, whatever it is about; a few answers are changed."""
        if request.method == "POST" and huggingface.names_paths(route.urls[0]):
            return await self._listed(request, route)
        change = self._change_of(request, route)
        return UNTAKEN if change is None else await self._changed(request, route, change)

    def _change_of(self, request: ClientRequest, route: Route) -> Callable[[bytes], bytes] | None:
        """What is done to the answer to a method other than GET and HEAD, None for nothing.

        Clients take the repository's name from the address that the hub answers with.
        """
        links = self._links(request, route.rule)
        if huggingface.names_itself(route.urls[0]) and links is not None:
            return links.rewrite
        return None

    async def _listed(self, request: ClientRequest, route: Route) -> Answer:
        """What the hub says of some paths: a POST that reads, so that it may be told once more.

        What everybody is told is remembered for the time when the hub can't be asked.
        """
        asked = await gathered(request.body, MOST_PATHS)
        headers = passed_on(request.headers).with_("Accept-Encoding", "identity")
        key = f"{urls.canonical(route.urls[0])}#{hashlib.sha256(asked).hexdigest()}"
        try:
            response = await self._library.ask(
                Inquiry(
                    rule=route.rule,
                    url=route.urls[0],
                    headers=headers,
                    method="POST",
                    body=AtHand(asked),
                )
            )
        except UpstreamError:
            last = self._told(key, route)
            if last is None:
                raise
            return last
        if decodable(response.headers):
            response = DecodedResponse(response)
        fields = self.led_here(request, route.rule, response.headers).with_("X-Cache", "PASS")
        if response.status != 200:
            last = self._told(key, route) if response.status in UNABLE else None
            if last is None:
                return relayed(response, fields)
            response.abort()
            return last
        data = await collect(response, MOST_TREE)
        if route.rule.xet is Xet.STRIP:
            data = await self._without_xet(data)
        if not credential(request, route):
            kept = fields.only("content-type", "x-repo-commit")
            await remember(self._library, key, kept, data, route.rule)
        fields = fields.without("content-length", "etag", "content-md5", "digest")
        return Answer(status=200, headers=fields, body=data)

    def _told(self, key: str, route: Route) -> Answer | None:
        """What everybody was told last, as long as the rule allows."""
        last = last_told(self._library, key, route.rule)
        if last is None:
            return None
        return Answer(status=200, headers=last[0].with_("X-Cache", "STALE"), body=last[1])

    async def _changed(
        self, request: ClientRequest, route: Route, change: Callable[[bytes], bytes]
    ) -> Answer:
        """Pass a request on, and the answer with its body changed if it is a success."""
        headers = passed_on(request.headers).with_("Accept-Encoding", "identity")
        response = await self._library.ask(
            Inquiry(
                rule=route.rule,
                url=route.urls[0],
                headers=headers,
                method=request.method,
                body=request.body,
            )
        )
        if decodable(response.headers):
            response = DecodedResponse(response)
        fields = self.led_here(request, route.rule, response.headers).with_("X-Cache", "PASS")
        if response.status not in (200, 201):
            return relayed(response, fields)
        data = await self._library.aside(change, await collect(response, MOST_TREE))
        fields = fields.without("content-length", "etag", "content-md5", "digest")
        return Answer(status=response.status, headers=fields, body=data)

    def led_here(self, request: ClientRequest, rule: Rule, headers: Headers) -> Headers:
        """Fields that keep a client here: Xet is not told of, the next page is ours."""
        if rule.xet is Xet.STRIP:
            headers = huggingface.without_xet(headers)
        links = self._links(request, rule)
        if "link" not in headers or links is None:
            return headers
        lines = (links.rewrite(v.encode("latin-1")) for v in headers.get_all("link"))
        return headers.with_("Link", *(line.decode("latin-1") for line in lines))

    def _links(self, request: ClientRequest, rule: Rule) -> Rewriter | None:
        """Leads what names the hub to the mirror; None for clients that have us for a proxy."""
        mirror = request.mirror
        if not mirror:
            return None
        prefix = rule.path_prefix if rule.strip_prefix else ""
        return Rewriter(tuple(Link(upstream, mirror + prefix) for upstream in rule.upstreams))
