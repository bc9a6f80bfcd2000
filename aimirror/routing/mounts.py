"""Where the mirror's own paths lead: which path of ours names which place of an upstream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import frozen

from aimirror.http import urls
from aimirror.routing.rules import Route, Rule, route_of


@frozen
class Mount:
    """Links that begin with ``base`` are served by the mirror under ``prefix`` ("" is its root)."""

    base: str
    prefix: str


def mounts(rules: Iterable[Rule]) -> tuple[Mount, ...]:
    """How upstream links map back to the mirror, longest base first.

    Rules with a ``path_prefix`` give a mount for each upstream, and so do those whose ``pattern``
    is a literal path and whatever follows; ``content_rewrite.targets`` that no such rule serves
    map to the root.  On equal bases the first rule wins.
    """
    rules = tuple(rules)
    paths: dict[str, str] = {}
    for base, prefix in (*_prefixed(rules), *_targets(rules), *_patterned(rules)):
        paths.setdefault(base, prefix)
    ordered = sorted(paths.items(), key=lambda item: -len(item[0]))
    return tuple(Mount(base, prefix) for base, prefix in ordered)


def own_bases(rules: Iterable[Rule], ecosystem: str, url: str) -> tuple[str, ...]:
    """The bases below which a package world's indexes may tell of the file at ``url``.

    Those above it, and those of rules that name its place among their ``content_rewrite.targets``;
    without any, those at its origin, of several the ones that share most of its path.  Whoever
    else names the file has no say: one index could refuse another's files.  Where nothing ever
    changes there is no index.
    """
    bases = [
        (rule, urls.join(upstream, rule.upstream_path(rule.path_prefix), ""))
        for rule in rules
        if rule.ecosystem == ecosystem and rule.immutable is not True
        for upstream in rule.upstreams
    ]
    naming = [
        base
        for rule, base in bases
        if _names_place(rule, url) or url.startswith(base.rstrip("/") + "/")
    ]
    if naming:
        return tuple(dict.fromkeys(naming))
    shared = {
        base: _shared(base, url) for _, base in bases if urls.origin(base) == urls.origin(url)
    }
    most = max(shared.values(), default=0)
    return tuple(base for base, segments in shared.items() if segments == most)


def _names_place(rule: Rule, url: str) -> bool:
    targets = () if rule.content_rewrite is None else rule.content_rewrite.targets
    return any(url.startswith(urls.base(target).rstrip("/") + "/") for target in targets)


def _shared(base: str, url: str) -> int:
    """The path segments with which both begin."""
    count = 0
    for ours, theirs in zip(base.rstrip("/").split("/"), url.split("/"), strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _prefixed(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    for rule in rules:
        if rule.path_prefix:
            under = rule.upstream_path(rule.path_prefix).rstrip("/")
            for upstream in rule.upstreams:
                yield urls.base(upstream) + under, rule.path_prefix
        if not rule.upstreams:
            prefix = rule.path_prefix if rule.strip_prefix else ""
            for host in rule.allow:
                if not host.startswith("*."):
                    yield f"https://{host}", f"{prefix}/https://{host}"
                    yield f"http://{host}", f"{prefix}/http://{host}"


#: A pattern that takes all below a path that is written out.
_LITERAL = re.compile(r"\^?((?:/[\w@~-]+)*)(?:/?\.[*+]|/)?\$?")


def _patterned(rules: tuple[Rule, ...]) -> Iterator[tuple[str, str]]:
    """The literal paths of rules without a prefix, as far as no earlier rule takes them."""
    for rule in rules:
        literal = _LITERAL.fullmatch("" if rule.pattern is None else rule.pattern.pattern)
        if rule.path_prefix or rule.path_rewrite or literal is None:
            continue
        below = route_of(rules, f"{literal[1]}/-", "")
        if isinstance(below, Route) and below.rule is rule:
            for upstream in rule.upstreams:
                yield urls.base(upstream) + literal[1], literal[1]


def _targets(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    for rule in rules:
        if rule.content_rewrite is not None:
            for target in rule.content_rewrite.targets:
                yield urls.base(target), ""


def hosts(rules: Iterable[Rule]) -> frozenset[str]:
    """The lower-case host names of all upstreams."""
    return frozenset(urls.host(upstream) for rule in rules for upstream in rule.upstreams)
