"""``preset: NAME`` in a rule: rules of a package world, overridden by the fields beside it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from aimirror.config.document import parse_own
from aimirror.config.schema import At, shown
from aimirror.ecosystems.registry import WORLDS


@cache
def presets() -> dict[str, list[dict[str, Any]]]:
    """The rules of each preset of each package world, names being suffixes.

    The order within a preset matters: the first rule that matches a path takes it.
    """
    by_name: dict[str, list[dict[str, Any]]] = {}
    for world in WORLDS:
        value = parse_own(world.presets.encode())
        for name, rules in (value or {}).items():
            if name in by_name:
                raise ValueError(f"two presets are named {name!r}")
            by_name[name] = rules
    items = built_in()
    return {
        **by_name,
        **{name: _headline(rules, items, by_name) for name, rules in _HEADLINES.items()},
    }


#: Presets that stand for rules of the built-in configuration, by the name that these begin with.
_HEADLINES = {
    "pypi": "pip",
    "docker": "docker",
    "huggingface": "huggingface",
    "nvidia": "nvidia",
    "torch": "torch",
}
#: The preset that a rule names, and the one that is meant when it says no upstream.
_WITHOUT_UPSTREAM = {"python": "pypi"}


@cache
def built_in() -> list[Any]:
    """The list of rules of the built-in configuration, as its file has it."""
    content = (resources.files("aimirror") / "default.yaml").read_bytes()
    rules: list[Any] = parse_own(content)["rules"]
    return rules


def _headline(
    name: str, items: list[Any], known: Mapping[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    return [
        {**rule, "name": rule["name"].removeprefix(name)}
        for item in items
        if f"{item.get('name')}-".startswith(f"{name}-")
        for rule in _written(item, known)
    ]


def _written(
    rule: dict[str, Any], known: Mapping[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """A rule, or those of its preset with the fields beside it."""
    if "preset" not in rule:
        return [rule]
    own = {key: value for key, value in rule.items() if key != "preset" and value is not None}
    name = own.pop("name", rule["preset"])
    suffixed = isinstance(name, str)
    return [
        {**_mounted(each, own), **own, "name": name + each["name"] if suffixed else name}
        for each in known[rule["preset"]]
    ]


def _mounted(rule: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's rule for the root of a host, its paths led below the user's own prefix."""
    prefix, pattern = own.get("path_prefix"), rule.get("pattern", "")
    if "path_prefix" in rule or not isinstance(prefix, str) or not pattern.startswith("^/"):
        return rule
    return {
        **rule,
        "strip_prefix": True,
        "pattern": f"^{re.escape(prefix.rstrip('/'))}{pattern[1:]}",
    }


def described() -> list[tuple[str, str]]:
    """Each preset, with where it serves what; for people."""
    lines = []
    for name, rules in presets().items():
        mounts = dict.fromkeys(rule.get("path_prefix") or "/" for rule in rules)
        hosts = dict.fromkeys(map(_host, rules))
        lines.append((name, f"{', '.join(mounts)} from {', '.join(hosts)}"))
    return lines


def _host(rule: Mapping[str, Any]) -> str:
    upstream = rule["upstream"]
    first: str = upstream[0] if isinstance(upstream, list) else upstream
    return first.partition("://")[2].partition("/")[0]


def expanded(rule: object, at: At) -> list[object]:
    """The rules that one item of the list stands for: itself, or those of its preset.

    Raises ConfigError for a preset that there is not.
    """
    if not isinstance(rule, dict) or "preset" not in rule:
        return [rule]
    preset = rule["preset"]
    known = presets()
    if not isinstance(preset, str) or preset not in known:
        close = difflib.get_close_matches(str(preset), known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise at.key("preset").fault(f"{shown(preset)} is not allowed{hint}", ", ".join(known))
    if rule.get("upstream") is None:
        preset = _WITHOUT_UPSTREAM.get(preset, preset)
    for key in ("path_prefix", "upstream"):
        if rule.get(key) is not None and len({str(each.get(key)) for each in known[preset]}) > 1:
            raise at.key(key).fault(
                f"the preset {preset} has several", "nothing here; write rules of your own instead"
            )
    return [*_written({"name": rule["preset"], **rule, "preset": preset}, known)]
