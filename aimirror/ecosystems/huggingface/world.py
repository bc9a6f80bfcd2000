"""The Hugging Face Hub: files under their commits, one answer to HEAD, private ones by right."""

from __future__ import annotations

from attrs import evolve, frozen

from aimirror.ecosystems.huggingface import paths as huggingface
from aimirror.ecosystems.huggingface.api import Api
from aimirror.ecosystems.huggingface.metadata import Look, Looks
from aimirror.ecosystems.huggingface.paths import Seen, Target
from aimirror.ecosystems.huggingface.shelf import Shelf
from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.packaged import named_by
from aimirror.http import urls
from aimirror.http.forwarding import asked_for_storing, scope_of
from aimirror.http.headers import Headers
from aimirror.http.statuses import NO_HEAD
from aimirror.interfaces import Arriving, ILibrary, Passing, UpstreamError, Wanted
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Desk, General, Lookup, Untaken
from aimirror.routing.policies import STALE_IF_ERROR
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer
from aimirror.settings.setting import Address, Setting, exported

#: Bytes of a small file whose length the hub does not tell before it is there.
MOST_SMALL = 64 << 20


@frozen(kw_only=True)
class Visit:
    """One GET or HEAD for a file."""

    request: ClientRequest
    mirror: Desk
    route: Route
    target: Target
    #: What goes upstream, the client's token included.
    headers: Headers
    #: The token as a hash.
    who: str

    @property
    def targets(self) -> tuple[Target, ...]:
        """The file at each upstream of the rule; all of them are the same hub."""
        places = (huggingface.target(url) for url in self.route.urls)
        return tuple(each for each in places if each is not None)

    @property
    def rule(self) -> Rule:
        """The rule that took it; the hub's own fields survive its redirects."""
        rule = self.route.rule
        missing = [n for n in huggingface.OF_THE_HUB if n not in rule.head_meta_headers]
        return evolve(rule, head_meta_headers=(*rule.head_meta_headers, *missing))


