"""Which rule serves a URL that a client asks a proxy for: by its host first, then by its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve

from aimirror.http import urls
from aimirror.http.targets import DEFAULT_PORTS, BadTarget, Target, parse_target
from aimirror.routing.choices import Credentials
from aimirror.routing.mounts import mounts
from aimirror.routing.rules import Refused, Route, Rule, route_of, routed


def place(rules: Iterable[Rule], target: Target) -> Route | Refused | None:
    """The route of a URL, None when no rule serves it.

    Its cache key is that of the mirror's own path for it.  A rule takes a URL under one of its
    upstreams, the longest base first, if it would ask for that very URL.  A host that is no
    upstream but one whose links are led to the mirror is served as those links are.
    """
    rules = tuple(rules)
    path, _, query = target.path.partition("?")
    objection = urls.objection(path, query)
    if objection is not None:
        return Refused(objection)
    homes = sorted(_homes(rules, target), key=lambda home: -len(home[1]))
    for rule, base in homes:
        rest = _below(base, path)
        if rest is not None:
            split = _asking_for(rule, base, rest, query)
            if split is not None:
                return split
    return None if homes else _linked(rules, target, path, query)


def served(rules: Iterable[Rule], url: str) -> Route | None:
    """The route by which the mirror serves what an upstream names; None where it does not.

    So no upstream can lead to a host that no rule has.
    """
    try:
        answer = place(rules, parse_target(url))
    except BadTarget:
        return None
    return answer if isinstance(answer, Route) else None


def _homes(rules: Iterable[Rule], target: Target) -> Iterator[tuple[Rule, str]]:
    """Rules with an upstream at the target's host, and that upstream's base."""
    for rule in rules:
        for upstream in rule.upstreams:
            if urls.origin(upstream) in _origins(target):
                yield rule, urls.base(upstream)


def _origins(target: Target) -> tuple[str, ...]:
    """The target's origin; for plain HTTP also the secure one, which serves the same."""
    own = urls.origin(target.url)
    if target.scheme == "http" and target.port == DEFAULT_PORTS["http"]:
        return own, f"https://{target.bracketed}"
    return (own,)


def _below(base: str, path: str) -> str | None:
    """What of a path lies below a base URL's own path: "" or with a slash; None if it does not."""
    _, slash, own = base.partition("://")[2].partition("/")
    prefix = slash + own
    if not prefix:
        return path
    if path == prefix or path.startswith(prefix + "/"):
        return path[len(prefix) :]
    return None


def _asking_for(rule: Rule, base: str, rest: str, query: str) -> Route | None:
    mirrored = (rule.path_prefix + rest if rule.strip_prefix else rest) or "/"
    if not rule.matches(mirrored):
        return None
    route = routed(rule, mirrored, query)
    wanted = urls.canonical(urls.join(base, rest, query))
    if not isinstance(route, Route):
        return None
    asked = [url for url in route.urls if urls.canonical(url) == wanted]
    others = [url for url in route.urls if urls.canonical(url) != wanted]
    if not asked:
        return None
    # Whom the client asks comes first: a login is meant for it, even at a path of nobody's.
    if rule.credentials is Credentials.NONE:
        rule = evolve(rule, credentials=Credentials.FIRST)
    return evolve(route, rule=rule, urls=(*asked, *others))


def _linked(
    rules: tuple[Rule, ...], target: Target, path: str, query: str
) -> Route | Refused | None:
    for mount in mounts(rules):
        if urls.origin(mount.base) in _origins(target):
            rest = _below(mount.base, path)
            if rest is not None:
                return route_of(rules, mount.prefix + rest or "/", query)
    return None
