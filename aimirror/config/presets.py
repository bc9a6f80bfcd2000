"""``preset: NAME`` in a rule: rules of a package world, overridden by the fields beside it."""

from __future__ import annotations

from functools import cache
from typing import Any

from aimirror.config.document import parse
from aimirror.config.schema import At, shown
from aimirror.ecosystems.registry import WORLDS


@cache
def presets() -> dict[str, list[dict[str, Any]]]:
    """The rules of each preset of each package world, names being suffixes.

    The order within a preset matters: the first rule that matches a path takes it.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for world in WORLDS:
        value: Any = parse(world.presets.encode(), f"presets of {world.name}")
        for name, rules in (value or {}).items():
            if name in found:
                raise ValueError(f"two presets are named {name!r}")
            found[name] = rules
    return found


def expanded(rule: object, at: At) -> list[object]:
    """The rules that one item of the list stands for: itself, or those of its preset.

    Raises ConfigError for a preset that there is not.
    """
    if not isinstance(rule, dict) or "preset" not in rule:
        return [rule]
    preset = rule["preset"]
    known = presets()
    if not isinstance(preset, str) or preset not in known:
        raise at.key("preset").fault(f"{shown(preset)} is not allowed", ", ".join(known))
    own = {key: value for key, value in rule.items() if key != "preset" and value is not None}
    for key in ("path_prefix", "upstream"):
        if key in own and len({str(each.get(key)) for each in known[preset]}) > 1:
            raise at.key(key).fault(
                f"the preset {preset} has several", "nothing here; write rules of your own instead"
            )
    name = own.pop("name", preset)
    suffixed = isinstance(name, str)
    return [
        {**each, **own, "name": name + each["name"] if suffixed else name} for each in known[preset]
    ]
