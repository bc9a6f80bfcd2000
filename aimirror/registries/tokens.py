"""Asks registries with whatever right a client has, and keeps the tokens that this takes."""

from __future__ import annotations

from attrs import frozen

from aimirror.bounded import LRU
from aimirror.download.tasks import Reason
from aimirror.http import urls
from aimirror.http.egress import Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import ILibrary, Inquiry, IUpstreamResponse, UpstreamError
from aimirror.registries import auth as oci_auth
from aimirror.registries.auth import Challenge, Credential, Token
from aimirror.registries.paths import Target
from aimirror.registries.registry import Registry
from aimirror.routing.rules import Rule
from aimirror.single_flight import SingleFlight
from aimirror.upstream.responses import collect, drain

#: Seconds for which the way in which a registry wants to be asked is believed.
CHALLENGE_LIFE = 3600.0
#: Tokens in memory, and bytes of the answer that brings one.
MOST_TOKENS = 10_000
MOST_BYTES = 256 << 10
#: Seconds for which a repository is believed to be open to all, and how many are remembered.
OPEN_FOR = 600.0
MOST_OPEN = 10_000
#: What token services answer to those whom they do not know or like.
_UNWELCOME = frozenset({400, 401, 403, 404})


class Refused(Exception):
    """A registry or its token service has said no, or not now."""

    def __init__(
        self, status: int, message: str, headers: Headers | None = None, body: bytes = b""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or Headers()
        #: What the registry itself said, in the format of its errors; b"" for nothing.
        self.body = body


@frozen
class _Known:
    """What a registry has said about how to ask it, and from which kind of network."""

    challenge: Challenge | None
    url: str
    zone: Zone
    until: float


class Tokens:
    """The right to ask: per registry, scope and credential, renewed before it ends."""

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._known: dict[str, _Known] = {}
        self._tokens: LRU[tuple[str, str, tuple[str, ...], str], Token] = LRU(MOST_TOKENS)
        self._flights = SingleFlight()
        #: Until when (registry, repository) is believed to be open to all.
        self._open: LRU[tuple[str, str], float] = LRU(MOST_OPEN)

    def opened(self, target: Target) -> None:
        """A registry has shown a repository to nobody in particular.

        The mirror's own login, which the registry counts apart, opens nothing there that is closed.
        """
        self._open.put((target.registry.name, target.name), self._now() + OPEN_FOR)

    def _is_open(self, target: Target) -> bool:
        return (self._open.get((target.registry.name, target.name)) or 0.0) > self._now()

    async def authorization(
        self, rule: Rule, target: Target, who: Credential, stale: str = ""
    ) -> str:
        """Authorization for reading a repository, "" where none is needed or possible.

        ``stale`` is a value that the registry does not take any more.  Raises UpstreamError, and
        Refused when the token service does.
        """
        if who.bearer:
            return who.bearer
        registry = target.registry
        if who.anonymous and registry.login and (registry.share or self._is_open(target)):
            who = Credential(basic=registry.login)
        challenge = await self.challenge(rule)
        if challenge is None or challenge.scheme == "basic":
            return who.basic if challenge is not None else ""
        scopes = (oci_auth.pull_scope(target.name),)
        token = await self.token(rule, target.registry, challenge, scopes, who, stale)
        return f"Bearer {token.value}"

    async def challenge(self, rule: Rule) -> Challenge | None:
        """How the registry of a rule wants to be asked; None: without credentials."""
        base = rule.upstreams[0]
        known = self._known.get(base)
        if known is None or known.until < self._now():
            asked: _Known = await self._flights.do(base, lambda: self._asked(rule, base))
            return asked.challenge
        return known.challenge

    def learn(self, rule: Rule, response: IUpstreamResponse) -> Challenge | None:
        """Take note of how a registry wants to be asked, as its answer says.

        Where its redirects end, nobody has a say in that: passwords go where it is told.
        """
        base = rule.upstreams[0]
        known = self._known.get(base)
        own = {urls.origin(each) for each in (base, *((known.url,) if known else ()))}
        return self._learned(base, response) if urls.origin(response.url) in own else None

    def _learned(self, base: str, response: IUpstreamResponse) -> Challenge | None:
        challenges = oci_auth.parse_challenges(response.headers.get_all("www-authenticate"))
        challenge = oci_auth.chosen(challenges) if response.status == 401 else None
        if challenge is None and response.status == 401:
            return None
        until = self._now() + CHALLENGE_LIFE
        self._known[base] = _Known(challenge, response.url, response.zone, until)
        return challenge

    async def token(
        self,
        rule: Rule,
        registry: Registry,
        challenge: Challenge,
        scopes: tuple[str, ...],
        who: Credential,
        stale: str = "",
    ) -> Token:
        """A token that holds for a while; raises as ``authorization`` does."""
        name = (rule.upstreams[0], registry.name, tuple(sorted(scopes)), who.hash)
        kept = self._tokens.get(name)
        if kept is not None and kept.use_until > self._now() and not _is(kept, stale):
            return kept
        token: Token = await self._flights.do(
            name, lambda: self._new_token(rule, challenge, scopes, who)
        )
        self._tokens.put(name, token)
        return token

    async def welcome(self, rule: Rule, who: Credential) -> bool:
        """Whether a registry that knows Basic alone takes these credentials."""
        response = await self._get(rule, f"{rule.upstreams[0]}/v2/", who.basic)
        drain(response)
        return response.status == 200

    async def _asked(self, rule: Rule, base: str) -> _Known:
        response = await self._get(rule, f"{base}/v2/", "")
        drain(response)
        if response.status == 429 or response.status >= 500:
            raise Refused(response.status, "the registry can't be asked now", response.headers)
        self._learned(base, response)
        if base not in self._known:
            raise Refused(401, "the registry wants something that is not known here")
        return self._known[base]

    async def _new_token(
        self, rule: Rule, challenge: Challenge, scopes: tuple[str, ...], who: Credential
    ) -> Token:
        """Ask the token service; it may be where a redirect of the registry might lead."""
        known = self._known[rule.upstreams[0]]
        secure = known.url.startswith("https:")
        if who.basic and secure and not challenge.realm.lower().startswith("https:"):
            raise Refused(401, "the token service would get the password in clear text")
        url = oci_auth.token_url(challenge, scopes)
        response = await self._get(rule, url, who.basic, known)
        if response.status != 200:
            drain(response)
            status = 401 if response.status in _UNWELCOME else response.status
            raise Refused(status, "the token service says no", response.headers)
        token = oci_auth.parse_token(await collect(response, MOST_BYTES), self._now())
        if token is None:
            raise UpstreamError(Reason.PROTOCOL, "the token service sent no token")
        return token

    async def _get(
        self, rule: Rule, url: str, authorization: str, told_by: _Known | None = None
    ) -> IUpstreamResponse:
        headers = Headers([("Accept", "application/json"), ("Accept-Encoding", "identity")])
        if authorization:
            headers = headers.with_("Authorization", authorization)
        elsewhere = told_by is not None and urls.origin(url) != urls.origin(told_by.url)
        zone = told_by.zone if told_by is not None and elsewhere else None
        inquiry = Inquiry(rule=rule, url=url, headers=headers, redirects=None, named_by=zone)
        return await self._library.ask(inquiry)

    def _now(self) -> float:
        return self._library.now()


def _is(token: Token, authorization: str) -> bool:
    return authorization == f"Bearer {token.value}"
