"""Rules: which upstream serves a path and how a miss is filled; the route of one request.

Paths are raw: undecoded, as the client sent them.  The first rule that matches wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import evolve, field, frozen

from aimirror.http import urls
from aimirror.http.forwarding import GIT
from aimirror.http.headers import CREDENTIALS
from aimirror.routing import digests
from aimirror.routing.choices import (
    ContentRewrite,
    Credentials,
    KeySource,
    OnMissing,
    PathRewrite,
    Strategy,
    Xet,
)
from aimirror.routing.digests import Digest, DigestSource
from aimirror.routing.names import belongs
from aimirror.routing.policies import CachePolicy

#: What portals, logins and broken servers send in place of a file, and what no such page is called.
_PAGE = "text/html"
_NO_PAGE = re.compile(
    r"\.(?:json|ya?ml|xml|pom|module|zst|gz|xz|bz2|lz4|rds|sha1|sha256|sha512|md5|msgpack"
    r"|tar|tgz|zip|whl|jar|deb|rpm|apk|crate|gem|conda|nupkg)$"
    r"|/(?:InRelease|Release|Release\.gpg|Packages|PACKAGES)$"
)
#: Where git asks for a repository's references, by the version of its protocol.
_REFERENCES = "/info/refs"
#: A URL as a path; some clients and proxies merge its slashes.
_ABSOLUTE = re.compile(r"/(https?):/{1,2}([A-Za-z0-9.-]+(?::\d{1,5})?)(/.*|)", re.I | re.DOTALL)


def _entry(path: str, allow: tuple[str, ...]) -> str:
    """What lists the host that a path names, "" for none: itself before what stands for many."""
    match = _ABSOLUTE.fullmatch(path)
    authority = "" if match is None else match[2].lower()
    if authority in allow:
        return authority
    below = (host for host in allow if host.startswith("*.") and authority.endswith(host[1:]))
    return next(below, "")


def _named(upstreams: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, upstreams))


def _unslashed(prefix: str) -> str:
    return prefix.rstrip("/")


def _lowered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


@frozen(kw_only=True)
class Rule:
    """One rule of the configuration.  Sizes are bytes, rates bytes per second (0: no limit)."""

    name: str
    #: Base URLs; the first names the cache key, the others serve the same files.  None at all:
    #: the path itself names the upstream, one of ``allow``, as in ``/https://host/path``.
    upstreams: tuple[str, ...] = field(converter=_named)
    #: ``host`` or ``host:port``, in lower case; a leading ``*.`` stands for any labels.  Of a
    #: route's rule it is what lists the route's host.
    allow: tuple[str, ...] = ()
    strategy: Strategy = Strategy.PROXY
    #: Searched in the path, and the mount the path must lie in; both absent matches all.
    pattern: re.Pattern[str] | None = None
    path_prefix: str = field(default="", converter=_unslashed)
    strip_prefix: bool = False
    #: Smaller files are fetched as one plain stream: two round trips cost more than they gain.
    min_size: int = 1 << 20
    #: Larger files are streamed and not cached.
    max_size: int | None = None
    #: Connections of one download.
    concurrency: int = 20
    #: Bytes of a piece; 0 chooses by size and concurrency.
    chunk_size: int = 0
    cache_key_source: KeySource = KeySource.ORIGINAL
    path_rewrite: tuple[PathRewrite, ...] = ()
    content_rewrite: ContentRewrite | None = None
    #: Dotted name of a module with ``exec_path``; "" for none.
    handler: str = ""
    #: The package world whose knowledge applies to it; "" for none.
    ecosystem: str = ""
    #: Response fields of the upstream's first answer that HEAD and GET keep across redirects.
    head_meta_headers: tuple[str, ...] = ()
    #: Whether (or at which paths) a stored file never changes and is never asked for again.
    immutable: bool | re.Pattern[str] = False
    digests: tuple[DigestSource, ...] = ()
    #: What the upstream serves without credentials is asked for without them, and shared.
    public: bool = False
    credentials: Credentials = Credentials.FIRST
    on_missing: OnMissing = OnMissing.FAIL
    #: Patterns of package names that are asked of the first upstream alone.
    names: tuple[str, ...] = ()
    #: Request fields (lower case) that go upstream beside the usual ones and choose among answers.
    request_headers: tuple[str, ...] = field(default=(), converter=_lowered)
    #: Request fields (lower case) that are credentials beside the usual ones.
    credential_headers: tuple[str, ...] = field(default=(), converter=_lowered)
    #: Substrings of Content-Types that are never right here: such answers count as failures.
    reject_types: tuple[str, ...] = ()
    rate_limit: int = 0
    cache: CachePolicy = CachePolicy()
    #: Seconds for which package indexes don't show a file after it was uploaded; 0 shows all.
    cooldown: float = 0.0
    #: What becomes of the hub's hints at its protocol for chunks, which leads past the mirror.
    xet: Xet = Xet.STRIP
    #: Whether what is for anybody goes to the tier, where there is one.
    tier: bool = True
    #: Whether pages of any site may read what is given to clients without a login.
    cors: bool = False
    #: None uses the server's, "" goes directly.
    upstream_proxy: str | None = field(default=None, repr=lambda value: repr(value and "***"))
    #: PEM files: authorities that are believed beside the system's; what is shown to an upstream
    #: that asks for a certificate, and its key where that is a file of its own.
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""

    def matches(self, path: str) -> bool:
        """Whether this rule takes a path; a prefix ends at a segment's boundary."""
        prefix = self.path_prefix
        if prefix and path != prefix and not path.startswith(prefix + "/"):
            return False
        return self.pattern is None or self.pattern.search(path) is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """All request fields that are credentials here."""
        return (*CREDENTIALS, *self.credential_headers)

    @property
    def obeys_clients(self) -> bool:
        """Whether clients' wishes (no-cache, no-store) cost the upstream a request.

        Where they don't, such a wish is about the client's own cache alone.
        """
        obey = self.cache.obey_clients
        return self.strategy is Strategy.PROXY if obey is None else obey

    def upstream_path(self, path: str) -> str:
        """The path under the upstream's base: "" or beginning with a slash."""
        if self.strip_prefix:
            path = path[len(self.path_prefix) :]
        for rewrite in self.path_rewrite:
            path = path.replace(rewrite.search, rewrite.replace)
        return path if path.startswith("/") or not path else "/" + path

    def rejects(self, content_type: str, path: str) -> bool:
        """Whether a body of this type can only be a mistake, as a portal's page for an archive.

        Paths of a package world tell of some files that they are none for people.
        """
        lowered = content_type.lower()
        if any(wrong.lower() in lowered for wrong in self.reject_types):
            return True
        return bool(self.ecosystem) and _PAGE in lowered and _NO_PAGE.search(path) is not None

    def targets(self, path: str, query: str) -> tuple[str, ...]:
        """The upstream URLs for a path that ``upstream_path`` gave; none if it is not allowed."""
        if self.upstreams:
            own = bool(self.names) and belongs(path, self.names)
            upstreams = self.upstreams[:1] if own else self.upstreams
            return tuple(urls.join(upstream, path, query) for upstream in upstreams)
        match = _ABSOLUTE.fullmatch(path)
        if match is None or not _entry(path, self.allow):
            return ()
        return (urls.join(f"{match[1].lower()}://{match[2]}", match[3], query),)

    def never_changes(self, path: str) -> bool:
        """Whether the configuration calls this path's content immutable."""
        if isinstance(self.immutable, bool):
            return self.immutable
        return self.immutable.search(path) is not None


