"""OCI registries: many behind one port, each asked with the right of the client that asks.

The way of a request: its path names a registry of the table and a repository there; a tag is
asked about with HEAD and stands for a digest; what a digest names is served from the cache by
the general way.  What everybody may read is stored for everybody, and asked about no more; what
took a credential is served to those alone whom the registry lets read the repository now.
"""

from __future__ import annotations

from attrs import evolve

from aimirror.bounded import LRU
from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.oci.clients import buildkit, containerd, docker, k3s, podman
from aimirror.ecosystems.oci.errors import API_VERSION, error_body, error_code, error_fields
from aimirror.ecosystems.oci.images import Images
from aimirror.ecosystems.oci.lists import Lists
from aimirror.ecosystems.oci.refusals import error_answer, has_words
from aimirror.ecosystems.oci.tags import Tags
from aimirror.ecosystems.oci.visit import Visit
from aimirror.ecosystems.packaged import named_by
from aimirror.exchanges.answering import UNABLE
from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed, ILibrary, IUpstreamResponse, UpstreamError
from aimirror.mirror.ecosystem import (
    UNTAKEN,
    ClientRequest,
    Declined,
    Desk,
    General,
    Lookup,
    Untaken,
)
from aimirror.mirror.passing import failure
from aimirror.registries import auth as oci_auth
from aimirror.registries.auth import Credential
from aimirror.registries.issuing import Issuing
from aimirror.registries.logins import Logins
from aimirror.registries.paths import Kind, Problem, Target, default_of, ns_of, parse, registry_of
from aimirror.registries.registry import DOCKER_HUB, Registries
from aimirror.registries.sources import IGNORED, Sources
from aimirror.registries.tokens import Refused, Tokens
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer
from aimirror.server.relay import Relayed

_BASE = "/v2/"
_AUTH = "/v2/auth"
_NO_PUSH = "this mirror is for pulling: push to the registry's own address"
#: Seconds for which a repository is believed to need a login, and repositories that are remembered.
NEEDED_FOR = 600.0
MOST_NEEDED = 10_000
#: Answers to nobody in particular after which a login is tried.
_CLOSED = frozenset({401, 403, 404, 429})


