"""Which clients a configuration serves, and where: what set-up, welcome and dashboard offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from urllib.parse import urlsplit

from aimirror.config import load
from aimirror.config.presets import presets
from aimirror.ecosystems.registry import CLIENTS, WORLDS, setting
from aimirror.http import urls
from aimirror.routing.rules import Refused, Rule, route_of
from aimirror.settings.setting import Address, Setting

#: A path that no client asks for: a rule that takes it takes whatever is left.
_NOBODYS = "/aimirror-asks-for-nothing/at-all"
#: Machines that tell apart what one client may ask for.
_MACHINES: tuple[Mapping[str, str], ...] = ({}, {"ID": "ubuntu"})
_ANYWHERE = "http://mirror.invalid"


def offered(rules: Iterable[Rule]) -> tuple[str, ...]:
    """The clients that these rules serve, in the order of the documents."""
    rules = tuple(rules)
    address = Address(_ANYWHERE, moved(rules))
    return tuple(client for client in CLIENTS if serves(rules, client, address))


def serves(rules: tuple[Rule, ...], client: str, address: Address) -> bool:
    """Whether some rule is for this client: one that takes what it asks for, and not all paths, or
    one of its world.
    """
    first = setting(client, address)
    machines = _MACHINES if first.on is not None else _MACHINES[:1]
    return any(
        _taken(rules, client, first.on(machine) if first.on is not None else first)
        for machine in machines
    )


def moved(rules: Iterable[Rule]) -> dict[str, str]:
    """The paths at which these rules serve what the built-in ones serve elsewhere, by the latter's.

    A source is known by its URL.
    """
    own = {path: base for rule in rules for path, base in _mounted(rule)}
    places: dict[str, str] = {}
    for path, base in _usual().items():
        if path in own:
            continue
        for other, theirs in own.items():
            if base == theirs or base.startswith(f"{theirs}/"):
                places.setdefault(path, other + base.removeprefix(theirs))
    return places


@cache
def _usual() -> dict[str, str]:
    """The paths of the built-in rules and of the presets, with what they stand for."""
    known = {
        rule["path_prefix"]: rule["upstream"].rstrip("/")
        for rules in presets().values()
        for rule in rules
        if rule.get("strip_prefix") and isinstance(rule.get("upstream"), str)
    }
    built_in = {path: base for rule in _built_in() for path, base in _mounted(rule)}
    return {**known, **built_in}


@cache
def _built_in() -> tuple[Rule, ...]:
    """The rules of the built-in configuration, which takes long to read."""
    return load(None, {}).rules


def _mounted(rule: Rule) -> list[tuple[str, str]]:
    """The prefix of a rule, and the URL that it stands for."""
    if not rule.path_prefix or not rule.upstreams:
        return []
    url = urls.join(rule.upstreams[0], rule.upstream_path(rule.path_prefix), "")
    return [(rule.path_prefix, url.rstrip("/"))]


def _taken(rules: tuple[Rule, ...], client: str, asked: Setting) -> bool:
    target = urlsplit(asked.probe)
    taken = route_of(rules, target.path, target.query)
    if taken is None or isinstance(taken, Refused):
        return False
    rule = taken.rule
    if not rule.matches(_NOBODYS):
        return True
    world = next(world for world in WORLDS if client in world.clients)
    return rule.ecosystem == world.name or bool(_hosts(rule) & _home(client))


def _hosts(rule: Rule) -> set[str]:
    return {urlsplit(upstream).hostname or "" for upstream in rule.upstreams}


@cache
def _home(client: str) -> set[str]:
    """The hosts that the built-in rules ask for this client."""
    asked = urlsplit(setting(client, _ANYWHERE).probe)
    taken = route_of(_built_in(), asked.path, asked.query)
    return set() if taken is None or isinstance(taken, Refused) else _hosts(taken.rule)
