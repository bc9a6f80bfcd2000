"""The mirror's token service: its tokens are what the client has brought."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs

from aimirror.http.headers import Headers
from aimirror.mirror.ecosystem import ClientRequest
from aimirror.registries import auth as oci_auth
from aimirror.registries.auth import Credential
from aimirror.registries.logins import Logins
from aimirror.registries.paths import Problem, locate, ns_of
from aimirror.registries.registry import DOCKER_HUB, Registries, Registry
from aimirror.registries.sources import Sources
from aimirror.registries.tokens import Refused, Tokens
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer
from aimirror.server.short_bodies import gathered

#: Seconds that the mirror's own tokens live: they hold no right that could be withdrawn.
_OWN_LIFE = 3600.0
#: Bytes of a form that asks for a token.
MOST_FORM = 64 << 10


class Issuing:
    """Answers what is asked of ``/v2/auth``."""

    def __init__(
        self, registries: Registries, tokens: Tokens, sources: Sources, logins: Logins
    ) -> None:
        self._registries = registries
        self._tokens = tokens
        self._sources = sources
        self._logins = logins

    async def answer(self, request: ClientRequest, route: Route) -> Answer:
        """A token; raises Refused, and UpstreamError where a registry has to be asked.

        Which registry gets to see that is decided for each request.  A login without a repository
        is tried at the registry that it is for; so is one for a repository there.
        """
        if request.method == "POST":
            parameters, who = await self._form(request)
        else:
            parameters = parse_qs(request.query or "")
            who = oci_auth.credential(request.headers.get("authorization"))
        scopes = [scope for value in parameters.get("scope", ()) for scope in value.split()]
        service = parameters.get("service", [""])[0] or request.registry
        placed = self._placed(scopes, service)
        registry = placed[0][0]
        if who.anonymous:
            if not registry.anonymous and not registry.login:
                raise Refused(401, f"{registry.name} is served to those who log in")
            return _token(oci_auth.ANYONE, _OWN_LIFE)
        if not who.basic:
            raise Refused(401, "a token is given for a name and a password")
        if scopes:
            agent = request.headers.get("user-agent") or ""
            ns = ns_of(request.query or "") or request.registry
            shown = self._logins.shown(who, registry, ns, agent)
            names = [name for owner, name in placed if owner is registry and name]
        else:
            try:
                shown, home = self._logins.home(who, service)
            except LookupError as unknown:
                raise Refused(401, f"registry {unknown} is not served here") from None
            registry, names = home or registry, []
            shown = shown if home is not None else Credential()
        if shown.basic:
            await self._try(route.rule, registry, tuple(dict.fromkeys(names)), shown)
        return _token(oci_auth.basic_token(who.basic), _OWN_LIFE)

    async def _form(self, request: ClientRequest) -> tuple[dict[str, list[str]], Credential]:
        """OAuth 2.0's way of asking for a token: by a password, or by a token of before."""
        data = await gathered(request.body, MOST_FORM)
        parameters = parse_qs(data.decode("utf-8", "replace"), keep_blank_values=True)

        def field(name: str) -> str:
            return parameters.get(name, [""])[0]

        if field("grant_type") == "password":
            pair = f"{field('username')}:{field('password')}".encode()
            basic = f"Basic {base64.b64encode(pair).decode('ascii')}"
            return parameters, oci_auth.credential(basic)
        if field("grant_type") == "refresh_token":
            return parameters, oci_auth.credential(f"Bearer {field('refresh_token')}")
        raise Refused(400, "grant_type is password or refresh_token")

    async def _try(
        self, rule: Rule, registry: Registry, names: tuple[str, ...], who: Credential
    ) -> None:
        """Show a registry a login that is for it; raises Refused when it is not taken."""
        rule = self._sources.rules(rule, registry, who)[0]
        challenge = await self._tokens.challenge(rule)
        if challenge is None:
            return
        if challenge.scheme == "basic":
            if not await self._tokens.welcome(rule, who):
                raise Refused(401, "the registry does not take these credentials")
        else:
            scopes = tuple(map(oci_auth.pull_scope, names))
            await self._tokens.token(rule, registry, challenge, scopes, who)
        self._logins.taken(who, registry)

    def _placed(self, scopes: list[str], service: str) -> list[tuple[Registry, str]]:
        """The registry and repository of each scope; without any, the service's registry."""
        default = self._registries.find(service or DOCKER_HUB)
        places: list[tuple[Registry, str]] = []
        for asked in filter(None, map(oci_auth.repository_of, scopes)):
            listed = self._registries.find(asked.partition("/")[0])
            ns = default.name if default is not None and listed is None else ""
            placed = locate(asked, ns, self._registries)
            if isinstance(placed, Problem):
                raise Refused(placed.status, placed.message)
            places.append(placed)
        if not places:
            if default is None:
                raise Refused(404, "that registry is not served here")
            places.append((default, ""))
        return places


def _token(value: str, seconds: float) -> Answer:
    fields = Headers([("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return Answer(status=200, headers=fields, body=oci_auth.format_token(value, seconds))
