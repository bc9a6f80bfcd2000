"""Who may read from a registry: challenges, scopes, tokens and what clients present.

Sources: RFC 9110 section 11 (challenges), the token specification of the CNCF distribution
project ("Token Authentication Specification").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from attrs import field, frozen

from aimirror.http.json_text import parse_json

#: What the mirror gives as a token to those who bring no credentials.
ANYONE = "anonymous"
#: Before the credentials of registries that know Basic only, in tokens given by the mirror.
_BASIC = "basic."
#: Seconds that a token lives when its service does not say (the specification's default).
TOKEN_LIFE = 60.0
#: A token is used up to this share of its life, but no longer than to so many seconds before.
_USED = 0.8
_MARGIN = 30.0

_PIECE = re.compile(
    r'[\s,]*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?'
)
_VISIBLE = re.compile(r"[!-~]+")


@frozen
class Challenge:
    """How an upstream wants to be asked: the scheme in lower case and its parameters."""

    scheme: str
    realm: str = ""
    service: str = ""
    #: Why it was made, in the words of RFC 6750 section 3.1.
    error: str = ""


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of WWW-Authenticate; commas in quoted strings belong to them."""
    challenges: list[tuple[str, dict[str, str]]] = []
    for value in values:
        for name, quoted, bare in _pieces(value):
            if quoted is None and bare is None:
                challenges.append((name.lower(), {}))
            elif challenges:
                text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare or ""
                challenges[-1][1][name.lower()] = text
    return tuple(
        Challenge(scheme, p.get("realm", ""), p.get("service", ""), p.get("error", ""))
        for scheme, p in challenges
    )


def _pieces(value: str) -> Iterable[tuple[str, str | None, str | None]]:
    position = 0
    while (match := _PIECE.match(value, position)) is not None:
        yield match[1], match[2], match[3]
        position = match.end()


def chosen(challenges: Iterable[Challenge]) -> Challenge | None:
    """The challenge to meet: Bearer with an http(s) realm, else Basic, else none that is known."""
    known = [c for c in challenges if c.scheme in ("bearer", "basic")]
    usable = [c for c in known if c.scheme == "basic" or re.match("https?://", c.realm)]
    return max(usable, key=lambda c: c.scheme == "bearer", default=None)


def format_challenge(realm: str, service: str, scope: str) -> str:
    """WWW-Authenticate with which the mirror sends clients to its own token service."""
    parts = [f'realm="{realm}"', f'service="{service}"']
    return "Bearer " + ",".join([*parts, f'scope="{scope}"'] if scope else parts)


def pull_scope(name: str) -> str:
    """The scope for reading one repository."""
    return f"repository:{name}:pull"


def repository_of(scope: str) -> str | None:
    """The repository that a scope names, None when it is about something else."""
    kind, _, rest = scope.partition(":")
    name, _, _actions = rest.rpartition(":")
    return name if kind == "repository" and name else None


@frozen
class Credential:
    """What a client presents, fit for an upstream; both are "" for anybody.

    ``bearer`` and ``basic`` are values of Authorization.
    """

    bearer: str = field(default="", repr=False)
    basic: str = field(default="", repr=False)

    @property
    def anonymous(self) -> bool:
        """Whether it is anybody's."""
        return not self.bearer and not self.basic

    @property
    def hash(self) -> str:
        """A name that tells nothing of it; "" for anybody's."""
        return hashed(self.bearer or self.basic)


def hashed(secret: str) -> str:
    """A name for a secret, "" for none."""
    return hashlib.sha256(secret.encode("latin-1", "replace")).hexdigest() if secret else ""


def credential(authorization: str | None) -> Credential:
    """What the value of a client's Authorization means; the mirror's own tokens are undone."""
    scheme, _, value = (authorization or "").strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        return Credential(basic=f"Basic {value}") if _names_somebody(value) else Credential()
    if scheme.lower() != "bearer" or value in ("", ANYONE) or not _VISIBLE.fullmatch(value):
        return Credential()
    if value.startswith(_BASIC):
        return credential(f"Basic {value.removeprefix(_BASIC)}")
    return Credential(bearer=f"Bearer {value}")


def basic_token(basic: str) -> str:
    """The token by which a client presents Basic credentials to the mirror."""
    return _BASIC + basic.partition(" ")[2]


def _names_somebody(value: str) -> bool:
    try:
        return base64.b64decode(value, validate=True) not in (b"", b":")
    except (binascii.Error, ValueError):
        return False


@frozen
class Token:
    """A token and how long it may be used, in epoch seconds."""

    value: str = field(repr=False)
    use_until: float
    expires_at: float


def parse_token(body: bytes, now: float) -> Token | None:
    """The token in the JSON of a token service, which calls it ``token`` or ``access_token``."""
    try:
        document = parse_json(body)
        value = document.get("token") or document.get("access_token")
        life = document.get("expires_in") or TOKEN_LIFE
    except (ValueError, AttributeError):
        return None
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        return None
    if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life < 1e9:
        life = TOKEN_LIFE
    return Token(value, now + max(life * _USED, life - _MARGIN), now + life)


def format_token(value: str, seconds: float) -> bytes:
    """The JSON in which the mirror gives a token; old clients read the one name, new the other."""
    life = max(1, int(seconds))
    return json.dumps({"token": value, "access_token": value, "expires_in": life}).encode()


def token_url(challenge: Challenge, scopes: Iterable[str]) -> str:
    """Where a challenge's token is asked for; each scope is a parameter of its own."""
    parameters = [("service", challenge.service)] if challenge.service else []
    parameters += [("scope", scope) for scope in scopes]
    query = "&".join(f"{name}={quote(value, safe=':/,')}" for name, value in parameters)
    mark = "&" if "?" in challenge.realm else "?"
    return f"{challenge.realm}{mark}{query}" if query else challenge.realm