@frozen
class Route:
    """Where one request goes."""

    rule: Rule
    #: The client's path, raw.
    path: str
    #: One URL per upstream of the rule, in its order; what a proxy's client asks for comes first.
    urls: tuple[str, ...]
    #: The canonical form of the first upstream's URL: the name of the entry.
    key: str
    #: The content at this path never changes: a hit asks nobody.
    immutable: bool
    #: What the path or query says that the file hashes to.
    digest: Digest | None
    #: Bytes that the file has, where that is known beforehand.
    size: int | None = None
    #: Bodies are sent byte for byte: no links rewritten, nothing compressed on the way.
    exact: bool = False
    #: Request fields (lower case) that choose among answers, whether or not Vary names them.
    vary: tuple[str, ...] = ()

    @property
    def request_headers(self) -> tuple[str, ...]:
        """Request fields (lower case) that go upstream beside the usual ones."""
        return (*self.vary, *self.rule.credential_headers)

    @property
    def obeys_clients(self) -> bool:
        """Whether a client's no-store is about this cache, too, and not its own alone."""
        return self.rule.obeys_clients and not self.immutable and self.digest is None


def holding(route: Route, digest: Digest) -> Route:
    """The same place for a file of one digest: what is stored of it otherwise may be another."""
    key = f"{route.key}#{digest.algorithm}={digest.hex}"
    return evolve(route, key=key, digest=digest, immutable=True)


@frozen
class Refused:
    """A request target that is not passed on (400), and why."""

    reason: str


def route_of(rules: Iterable[Rule], raw_path: str, query: str) -> Route | Refused | None:
    """The route of a request by the first rule that matches; None when no rule does.

    ``raw_path`` is undecoded, ``query`` without "?" ("" for none).
    """
    objection = urls.objection(raw_path, query)
    if objection is not None:
        return Refused(objection)
    for rule in rules:
        if rule.matches(raw_path):
            return routed(rule, raw_path, query)
    return None


def routed(rule: Rule, raw_path: str, query: str) -> Route | Refused:
    """The route of a path that a rule takes."""
    path = rule.upstream_path(raw_path)
    objection = urls.objection(path or "/", query)
    if objection is not None:
        return Refused(f"{objection} once it is rewritten")
    targets = rule.targets(path, query)
    if not targets:
        return Refused("it names no host that the rule allows, as /https://host/path does")
    if not rule.upstreams:
        rule = evolve(rule, allow=(_entry(path, rule.allow),))
    digest = digests.expected(rule.digests, raw_path, query)
    return Route(
        rule=rule,
        path=raw_path,
        urls=targets,
        key=urls.canonical(targets[0]),
        immutable=digest is not None or rule.never_changes(raw_path),
        digest=digest,
        vary=(*rule.request_headers, *((GIT,) if path.endswith(_REFERENCES) else ())),
    )
