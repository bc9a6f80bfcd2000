"""What is allowed in a configuration, but hardly what was meant: each in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aimirror.config.conclusions import needless
from aimirror.config.model import Config
from aimirror.config.recognition import EVERYTHING
from aimirror.routing.rules import Rule

#: Paths that clients of a world ask for below its mount, whatever owners and packages are called.
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "huggingface": (
        "/owner/name/resolve/main/config.json",
        "/nvidia/name/resolve/main/model.safetensors",
        "/datasets/owner/name/resolve/main/data.zip",
        "/api/models/owner/name/revision/main",
    ),
    "pypi": ("/simple/numpy/", "/numpy/numpy-2.0-py3-none-any.whl"),
    "npm": ("/resolve", "/resolve/-/resolve-1.0.0.tgz"),
    "conda": ("/noarch/repodata.json", "/noarch/a-1.0-0.conda"),
    "cran": ("/src/contrib/PACKAGES", "/src/contrib/a_1.0.tar.gz"),
    "maven": ("/com/resolve/a/1.0/a-1.0.jar",),
    "oci": ("/v2/library/nginx/manifests/latest",),
}
#: The folder in which many Python indexes have their pages, beside that of the files.
_PAGES = "/simple"
_GB = 1000**3


def warnings(config: Config, value: Mapping[str, Any], disk: int | None = None) -> Iterator[str]:
    """Warnings of a configuration, ``value`` being its file as it was written.

    ``disk`` is the size in bytes of the disk of its cache folder.
    """
    yield from _of_rules(config.rules)
    yield from _shadowed(config.rules)
    yield from _beside(config.rules)
    for index, key in needless(list(value.get("rules") or ())):
        where, what = (f"rules[{index}].{key}", "key") if key else (f"rules[{index}]", "rule")
        yield f"{where}: the mirror takes the tokens of registries itself; remove the {what}"
    if disk is not None and config.cache.max_bytes > disk:
        yield (
            f"cache.max_size_gb: {config.cache.max_size_gb:g} is more than the whole disk of "
            f"{config.cache.dir} has ({disk / _GB:.0f} GB): files will be passed on unkept when "
            "it is full"
        )


def _of_rules(rules: tuple[Rule, ...]) -> Iterator[str]:
    """Rules that can't take any path, or none that is left."""
    for index, rule in enumerate(rules):
        problem = _unmatchable(rule)
        if not problem:
            before = next((r for r in rules[:index] if _covers(r, rule)), None)
            problem = f"rule {before.name!r} before it takes all of its paths" if before else ""
        if problem:
            yield f"rule {rule.name!r} can take no path: {problem}"


def _shadowed(rules: tuple[Rule, ...]) -> Iterator[str]:
    """Rules that take a path which clients of another world mean for a later rule."""
    for index, rule in enumerate(rules):
        for known in _KNOWN.get(rule.ecosystem, ()):
            path = rule.path_prefix + known if rule.strip_prefix else known
            if not rule.matches(path):
                continue
            first = next(each for each in rules if each.matches(path))
            if first not in rules[index:] and first.ecosystem != rule.ecosystem:
                yield f"rule {first.name!r} takes {path}, which is meant for rule {rule.name!r}"
                break


def _beside(rules: tuple[Rule, ...]) -> Iterator[str]:
    """Indexes whose pages may link to files that lie beside them, where no rule serves any."""
    bases = {
        upstream.rstrip("/"): rule
        for rule in rules
        if rule.ecosystem == "pypi" and rule.strip_prefix and not rule.path_prefix.endswith(_PAGES)
        for upstream in rule.upstreams
    }
    for base, rule in bases.items():
        above = base.removesuffix(_PAGES)
        if above != base:
            yield (
                f"rule {rule.name!r}: pages of {base} may link to files beside it, as "
                f"../../packages/..., which it does not serve; name {above} as its upstream, and "
                f"ask for {rule.path_prefix}{_PAGES}"
            )


def _unmatchable(rule: Rule) -> str:
    """Why a rule's own pattern and mount fit no path; "" when they may."""
    pattern = rule.pattern.pattern if rule.pattern is not None else ""
    start = _literal_start(pattern)
    if start is None:
        return ""
    if start and not start.startswith("/"):
        return f"paths begin with a slash, its pattern with {start!r}"
    mount = f"{rule.path_prefix}/"
    if rule.path_prefix and not (mount.startswith(start) or start.startswith(mount)):
        return f"its pattern begins with {start!r}, its path_prefix is {rule.path_prefix!r}"
    return ""


def _literal_start(pattern: str) -> str | None:
    """The text with which an anchored pattern begins; None for one that is not anchored."""
    match = re.match(r"\^((?:[A-Za-z0-9_/:-]|\\[./-])*)(.?)", pattern)
    if match is None or "|" in pattern:
        return None
    start = match[1].replace("\\", "")
    return start[:-1] if match[2] and match[2] in "*?+{" else start


def _covers(earlier: Rule, later: Rule) -> bool:
    """Whether an earlier rule surely takes whatever a later one would."""
    mount, own = f"{earlier.path_prefix}/", f"{later.path_prefix}/"
    if not own.startswith(mount):
        return False
    if earlier.pattern is None or earlier.pattern.pattern in EVERYTHING:
        return True
    same = later.pattern is not None and later.pattern.pattern == earlier.pattern.pattern
    return same and own == mount
