"""Which package world a rule is for, when it does not say so, and what that brings it.

A rule of a few lines gets what the built-in rules have: the world's knowledge, its digests, what
of it never changes, how long its indexes live.  Only keys that the rule leaves open are filled in,
and each says why.  Rules here are the plain mappings of a configuration file: what is wrong in
them is left for the schema to tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from aimirror.http import urls

#: The value of ``ecosystem`` that turns this off.
NONE = "none"

#: Hosts, or the end of their names behind a dot, that serve one world alone; with a path, below it.
_HOSTS: Mapping[str, tuple[str, ...]] = {
    "pypi": (
        "pypi.org",
        "files.pythonhosted.org",
        "pypi.nvidia.com",
        "download.pytorch.org/whl",
        "download-r2.pytorch.org/whl",
    ),
    "huggingface": ("huggingface.co", "hf.co", "hf-mirror.com"),
    "npm": ("registry.npmjs.org", "registry.yarnpkg.com", "registry.npmmirror.com"),
    "conda": ("conda.anaconda.org", "repo.anaconda.com", "repo.prefix.dev"),
    "cran": ("cran.r-project.org", "cloud.r-project.org", "cran.rstudio.com", "bioconductor.org"),
    "maven": (
        "repo.maven.apache.org",
        "repo1.maven.org",
        "maven.google.com",
        "plugins.gradle.org",
    ),
    "apt": (
        "deb.debian.org",
        "security.debian.org",
        "archive.ubuntu.com",
        "security.ubuntu.com",
        "ports.ubuntu.com",
    ),
    "cargo": ("static.crates.io", "index.crates.io"),
    "rubygems": ("rubygems.org", "index.rubygems.org"),
    "rpm": ("dl.fedoraproject.org",),
}

#: What a rule's pattern and mount say together, tried in this order.
_PATHS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("oci", re.compile(r"^\^?/v2(/|$)")),
    ("huggingface", re.compile(r"\bblob\|resolve\b|\bresolve\|blob\b|/resolve/|/api/models\b")),
    ("pypi", re.compile(r"/simple\b|\bwhl\b|^\^?/packages/")),
    ("cran", re.compile(r"/src/contrib\b")),
    ("npm", re.compile(r"/registry/npm\b|\.tgz\b.*/-/|/-/.*\.tgz\b")),
    ("conda", re.compile(r"/conda-forge\b|/bioconda\b|\.conda\b|\(conda\|")),
    ("maven", re.compile(r"/maven2\b")),
    ("apt", re.compile(r"/by-hash/|\.deb\b|\(deb\|")),
    ("rpm", re.compile(r"/repodata/|\.d?rpm\b")),
    ("cargo", re.compile(r"\.crate\b")),
    ("rubygems", re.compile(r"\.gem\b")),
)

#: Paths that never change, by world: versions, hashes and commits are in them.
_IMMUTABLE: Mapping[str, str] = {
    "pypi": r"/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/",
    "huggingface": r"/(blob|resolve)/[0-9a-f]{40}/",
    "npm": r"/-/[^/]+\.tgz$",
    "conda": r"/[^/]+\.(conda|tar\.bz2)$",
    "cran": r"/[A-Za-z][A-Za-z0-9.]*_[0-9][^/]*\.(tar\.gz|zip|tgz)$",
    "maven": r"^(?!.*(-SNAPSHOT/|/maven-metadata\.xml)).*/[^/]+\.(jar|pom|war|aar|klib|module)$",
    "apt": r"/by-hash/SHA256/[0-9a-f]{64}$|/pool/.+\.(deb|udeb|ddeb|dsc|tar\.\w+|diff\.gz)$",
    "rpm": r"/repodata/[0-9a-f]{64}-[^/]+$|/[^/]+\.d?rpm$",
    "cargo": r"\.crate$|/download$",
    "rubygems": r"/gems/[^/]+\.gem$",
}

_DIGESTS: Mapping[str, list[dict[str, str]]] = {
    "huggingface": [{"algorithm": "sha256", "from": "header", "name": "X-Linked-Etag"}],
    "apt": [{"algorithm": "sha256", "from": "path", "pattern": r"/by-hash/SHA256/([0-9a-f]{64})$"}],
    "rpm": [{"algorithm": "sha256", "from": "path", "pattern": r"/repodata/([0-9a-f]{64})-"}],
}

_HUB_FIELDS = ["x-repo-commit", "x-linked-etag", "x-linked-size", "etag"]

#: Indexes go on while the upstream is down; what a page says of its own life comes first.
_CACHE: Mapping[str, Any] = {"stale_if_error": "7d"}
PAGES: Mapping[str, Any] = {"ttl": "10m", "stale_if_error": "7d", "obey_clients": False}

#: Files of the hub: ``OWNER/NAME`` or ``NAME``, of models, datasets, spaces or kernels, at a
#: revision that is surely the hub's, whatever mount an owner is called like.
HUB_FILES = (
    r"^/((datasets|spaces|kernels)/)?[^/]+(/[^/]+)?"
    r"/(blob|resolve)/(main|[0-9a-f]{40}|refs%2[Ff][^/]+)/.+"
)
#: At any revision: folders of other worlds may be called so, whose rules must stand before.
HUB_REVISIONS = r"^/(?!https?:/).*/(blob|resolve)/[^/]+/.+"
#: The patterns of the first versions' document, which take paths of other worlds: what they mean.
_MEANT: Mapping[str, str] = {
    "/.*/(blob|resolve)/[^/]+/.+": HUB_REVISIONS,
    "/api/models/.*": "^/api/models/.*",
    "/v2/.*": "^/v2/.*",
    "/v2/.*/blobs/sha256:[a-f0-9]+": "^/v2/.*/blobs/sha256:[a-f0-9]+",
    r"/packages/.+\.(whl|tar\.gz|zip)$": r"^/packages/.+\.(whl|tar\.gz|zip)$",
    "/src/contrib/.*": "^/src/contrib/.*",
    "/.*/releases/download/.+": "^/[^/]+/[^/]+/releases/download/.+",
}


@frozen
class Recognised:
    """What a rule turned out to be."""

    #: The name of its world, "" for none.
    world: str
    #: In words, for administrators.
    because: str
    #: Keys that the rule left open, and patterns that are made precise.
    adds: Mapping[str, Any]


def recognised(rule: Mapping[str, Any]) -> Recognised | None:
    """What can be concluded of a rule; None for nothing, or when it names its world itself."""
    if rule.get("ecosystem"):
        return None
    world, because = _world(rule)
    adds: dict[str, Any] = {}
    meant = _MEANT.get(_text(rule, "pattern"))
    if meant is not None and (world or _host(rule) == "github.com") and not _mount(rule):
        adds["pattern"] = meant
        because = because or f"its pattern {rule['pattern']!r} means paths of github.com"
    if world:
        adds["ecosystem"] = world
        adds |= {key: value for key, value in _of_world(rule, world) if key not in rule}
    return Recognised(world, because, adds) if adds else None


def _world(rule: Mapping[str, Any]) -> tuple[str, str]:
    """The world and the evidence for it; a rule that takes everything is of none."""
    if rule.get("handler") == "handlers.docker":
        return "oci", "its handler is handlers.docker"
    where = _mount(rule) or _text(rule, "pattern")
    for name, paths in _PATHS:
        if paths.search(where):
            return name, f"its paths are like {where!r}"
    fields = rule.get("head_meta_headers")
    named = {str(each).lower() for each in fields} if isinstance(fields, list) else set()
    if named & {"x-linked-etag", "x-repo-commit"}:
        return "huggingface", "its head_meta_headers are the hub's"
    if takes_everything(rule) and not _mount(rule):
        return "", ""
    upstream = _upstream(rule)
    for name, hosts in _HOSTS.items():
        if any(_serves(each, upstream) for each in hosts):
            return name, f"its upstream is {urls.host(upstream)}"
    return "", ""


def _serves(place: str, upstream: str) -> bool:
    """Whether a URL is of a host, and below a path of it if there is one."""
    host, _, path = place.partition("/")
    try:
        own = urls.host(upstream) if upstream else ""
    except ValueError:
        return False
    below = f"{urls.base(upstream)}/".partition("://")[2].partition("/")[2] if own else ""
    return (own == host or own.endswith(f".{host}")) and below.startswith(
        f"{path}/" if path else ""
    )


def _of_world(rule: Mapping[str, Any], world: str) -> Iterator[tuple[str, Any]]:
    """The keys that a world's rule needs, whether or not the rule has them."""
    if world == "oci":
        if rule.get("strategy") != "parallel":
            yield "cache", dict(_CACHE)
        return
    if world in _IMMUTABLE:
        yield "immutable", _IMMUTABLE[world]
    if world in _DIGESTS:
        yield "digest", _DIGESTS[world]
    if world == "huggingface":
        yield "head_meta_headers", _HUB_FIELDS
        yield "path_rewrite", [{"search": "/blob/", "replace": "/resolve/"}]
    pages = world == "pypi" and rule.get("strategy", "proxy") == "proxy"
    if pages:
        yield "content_rewrite", _links(rule)
    if world == "npm":
        yield "content_rewrite", {"members": ["tarball"]}
    yield "cache", dict(PAGES if pages else _CACHE)


