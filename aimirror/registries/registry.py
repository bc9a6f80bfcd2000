"""The container registries that clients may reach through the mirror, by name and alias."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import evolve, field, frozen

#: Where requests go that name no registry: clients were built for it.
DOCKER_HUB = "docker.io"
#: Where Ollama's models are: its client names no registry either.
OLLAMA = "registry.ollama.ai"


@frozen(kw_only=True)
class Registry:
    """One registry that clients may reach through the mirror."""

    name: str = ""
    #: Base URLs without ``/v2``, the first one first; none means those of the rule that takes the
    #: request.
    upstreams: tuple[str, ...] = ()
    #: Other names by which clients ask for it.
    aliases: tuple[str, ...] = ()
    #: Whether the mirror takes anonymous tokens itself for clients that bring no credentials.
    anonymous: bool = True
    #: Whether tags that the registry has deleted are served on, as what they stood for last.
    keep_deleted: bool = False
    #: Repositories lie below it at the upstream: a project of Harbor, a repository of a cloud.
    prefix: str = ""
    #: The mirror's own login, and the files that hold its secret.
    username: str = ""
    password_file: str = ""
    token_file: str = ""
    #: Whether what that login alone opens is served to everybody.
    share: bool = False
    #: As in a rule, which these take the place of.
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    #: Authorization as read from those files.
    login: str = field(default="", repr=False)


def _known(name: str, upstream: str = "", *aliases: str) -> Registry:
    return Registry(name=name, upstreams=(upstream or f"https://{name}",), aliases=aliases)


#: The closed list of what is dialled unless the configuration adds to it.
DEFAULTS = (
    Registry(
        name=DOCKER_HUB,
        aliases=("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"),
    ),
    _known("ghcr.io"),
    _known("quay.io"),
    _known("gcr.io"),
    _known("registry.k8s.io", "", "k8s.gcr.io"),
    _known("mcr.microsoft.com"),
    _known("nvcr.io"),
    _known("public.ecr.aws"),
    _known("registry.gitlab.com"),
    _known("docker.elastic.co"),
    _known("registry.access.redhat.com"),
    _known(OLLAMA),
)


def merged(configured: Iterable[Registry]) -> tuple[Registry, ...]:
    """The defaults with what the configuration says; what it leaves open stays.

    A registry of a name of its own is found at ``https://NAME`` unless it says where.
    """
    table = {registry.name: registry for registry in DEFAULTS}
    for each in configured:
        known = table.get(each.name) or _known(each.name)
        table[each.name] = evolve(
            each,
            upstreams=tuple(map(_base, each.upstreams)) or known.upstreams,
            aliases=(*known.aliases, *each.aliases),
            prefix=_prefix(each.upstreams),
        )
    return tuple(table.values())


def _base(upstream: str) -> str:
    """A registry's URL without the API's path and what lies below it."""
    return re.sub(r"/v2(/.*)?$", "", upstream.rstrip("/"))


def _prefix(upstreams: tuple[str, ...]) -> str:
    """What a URL such as ``https://harbor/v2/project`` puts before the names of repositories."""
    match = re.search(r"/v2/(.+)$", upstreams[0].rstrip("/")) if upstreams else None
    return match[1] if match is not None else ""


class Registries:
    """The table by name and alias; what is not in it is never dialled."""

    def __init__(self, table: Iterable[Registry]) -> None:
        self._named: dict[str, Registry] = {}
        #: The names of those that are not among the defaults.
        self.added: frozenset[str] = frozenset()
        for registry in table:
            for name in (registry.name, *registry.aliases):
                self._named[name.lower()] = registry
        known = {registry.name for registry in DEFAULTS}
        self.added = frozenset(r.name for r in self._named.values() if r.name not in known)

    def find(self, name: str) -> Registry | None:
        """The registry of a name or alias, None when it is not listed."""
        lowered = name.lower()
        registry = self._named.get(lowered)
        if registry is not None:
            return registry
        for parent in _parents(lowered):
            wildcard = self._named.get(f"*.{parent}")
            if wildcard is not None:
                return evolve(wildcard, name=lowered, upstreams=(f"https://{lowered}",), aliases=())
        return None


def _parents(host: str) -> Iterator[str]:
    """The domains that a host lies in, the nearest first."""
    while "." in host:
        host = host.partition(".")[2]
        yield host
