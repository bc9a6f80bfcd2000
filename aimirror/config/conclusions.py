"""What a list of rules stands for: presets written out, worlds recognised, old files completed.

A file of the first versions (0.3) knows rules of fourteen keys, and its last rule sends all that is
left to PyPI.  It promises npm, conda and more at paths which that last rule would send astray, so
the built-in rules stand before it.  ``ecosystem: none`` in a rule, or any key that 0.3 did not
know, leaves a file as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from aimirror.config import presets
from aimirror.config.recognition import (
    HUB_FILES,
    HUB_REVISIONS,
    PAGES,
    recognised,
    takes_everything,
)
from aimirror.config.schema import At, Many
from aimirror.routing.rules import Rule

#: Where, and by which key of a rule, the first files of 0.3 led clients to Docker's tokens.
_TOKENS = "https://auth.docker.io"
_TOKEN_KEY = "header_rewrite"
#: The keys of a rule in version 0.3.
_OLD_KEYS = frozenset(
    {
        *("name", "pattern", "upstream", "strategy", "min_size", "max_size", "concurrency"),
        *("chunk_size", "cache_key_source", "path_rewrite", "content_rewrite", "handler"),
        *("head_meta_headers", _TOKEN_KEY),
    }
)
#: Built-in rules whose paths an old file's own rules for PyPI serve.
_OF_PYPI = ("pip-", "default")
_INDEX = r"^/simple(/|$)"
_METADATA = r"^/packages/.+\.(metadata|asc)$"

#: Well-known services, and the presets that have what their clients need.
_SERVICES = {
    "https://pypi.org": "pypi",
    "https://registry-1.docker.io": "docker",
    "https://huggingface.co": "huggingface",
}
#: Keys of a rule that says no more than that it is for a service, and those that its rules take on.
_BARE = frozenset({"name", "upstream", "strategy"})
_CARRIED = frozenset({"cooldown", "xet", "rate_limit", "upstream_proxy", "credentials", "public"})
_CARRIED |= {"ca_file", "client_cert", "client_key"}


def needless(items: list[object]) -> Iterator[tuple[int, str]]:
    """What the first files of 0.3 have for tokens: the index of a rule, and its key or "" for all.

    The mirror takes the tokens of registries itself, and a pattern for ``/token`` would take
    ``/simple/tokenizers/`` as well.
    """
    old = _is_old(items)
    for index, rule in enumerate(items):
        if not isinstance(rule, dict):
            continue
        if old and str(rule.get("upstream")).rstrip("/") == _TOKENS:
            yield index, ""
        elif isinstance(rule.get(_TOKEN_KEY), dict):
            yield index, _TOKEN_KEY


@frozen
class Concluded:
    """One rule as it will be read."""

    #: The mapping; whatever else stands in the list, for the schema to refuse.
    rule: Any
    #: Which item of the file's list it comes from.
    at: At
    #: What was concluded, in words; "" for a rule as it stands.
    because: str = ""


def concluded(items: Iterable[object], at: At, built_in: list[Any]) -> list[Concluded]:
    """The rules that a list stands for; raises ConfigError for a preset that there is not.

    ``built_in`` is the list of the built-in configuration.
    """
    items = list(items)
    left_out = set(needless(items))
    written = [
        Concluded(rule, at.item(index))
        for index, item in enumerate(items)
        if (index, "") not in left_out
        for rule in presets.expanded(_without(item, left_out, index), at.item(index))
    ]
    if not _is_old(items):
        return [_known(rule) for each in written for rule in _serviced(each)]
    return _completed([_known(each) for each in written], built_in)


def _without(item: object, left_out: set[tuple[int, str]], index: int) -> object:
    """A rule without the keys of it that are left out."""
    if not isinstance(item, dict):
        return item
    return {key: value for key, value in item.items() if (index, key) not in left_out}


def _serviced(each: Concluded) -> list[Concluded]:
    """A rule that says no more than a well-known service, with what its clients need before it.

    Files of PyPI are at another host, and registries want more than a plain proxy.
    """
    rule = each.rule
    if not isinstance(rule, dict) or rule.keys() - _BARE - _CARRIED or rule.get("ecosystem"):
        return [each]
    preset = _SERVICES.get(str(rule.get("upstream")).rstrip("/").lower())
    if preset is None:
        return [each]
    carried = {key: rule[key] for key in _CARRIED & rule.keys()}
    named = {"preset": preset, "name": rule.get("name"), **carried}
    because = f"its upstream is {rule['upstream']}: the rules of preset {preset}"
    before = [Concluded(one, each.at, because) for one in presets.expanded(named, each.at)]
    return [*before, each]


def _known(each: Concluded) -> Concluded:
    """With the knowledge of the world that the rule is for."""
    if not isinstance(each.rule, dict):
        return each
    recognition = recognised(each.rule)
    if recognition is None:
        return each
    return evolve(each, rule={**each.rule, **recognition.adds}, because=recognition.because)


def _is_old(items: list[object]) -> bool:
    """Whether a list is as 0.3 had it, with a last rule that sends what is left to PyPI."""
    rules = [item for item in items if isinstance(item, dict)]
    if len(rules) != len(items) or len(rules) < 2:
        return False
    return all(rule.keys() <= _OLD_KEYS for rule in rules) and _left_to_pypi(rules[-1])


def _left_to_pypi(rule: Mapping[str, Any]) -> bool:
    """Whether a rule sends every path to a Python index, as what it rewrites or asks tells."""
    rewrite = rule.get("content_rewrite")
    text = f"{rule.get('upstream')} {rewrite}"
    return takes_everything(rule) and ("pypi" in text or "pythonhosted" in text)


def _completed(rules: list[Concluded], built_in: list[Any]) -> list[Concluded]:
    """With what a file of 0.3 leaves out, before its last rule."""
    *own, last = rules
    names = {str(each.rule.get("name")) for each in rules}
    first = [_files(each) for each in own]
    served = {_paths(each.rule) for each in (*own, *first)}
    more = [
        _known(Concluded(_renamed(rule, names), last.at, "built in: files of 0.3 promise it"))
        for item in built_in
        for rule in presets.expanded(item, last.at)
        if isinstance(rule, dict)
        and _paths(rule) not in served
        and not rule["name"].startswith(_OF_PYPI)
    ]
    python = [
        _metadata(each)
        for each in own
        if each.rule.get("ecosystem") == "pypi" and "/packages/" in str(each.rule.get("pattern"))
    ]
    revisions = [_revisions(each) for each in own if each.rule.get("pattern") == HUB_REVISIONS]
    return [*first, *python, _index(last), *more, *revisions, last]


def _files(own: Concluded) -> Concluded:
    """A rule for all files of the hub takes those first that are surely the hub's."""
    if own.rule.get("pattern") != HUB_REVISIONS:
        return own
    return evolve(own, rule={**own.rule, "pattern": HUB_FILES})