def _links(rule: Mapping[str, Any]) -> dict[str, Any]:
    if _host(rule) == "pypi.org":
        return {"targets": ["https://files.pythonhosted.org"]}
    return {}


#: Patterns that take every path.
EVERYTHING = frozenset({"", ".*", "^.*", "^.*$", "/", "^/", "/.*", "^/.*", "^/.*$", ".+"})


def takes_everything(rule: Mapping[str, Any]) -> bool:
    """Whether a rule's pattern leaves no path out."""
    return _text(rule, "pattern") in EVERYTHING


def _mount(rule: Mapping[str, Any]) -> str:
    return _text(rule, "path_prefix")


def _host(rule: Mapping[str, Any]) -> str:
    """The host of the first upstream, "" where there is none."""
    upstream = _upstream(rule)
    try:
        return urls.host(upstream) if upstream else ""
    except ValueError:
        return ""


def _upstream(rule: Mapping[str, Any]) -> str:
    """The first upstream, "" where there is none."""
    upstream = rule.get("upstream", rule.get("upstreams"))
    first = upstream[0] if isinstance(upstream, list) and upstream else upstream
    return first if isinstance(first, str) else ""


def _text(rule: Mapping[str, Any], key: str) -> str:
    value = rule.get(key)
    return value if isinstance(value, str) else ""