class Oci(General):
    """Answers what is below ``/v2/``."""

    def __init__(
        self,
        library: ILibrary,
        registries: Registries,
    ) -> None:
        self._library = library
        self._registries = registries
        self._tokens = Tokens(library)
        self._images = Images(library, self._tokens)
        self._tags = Tags(library, self._images)
        self._lists = Lists(library, self._images)
        self._sources = Sources()
        self._logins = Logins(registries)
        self._issuing = Issuing(registries, self._tokens, self._sources, self._logins)
        #: Until when (registry, repository, login) is believed to need that login.
        self._needed: LRU[tuple[str, str, str], float] = LRU(MOST_NEEDED)

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """Answer by the registry that the path names."""
        path = route.path
        if path != "/v2" and not path.startswith(_BASE):
            return UNTAKEN
        if request.method not in ("GET", "HEAD") and path != _AUTH:
            return error_answer(405, "UNSUPPORTED", _NO_PUSH, ("Allow", "GET, HEAD"))
        try:
            if path in ("/v2", _BASE):
                return self._ping(request)
            if path == _AUTH:
                return await self._issuing.answer(request, route)
            return await self._repository(request, route, mirror)
        except Refused as refused:
            if refused.body and refused.status != 401:
                fields = error_fields(refused.headers)
                return Answer(status=refused.status, headers=fields, body=refused.body)
            return self._refusal(request, path, refused.status, refused.message, refused.headers)
        except UpstreamError as error:
            said = failure(error)  # its Retry-After, too
            why = f"{error.reason.value} {error.detail}"
            return self._refusal(request, path, said.status, why, said.headers)
        except BodyFailed as failed:
            return self._refusal(request, path, 502, str(failed))

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """What clients check a manifest or blob by, and errors in their format."""
        if isinstance(answer.body, Relayed) and answer.status >= 400:
            return answer  # the registry's own words
        if answer.status >= 400:
            return self._refusal(
                lookup.request, lookup.route.path, answer.status, "", answer.headers
            )
        digest = lookup.route.digest
        if digest is None or answer.status != 200:
            return answer
        name = f"{digest.algorithm}:{digest.hex}"
        headers = answer.headers.with_("Docker-Content-Digest", name).with_("ETag", f'"{name}"')
        if "content-type" not in headers:
            headers = headers.with_("Content-Type", "application/octet-stream")
        if "/blobs/" in lookup.request.path:  # where Ollama goes on for parts, as if led there
            headers = headers.with_("Location", lookup.request.target or lookup.request.path)
        return evolve(answer, headers=headers.with_(*API_VERSION))

    def refused(self, lookup: Lookup, response: IUpstreamResponse) -> Answer | None:
        """The registry's no, with the mirror's own token service in it."""
        if response.status < 400:
            return None
        if response.status == 401:
            self._tokens.learn(lookup.rule, response)
        elif has_words(response):
            return None
        return self._refusal(
            lookup.request, lookup.route.path, response.status, "", response.headers
        )

    # -- repositories ----------------------------------------------------------------------

    async def _repository(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer:
        agent = request.headers.get("user-agent") or ""
        default = request.registry or default_of(agent)
        target = parse(route.path, request.query or "", self._registries, default)
        if isinstance(target, Problem):
            return error_answer(target.status, target.code, target.message)
        registry = target.registry
        who = oci_auth.credential(request.headers.get("authorization"))
        who = self._logins.shown(who, registry, target.ns or request.registry, agent)
        if who.anonymous and not registry.anonymous and not registry.login:
            raise Refused(401, f"{registry.name} is served to those who log in")

        def visits(who: Credential) -> list[Visit]:
            return [
                Visit(request=request, mirror=mirror, rule=rule, target=target, who=who)
                for rule in self._sources.rules(route.rule, registry, who)
            ]

        needed = (registry.name, target.name, who.hash)
        if (
            not who.basic
            or not registry.anonymous
            or (self._needed.get(needed) or 0.0) > self._library.now()
        ):
            return await self._first(visits(who))
        try:  # a login says nothing about what is open to all; the first upstream knows it
            own = visits(Credential())[:1]
            return await self._first([evolve(visit, declines=_CLOSED) for visit in own])
        except (Declined, Refused) as problem:
            if problem.status not in _CLOSED:
                raise
        answer = await self._first(visits(who))
        self._needed.put(needed, self._library.now() + NEEDED_FOR)
        self._logins.taken(who, registry)
        return answer

    async def _first(self, visits: list[Visit]) -> Answer:
        """The answer of the first upstream that can give one; else what a tag stood for last."""
        target = visits[0].target
        for visit in () if target.changes else visits:
            if self._images.public(visit.route(target).key):
                return await self._of(visit)
        places = [visit.place for visit in visits]
        if target.changes and self._library.away(
            evolve(visits[0].route(target), urls=tuple(places))
        ):
            last = await self._last_known(visits)
            if not isinstance(last, Untaken):
                return last

        async def attempt(index: int, last: bool) -> Answer | None:
            if last:
                return await self._of(visits[index])
            try:
                declines = visits[index].declines | UNABLE
                return await self._of(evolve(visits[index], declines=declines))
            except (Declined, Refused) as problem:
                if problem.status not in UNABLE:
                    raise
                return None

        try:
            answer = await self._library.first(places, attempt, lambda each: each is not None)
        except (UpstreamError, Refused) as problem:
            deleted = isinstance(problem, Refused) and problem.status == 404
            kept = deleted and visits[0].target.registry.keep_deleted
            if isinstance(problem, Refused) and problem.status not in UNABLE and not kept:
                raise
            stale = await self._last_known(visits)
            if isinstance(stale, Untaken):
                raise
            return stale
        assert answer is not None  # the last one's is
        return answer

    async def _last_known(self, visits: list[Visit]) -> Answer | Untaken:
        """What was told last of any of the upstreams, UNTAKEN when nothing was."""
        for visit in visits if visits[0].target.changes else ():
            answer = await self._last(visit)
            if not isinstance(answer, Untaken):
                return answer
        return UNTAKEN

    async def _last(self, visit: Visit) -> Answer | Untaken:
        if visit.target.kind in (Kind.TAGS, Kind.REFERRERS):
            return self._lists.last(visit)
        return await self._tags.last(visit)

    async def _of(self, visit: Visit) -> Answer:
        """The answer of one upstream."""
        if visit.target.kind in (Kind.TAGS, Kind.REFERRERS):
            return await self._lists.answer(visit)
        if visit.target.digest is None:
            return await self._tags.by_tag(visit)
        return await self._tags.by_digest(visit)

    # -- who may read ----------------------------------------------------------------------

    def _ping(self, request: ClientRequest) -> Answer:
        """Whoever brings nothing is sent to the token service, which has one for everybody."""
        default = request.registry or DOCKER_HUB
        registry = registry_of(ns_of(request.query or ""), self._registries, default)
        if isinstance(registry, Problem):
            return error_answer(registry.status, registry.code, registry.message)
        if "authorization" not in request.headers and not request.admitted:
            return self._challenged(request, registry.name, "")
        fields = Headers([("Content-Type", "application/json"), API_VERSION])
        return Answer(status=200, headers=fields, body=b"{}")

    # -- refusals --------------------------------------------------------------------------

    def _refusal(
        self,
        request: ClientRequest,
        path: str,
        status: int,
        message: str,
        upstream: Headers | None = None,
    ) -> Answer:
        """An error that clients understand; a 401 leads to the mirror's token service."""
        default = request.registry or default_of(request.headers.get("user-agent") or "")
        target = parse(path, request.query or "", self._registries, default)
        placed = target if isinstance(target, Target) else None
        said = message or f"the registry answered {status}"
        if status != 401:
            body = error_body(error_code(status, placed.kind if placed else None), said)
            why = said if status >= 500 else ""
            return Answer(status=status, headers=error_fields(upstream), body=body, why=why)
        if placed is None:
            basic = ("WWW-Authenticate", 'Basic realm="aimirror"')
            return error_answer(401, "UNAUTHORIZED", said, basic)
        scope = oci_auth.pull_scope(placed.asked)
        return self._challenged(request, placed.registry.name, scope, said)

    def _challenged(
        self, request: ClientRequest, service: str, scope: str, message: str = "log in"
    ) -> Answer:
        realm = request.reached + _AUTH
        field = ("WWW-Authenticate", oci_auth.format_challenge(realm, service, scope))
        return error_answer(401, "UNAUTHORIZED", message, field)


def _repository(place: str) -> str:
    """A repository as people write it: that of Docker Hub without a host."""
    host, _, name = place.partition("/v2/")
    return name if host == "registry-1.docker.io" else f"{host}/{name}"


WORLD = Coded(
    name="oci",
    package=named_by(
        r"https?://(?P<name>[^/]+/v2/.+)/manifests/(?P<version>[^/:]+)",
        r"https?://(?P<name>[^/]+/v2/.+)/(?:manifests|blobs|tags|referrers)/[^/]+",
        tidy=_repository,
    ),
    clients={
        "docker": docker,
        "containerd": containerd,
        "podman": podman,
        "k3s": k3s,
        "buildkit": buildkit,
    },
    ignores=IGNORED,
    make=lambda edges: Oci(edges.library, edges.registries),
)