def _revisions(own: Concluded) -> Concluded:
    """What is left of such a rule, behind the worlds whose folders may be called like a file."""
    return evolve(own, rule={**own.rule, "name": f"{own.rule['name']}-revisions"})


def _paths(rule: Mapping[str, Any]) -> tuple[str, str]:
    return str(rule.get("path_prefix", "")), str(rule.get("pattern", ""))


def _renamed(rule: dict[str, Any], taken: set[str]) -> dict[str, Any]:
    return {**rule, "name": f"built-in-{rule['name']}"} if rule["name"] in taken else rule


def _metadata(files: Concluded) -> Concluded:
    """The rule for what lies beside files: PEP 658's metadata, signatures."""
    rule = {
        "name": f"{files.rule['name']}-metadata",
        "pattern": _METADATA,
        "upstream": files.rule["upstream"],
        "strategy": "proxy",
        "ecosystem": "pypi",
        "immutable": files.rule["immutable"],
    }
    return Concluded(rule, files.at, "metadata lies beside the files")


def _index(last: Concluded) -> Concluded:
    """The rule for pages of the index to which the last rule leads."""
    rule = {
        **last.rule,
        "name": f"{last.rule['name']}-index",
        "pattern": _INDEX,
        "ecosystem": "pypi",
        "cache": dict(PAGES),
    }
    return Concluded(rule, last.at, "its upstream is a Python index")


@frozen
class Rules(Many[Rule]):
    """The list of rules with all that it stands for; mistakes name the item that the user wrote."""

    def read(self, value: object, at: At) -> tuple[Rule, ...]:
        """See Reader."""
        if not isinstance(value, list) or len(value) < self.least:
            return super().read(value, at)
        return tuple(
            self.each.read(each.rule, each.at) for each in concluded(value, at, presets.built_in())
        )
