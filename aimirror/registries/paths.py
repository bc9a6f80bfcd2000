"""Paths of the OCI distribution API: whose registry, which repository, what of it.

Source: OCI Distribution Specification 1.1, "API" and "Pulling manifests / blobs".
"""

from __future__ import annotations

import enum
import re
from urllib.parse import parse_qsl

from attrs import evolve, frozen

from aimirror.http import urls
from aimirror.registries.registry import DOCKER_HUB, OLLAMA, Registries, Registry
from aimirror.routing.digests import Digest
from aimirror.upstream.redirects import resolve

#: Characters of a repository's name; the specification asks for at least 255 with the host's.
MAX_NAME = 255

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")
_PATH = re.compile(r"/v2/(.+)/(manifests|blobs|tags|referrers)/([^/]+)")
_LINK = re.compile(r"<([^<>]*)>([^,]*(?:,(?!\s*<)[^,]*)*)")


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
