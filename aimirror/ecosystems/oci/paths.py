"""Paths of the OCI distribution API: whose registry, which repository, what of it.

Source: OCI Distribution Specification 1.1, "API" and "Pulling manifests / blobs".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl

from attrs import evolve, field, frozen

from aimirror.http import urls
from aimirror.routing.digests import Digest
from aimirror.upstream.redirects import resolve

#: Where requests go that name no registry: clients were built for it.
DOCKER_HUB = "docker.io"
#: Where Ollama's models are: its client names no registry either.
OLLAMA = "registry.ollama.ai"
#: Characters of a repository's name; the specification asks for at least 255 with the host's.
MAX_NAME = 255

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")
_PATH = re.compile(r"/v2/(.+)/(manifests|blobs|tags|referrers)/([^/]+)")
_LINK = re.compile(r"<([^<>]*)>([^,]*(?:,(?!\s*<)[^,]*)*)")


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


class Kind(enum.Enum):
    """What of a repository is asked for."""

    MANIFEST = "manifests"
    BLOB = "blobs"
    TAGS = "tags"
    REFERRERS = "referrers"


@frozen(kw_only=True)
class Target:
    """What a request asks for, in the words of its upstream."""

    registry: Registry
    #: The repository as the upstream calls it, and as the client did.
    name: str
    asked: str
    kind: Kind
    #: Tag or digest; "list" for tags.
    reference: str
    digest: Digest | None
    #: The client's query without ``ns``, raw, and its ``ns``.
    query: str
    ns: str

    @property
    def path(self) -> str:
        """Under the upstream's base."""
        return f"/v2/{self.name}/{self.kind.value}/{self.reference}"

    @property
    def changes(self) -> bool:
        """Whether it is not what a digest names: a tag, or a list."""
        return self.digest is None or self.kind not in (Kind.MANIFEST, Kind.BLOB)

    def named(self, digest: Digest, kind: Kind) -> Target:
        """What a digest names in the same repository."""
        reference = f"{digest.algorithm}:{digest.hex}"
        return evolve(self, kind=kind, reference=reference, digest=digest, query="")


@frozen
class Problem:
    """Why a path is not served: a status and an error code of the specification."""

    status: int
    code: str
    message: str


def parse_digest(text: str) -> Digest | None:
    """``sha256:HEX`` or ``sha512:HEX``, else None."""
    match = _DIGEST.fullmatch(text)
    return Digest(match[1] or match[3], match[2] or match[4]) if match else None


def default_of(agent: str) -> str:
    """The registry that a client means when it names none, by its User-Agent."""
    return OLLAMA if agent.lower().startswith("ollama/") else DOCKER_HUB


def registry_of(ns: str, registries: Registries, default: str = DOCKER_HUB) -> Registry | Problem:
    """The registry that ``ns`` names, the default for none."""
    registry = registries.find(ns or default)
    return registry or Problem(404, "NAME_UNKNOWN", f"registry {ns[:100]!r} is not served here")


def ns_of(query: str) -> str:
    """The registry that containerd names in the query, "" without one."""
    return next((value for name, value in parse_qsl(query) if name == "ns"), "")


def parse(
    path: str, query: str, registries: Registries, default: str = DOCKER_HUB
) -> Target | Problem:
    """What a raw path below ``/v2/`` asks for.

    The registry is that of ``ns=``, else that of a host name before the repository's, else the
    default: Docker Hub, whose official images live below ``library/``.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return Problem(404, "UNSUPPORTED", "manifests, blobs, tags and referrers are served here")
    asked, kind, reference = match[1], Kind(match[2]), re.sub("%3[aA]", ":", match[3])
    digest = parse_digest(reference)
    problem = _unfit(kind, reference, digest)
    if problem is not None:
        return problem
    ns = ns_of(query)
    placed = locate(asked, ns, registries, default)
    if isinstance(placed, Problem):
        return placed
    kept = "&".join(p for p in query.split("&") if p and p != "ns" and not p.startswith("ns="))
    return Target(
        registry=placed[0],
        name=placed[1],
        asked=asked,
        kind=kind,
        reference=reference,
        digest=digest,
        query=kept,
        ns=ns,
    )


def locate(
    asked: str, ns: str, registries: Registries, default: str = DOCKER_HUB
) -> tuple[Registry, str] | Problem:
    """The registry of a repository and its name there."""
    host, slash, rest = asked.partition("/")
    looks_like_host = "." in host or ":" in host or host == "localhost"
    if not ns and slash and looks_like_host and _HOST.fullmatch(host):
        ns, name = host, rest
    else:
        # Clients whose mirror has a registry's name in its path say it twice.
        name = asked.removeprefix(f"{ns}/") if ns else asked
    registry = registry_of(ns, registries, default)
    if isinstance(registry, Problem):
        return registry
    if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        return Problem(404, "NAME_INVALID", "that is no name of a repository")
    if registry.name == DOCKER_HUB and "/" not in name:
        name = f"library/{name}"
    return registry, f"{registry.prefix}/{name}" if registry.prefix else name


def _unfit(kind: Kind, reference: str, digest: Digest | None) -> Problem | None:
    if kind is Kind.TAGS:
        fits = reference == "list"
    elif kind is Kind.MANIFEST:
        fits = digest is not None or _TAG.fullmatch(reference) is not None
    else:
        fits = digest is not None
    if fits:
        return None
    if kind is Kind.TAGS:
        return Problem(404, "UNSUPPORTED", "of tags the list is served here")
    code = "MANIFEST_INVALID" if kind is Kind.MANIFEST else "DIGEST_INVALID"
    return Problem(400, code, "that is neither a tag nor a sha256 or sha512 digest")


def rewritten_link(value: str, url: str, path: str, ns: str) -> str:
    """A Link field of a list at ``url`` as a client needs it that asked for ``path``.

    Pages are of one list, so that only the query differs; what leads elsewhere is left out.
    """
    kept = []
    for reference, parameters in _LINK.findall(value):
        try:
            target = resolve(url, reference)
            same = urls.canonical(target).partition("?")[0] == urls.canonical(url).partition("?")[0]
        except ValueError:
            continue
        if same:
            query = target.partition("?")[2]
            named = f"{query}&ns={ns}" if query and ns else query or (f"ns={ns}" if ns else "")
            kept.append(f"<{path}{'?' if named else ''}{named}>{parameters.rstrip()}")
    return ", ".join(kept)
