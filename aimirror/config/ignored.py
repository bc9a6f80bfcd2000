"""Keys of a configuration that change nothing: whoever wrote them believes that they do.

``aimirror check`` calls them errors; a service starts all the same, and says them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from aimirror.config import presets
from aimirror.config.model import AccessFormat, Config
from aimirror.ecosystems.registry import BY_NAME
from aimirror.routing.choices import OnMissing, Strategy
from aimirror.routing.rules import Rule

#: Keys of a rule that only ``strategy: parallel`` heeds.
_PARALLEL = ("concurrency", "chunk_size", "min_size")
#: Keys of a rule that one world alone heeds.
_OF_WORLDS = {"cooldown": "pypi", "xet": "huggingface"}
#: Keys of a rule about what several upstreams are to each other.
_OF_SEVERAL = ("names", "on_missing")
#: What a key of a rule is called in a Rule.
_FIELDS = {"digest": "digests"}
_PLAIN: Any = Rule(name="", upstreams=())


def ignored(config: Config, value: Mapping[str, Any]) -> Iterator[str]:
    """A line for each, ``value`` being the file as it was written."""
    named = {rule.name: rule for rule in config.rules}
    for index, item in enumerate(value.get("rules") or ()):
        if isinstance(item, dict):
            rules = [named[name] for name in _names(item) if name in named]
            for key, why in _of_item(item, rules):
                yield f"rules[{index}].{key}: {why}"
    if value.get("registries") and not any(rule.ecosystem == "oci" for rule in config.rules):
        yield "registries: of no use without a rule for /v2/"
    for registry in config.registries:
        if registry.share and not registry.username and not registry.token_file:
            yield f"registries.{registry.name}.share: of no use without username or token_file"
    yield from _of_sections(config, value)


def _names(item: Mapping[str, Any]) -> list[str]:
    """Of the rules that an item stands for."""
    known = presets.presets().get(item.get("preset", ""))
    name = str(item.get("name") or item.get("preset"))
    return [name] if known is None else [f"{name}{rule['name']}" for rule in known]


def _of_item(item: Mapping[str, Any], rules: list[Rule]) -> Iterator[tuple[str, str]]:
    """Keys that none of the rules heeds, and why the first of them does not."""
    for key in _keys(item):
        reasons = [_reason(rule, key) for rule in rules]
        if reasons and all(reasons):
            yield key, reasons[0]


def _keys(item: Mapping[str, Any]) -> Iterator[str]:
    for key, given in item.items():
        if key == "cache" and isinstance(given, dict):
            yield from (f"cache.{each}" for each, policy in given.items() if policy is not None)
        elif given is not None:
            yield key


def _reason(rule: Rule, key: str) -> str:
    """Why a rule does not heed a key, "" if it does."""
    if key in _PARALLEL and rule.strategy is Strategy.PROXY:
        return "of no use without strategy: parallel"
    world = _OF_WORLDS.get(key, rule.ecosystem)
    if world != rule.ecosystem:
        return f"of no use without ecosystem: {world}"
    if key in _OF_SEVERAL and len(rule.upstreams) < 2:
        return "of no use with one upstream"
    if key == "names" and rule.on_missing is not OnMissing.NEXT:
        return "of no use without on_missing: next"
    if key == "cache.ignore_upstream" and rule.cache.ttl is None and rule.cache.ignore_upstream:
        return "of no use without cache.ttl"
    own = BY_NAME.get(rule.ecosystem)
    if own is not None and key in own.ignores and not _is_default(rule, key):
        return f"of no use with ecosystem: {own.name}, {own.ignores[key]}"
    return ""


def _is_default(rule: Rule, key: str) -> bool:
    """Whether what is written is what would hold without it."""
    path = [_FIELDS.get(part, part) for part in key.split(".")]
    return bool(reduce(getattr, path, rule) == reduce(getattr, path, _PLAIN))


def _of_sections(config: Config, value: Mapping[str, Any]) -> Iterator[str]:
    """Keys of the other sections that change nothing as the rest stands."""
    admin, forward, logging = config.admin, config.forward, config.logging
    if admin.hosts and not admin.token:
        yield (
            "admin.hosts: of no use without admin.token (or AIMIRROR_ADMIN_TOKEN): nobody "
            "administers from there"
        )
    given = {
        section: set(said) if isinstance(said := value.get(section), dict) else set()
        for section in ("forward", "logging", "cache")
    }
    if not forward.enabled:
        for key in sorted(given["forward"] - {"enabled"}):
            yield f"forward.{key}: of no use with forward.enabled: false"
    elif not forward.intercept:
        for key in sorted(given["forward"] & {"pinned", "ca_dir"}):
            yield f"forward.{key}: of no use without forward.intercept: true"
    files = logging.file is not None or logging.access_file is not None
    if logging.max_size and not files:
        yield "logging.max_size: of no use without logging.file or logging.access_file"
    if "keep" in given["logging"] and not logging.max_size:
        yield "logging.keep: of no use without logging.max_size"
    if logging.access_file is not None and logging.access is AccessFormat.OFF:
        yield "logging.access_file: of no use with logging.access: off"
    if "max_size_gb" in given["cache"] and not config.cache.lru_enabled:
        yield "cache.max_size_gb: with lru_enabled: false a full cache keeps nothing new"