class HuggingFace(General):
    """Knowledge of the hub."""

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._api = Api(library)
        self._looks = Looks(library)
        self._shelf = Shelf(library)

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        if request.method not in ("GET", "HEAD"):
            return await self._api.write(request, route)
        target = huggingface.target(route.urls[0])
        if target is None:
            return await self._api.answer(request, route, mirror)
        visit = Visit(
            request=request,
            mirror=mirror,
            route=route,
            target=target,
            headers=asked_for_storing(
                request.headers, compressed=False, more=route.request_headers
            ),
            who=scope_of(request.headers, route.rule.credential_headers),
        )
        return await self._file(visit)

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """Clients stay here: Xet is not told of, the next page is ours; ETags are the hub's."""
        headers = answer.headers
        if huggingface.target(lookup.route.urls[0]) is not None:
            headers = huggingface.named(headers)
        return evolve(answer, headers=self._api.led_here(lookup.request, lookup.rule, headers))

    # -- files -----------------------------------------------------------------------------

    async def _file(self, visit: Visit) -> Answer | Untaken:
        target = visit.target
        if target.pinned and self._public(target):
            return await self._serve(visit, target, "")
        head_only = visit.request.method == "HEAD"
        look = self._looks.recent(target, visit.who) if target.pinned or not head_only else None
        if look is None and target.pinned and not head_only and not visit.who:
            return await self._serve(visit, target, "")  # what GET says is enough
        last = self._noted(visit)
        if look is None:
            try:
                look = await self._looks.look(visit.rule, visit.targets, visit.headers, visit.who)
            except UpstreamError as error:
                look = self._stale(visit, last)
                if look is None:
                    raise error
            else:
                if not look.scope:
                    self._shelf.note(target, look.seen, visit.rule.name)
        if look.seen.status == 429:
            look = self._stale(visit, last) or look
        return await self._seen(visit, look, last)

    async def _seen(self, visit: Visit, look: Look, last: Seen | None) -> Answer | Untaken:
        seen = look.seen
        if seen.status in NO_HEAD or (seen.status == 200 and not seen.commit):
            return UNTAKEN
        if seen.status != 200:
            headers, body = huggingface.refusal(seen)
            return Answer(status=seen.status, headers=headers, body=body)
        target = visit.target.at(seen.commit)
        self._shelf.adopt(target, look, last, visit.rule.name)
        if visit.request.method == "GET" or self._shelf.has(target, look.scope):
            return await self._serve(visit, target, look.scope, seen)
        if seen.size is None:
            await self._bring(visit, target, look)
            return await self._serve(visit, target, look.scope, seen)
        headers = self._api.led_here(visit.request, visit.rule, huggingface.told(seen))
        return Answer(status=200, headers=headers.with_("X-Cache", "MISS"))

    async def _serve(
        self, visit: Visit, target: Target, scope: str, seen: Seen | None = None
    ) -> Answer:
        """The general way for a file in its commit."""
        answer = await visit.mirror.answer(
            visit.request,
            self._route(visit, target, scope, seen),
            headers=self._fields(visit, scope),
            scope=scope,
            granted=True,
        )
        if answer.status not in (200, 404) or not target.pinned:
            return answer
        if answer.status == 404 and not scope:
            self._shelf.note(target, Seen(404, answer.headers), visit.rule.name)
        return evolve(answer, headers=answer.headers.with_("X-Repo-Commit", target.revision))

    def _fields(self, visit: Visit, scope: str) -> Headers:
        return visit.headers if scope else visit.headers.without(*visit.route.rule.secrets)

    def _route(self, visit: Visit, target: Target, scope: str, seen: Seen | None = None) -> Route:
        """A token goes to the first upstream alone."""
        targets = visit.targets[:1] if scope else visit.targets
        return Route(
            rule=visit.rule,
            path=visit.request.path,
            urls=tuple(evolve(target, repo=each.repo).url for each in targets),
            key=urls.canonical(target.url),
            immutable=target.pinned,
            digest=None if seen is None else seen.sha256,
            size=None if seen is None else seen.linked_size,
            exact=True,
            vary=visit.route.vary,
        )

    async def _bring(self, visit: Visit, target: Target, look: Look) -> None:
        """Fetch a file whose length the hub does not tell: clients believe what HEAD says."""
        wanted = Wanted(
            route=self._route(visit, target, look.scope, look.seen),
            headers=self._fields(visit, look.scope),
            scope=look.scope,
        )
        outcome = await self._library.fetch(wanted)
        if isinstance(outcome, Passing):
            outcome.response.abort()
        elif isinstance(outcome, Arriving) and outcome.body.size is None:
            await self._library.read(outcome.body, MOST_SMALL)

    def _public(self, target: Target) -> bool:
        """Whether anybody may have it, from the cache or a download under way."""
        arriving = self._library.at(urls.canonical(target.url)).arriving
        return bool(arriving) or self._shelf.public(target)

    def _noted(self, visit: Visit) -> Seen | None:
        """What a branch stood for last, as long as the rule allows; what HEAD says of a commit."""
        if visit.target.pinned:
            return self._shelf.noted(visit.target, 0.0)
        within = visit.rule.cache.stale_if_error
        within = STALE_IF_ERROR if within is None else within
        return self._shelf.noted(visit.target, self._looks.now() - within)

    def _stale(self, visit: Visit, last: Seen | None) -> Look | None:
        """What stands in for a hub that can't say now."""
        grace = visit.rule.cache.private_grace
        look = self._looks.recent(visit.target, visit.who, grace) if visit.who else None
        if look is not None and look.scope and look.seen.status == 200:
            return look
        return None if last is None else Look(last, "", self._looks.now())


def _hub(mirror: Address) -> Setting:
    return exported(f"{mirror.url}/api/models/gpt2", HF_ENDPOINT=mirror.url)


WORLD = Coded(
    name="huggingface",
    package=named_by(
        r"https?://[^/]+/(?P<name>.+?)/(?:resolve|raw)/(?P<version>[^/]+)/.+",
        r"https?://[^/]+/api/(?:models/)?(?P<name>[^/]+(?:/[^/]+)?|(?:datasets|spaces|kernels)/[^/]+/[^/]+)/(?:revision|tree|paths-info)/(?P<version>[^/]+)(?:/.*)?",
        r"https?://[^/]+/api/models/(?P<name>[^/]+/[^/]+)",
    ),
    clients={"huggingface": _hub},
    make=lambda edges: HuggingFace(edges.library),
)
