"""Whose a login is: docker and podman keep one for a mirror that stands for many registries.

A password reaches the token service of one registry alone.  Which one is told by the user's name
(``ghcr.io/alice``), by the shape of name and password where a registry has one of its own, by the
client (containerd names the registry of its login, podman keeps logins by prefix), and by who has
taken it once.  Everything else is for Docker Hub, which clients were built for, or for a registry
that the administrator has added to the table: then it is tried where it is needed, nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import re

from attrs import frozen

from aimirror.bounded import LRU
from aimirror.registries.auth import Credential
from aimirror.registries.registry import DOCKER_HUB, Registries, Registry

#: Logins that are remembered, by their hashes.
MOST_LOGINS = 10_000
#: Names and passwords that one registry gives out: (user, password, registry).
_SHAPES = tuple(
    (re.compile(user), re.compile(password), registry)
    for user, password, registry in (
        (r".*", r"(ghp|gho|ghu|ghs)_\w+|github_pat_\w+", "ghcr.io"),
        (r".*", r"dckr_(pat|oat)_\S+", DOCKER_HUB),
        (r".*", r"gl(pat|dt|rt)-\S+|gldt-\S+", "registry.gitlab.com"),
        (r"\$oauthtoken", r".*", "nvcr.io"),
        (r"[a-z0-9_.-]+\+[a-z0-9_.-]+", r"[A-Z0-9]{64}", "quay.io"),
        (r"_json_key(_base64)?|oauth2accesstoken|_dcgcloud_token", r"(?s:.*)", "gcr.io"),
    )
)
#: User-Agents of clients that keep a login for each prefix of names.
_BY_PREFIX = re.compile(r"(containers|skopeo|libpod|podman|buildah|cri-o)\b", re.IGNORECASE)


@frozen
class Named:
    """A login, and the registry that it says it is for ("" for none)."""

    who: Credential
    registry: str = ""


def named(who: Credential) -> Named:
    """A login without the registry before its user's name."""
    user, password = _parts(who)
    host, slash, rest = user.partition("/")
    if not slash or "." not in host or not rest:
        return Named(who)
    encoded = base64.b64encode(f"{rest}:{password}".encode("utf-8", "surrogateescape")).decode()
    return Named(Credential(basic=f"Basic {encoded}"), host.lower())


def _parts(who: Credential) -> tuple[str, str]:
    try:
        decoded = base64.b64decode(who.basic.partition(" ")[2], validate=True)
    except (binascii.Error, ValueError):
        return "", ""
    user, _, password = decoded.decode("utf-8", "surrogateescape").partition(":")
    return user, password


def shape(who: Credential) -> str:
    """The registry whose logins look like this one, "" for none."""
    user, password = _parts(who)
    for users, passwords, registry in _SHAPES:
        if users.fullmatch(user) and passwords.fullmatch(password):
            return registry
    return ""


class Logins:
    """Says which logins a registry is shown; remembers who has taken which."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._owners: LRU[str, str] = LRU(MOST_LOGINS)

    def home(self, who: Credential, service: str) -> tuple[Credential, Registry | None]:
        """At whose door a login is tried that comes without a repository, and with what.

        None where it may be for several: it is tried when a repository needs it.  Raises
        LookupError when its user's name tells a registry that is not listed.
        """
        owner_name = named(who)
        owner = (
            owner_name.registry or self._owners.get(owner_name.who.hash) or shape(owner_name.who)
        )
        if not owner and self._registries.added:
            return owner_name.who, None
        registry = self._registries.find(owner or service or DOCKER_HUB)
        if registry is None:
            raise LookupError(owner or service)
        return owner_name.who, registry

    def shown(self, who: Credential, registry: Registry, ns: str, agent: str) -> Credential:
        """What a registry gets to see of a client's login: all of it, or nothing."""
        if not who.basic:
            return who
        owner_name = named(who)
        owner = (
            owner_name.registry or self._owners.get(owner_name.who.hash) or shape(owner_name.who)
        )
        if owner:
            home = self._registries.find(owner)
            return (
                owner_name.who if home is not None and home.name == registry.name else Credential()
            )
        by_itself = bool(ns) or _BY_PREFIX.match(agent) is not None
        own = registry.name == DOCKER_HUB or registry.name in self._registries.added
        return owner_name.who if by_itself or own else Credential()

    def taken(self, who: Credential, registry: Registry) -> None:
        """A registry has taken a login, which is its own from now on."""
        self._owners.put(who.hash, registry.name)
