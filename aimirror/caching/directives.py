"""Cache directives: Cache-Control of both directions, Pragma and CDN-Cache-Control.

Where a field is malformed the reading is the one that reuses less (RFC 9111 section 4.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from attrs import field, frozen

from aimirror.http.headers import Headers
from aimirror.http.structured import Item, Token, parse_dictionary

#: Seconds that stand for "very long": larger values count as this (RFC 9111 section 1.2.2).
LONGEST = 2**31
#: The targeted field that we obey; the mirror is a shared cache in front of origins (RFC 9213).
TARGETED = "CDN-Cache-Control"
#: Different field values whose parsed form is kept; a handful of them makes up most traffic.
_REMEMBERED = 1024
#: Characters of one that is: no client or origin with a use for them sends more.
_LONGEST_KEPT = 512

_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_FIELD_LISTS = frozenset({"no-cache", "private"})
_FLAGS = frozenset(
    {"no-store", "must-revalidate", "proxy-revalidate", "public", "must-understand", "immutable"}
)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: A run without quotes and commas, a quoted string, or an opening quote that is never closed.
_CHUNK = re.compile(r'[^",]+|"(?:[^"\\]|\\.)*"|"|(,)', re.DOTALL)


@frozen
class Directives:
    """Directives by lower-case name; each occurrence has a value, None where there was no "="."""

    values: Mapping[str, tuple[str | None, ...]] = field(
        factory=lambda: MappingProxyType({}), hash=False
    )
    #: Read from CDN-Cache-Control: then Cache-Control and Expires have no say (RFC 9213 2.2).
    targeted: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def seconds(self, name: str) -> int | None:
        """The smallest value of a directive; None when absent, 0 when one of them is malformed."""
        text = self.values.get(name)
        return None if text is None else min(delta_seconds(value) or 0 for value in text)

    def bare(self, name: str) -> bool:
        """Whether each occurrence has no value."""
        text = self.values.get(name)
        return text is not None and all(value is None for value in text)

    def whole(self, name: str) -> bool:
        """Whether ``no-cache`` or ``private`` holds for the whole response, not for some fields."""
        return name in self.values and any(not _names(v) for v in self.values[name])

    def fields(self, name: str) -> tuple[str, ...]:
        """The field names (lower case) that ``no-cache`` or ``private`` lists."""
        return tuple(n for value in self.values.get(name, ()) for n in _names(value))


def delta_seconds(value: str | None) -> int | None:
    """Non-negative whole seconds, capped at LONGEST; None for anything else."""
    if value is None or _DIGITS.fullmatch(value) is None:
        return None
    digits = value.lstrip("0")
    return LONGEST if len(digits) > 10 else min(LONGEST, int(digits or "0"))


def split_members(text: str) -> list[str]:
    """Members of a comma-separated list, stripped; commas in quoted strings do not separate."""
    members = [""]
    for chunks in _CHUNK.finditer(text):
        if chunks[1]:
            members.append("")
        else:
            members[-1] += chunks[0]
    return [member.strip(" \t") for member in members]


def response_directives(response: Headers) -> Directives:
    """What governs a response: a valid CDN-Cache-Control alone, else Cache-Control."""
    return response.derived(_governing)


def _governing(response: Headers) -> Directives:
    targeted = response.joined(TARGETED)
    if targeted is not None:
        short = len(targeted) <= _LONGEST_KEPT
        parsed = _targeted_remembered(targeted) if short else _targeted(targeted)
        if parsed is not None:
            return parsed
    return _read(response.joined("Cache-Control") or "")


def request_directives(request: Headers) -> Directives:
    """Cache-Control of a request, else Pragma: no-cache (RFC 9111 section 5.4)."""
    text = request.joined("Cache-Control")
    if text is None and "no-cache" in request.tokens("Pragma"):
        text = "no-cache"
    return _read(text or "")


def _read(text: str) -> Directives:
    return _remembered(text) if len(text) <= _LONGEST_KEPT else _plain(text)


def _plain(text: str) -> Directives:
    pairs: list[tuple[str, str | None]] = []
    for member in split_members(text):
        name, equals, value = member.partition("=")
        # Blanks around "=" break the grammar: kept in the value, they void a number.
        pad = name[len(name.rstrip(" \t")) :]
        if name:
            pairs.append((name.strip(" \t").lower(), _unquoted(pad + value) if equals else None))
    return Directives(_grouped(pairs))


def _targeted(text: str) -> Directives | None:
    """None when the field must be ignored: empty, malformed, or of a wrong type (RFC 9213 2.1)."""
    members = parse_dictionary(text)
    if not members:
        return None
    pairs: list[tuple[str, str | None]] = []
    for name, item in members.items():
        if item is False:  # a directive that is explicitly off
            continue
        if not _well_typed(name, item):
            return None
        pairs.append((name, _as_text(item)))
    return Directives(_grouped(pairs), targeted=True)


_remembered = lru_cache(maxsize=_REMEMBERED)(_plain)
_targeted_remembered = lru_cache(maxsize=_REMEMBERED)(_targeted)


def _well_typed(name: str, item: Item) -> bool:
    if name in _SECONDS:
        return isinstance(item, int) and not isinstance(item, bool)
    if name in _FIELD_LISTS:
        return item is True or isinstance(item, str | Token)
    return name not in _FLAGS or item is True


def _as_text(item: Item) -> str | None:
    if item is None or item is True:
        return None
    return item.text if isinstance(item, Token) else str(item)


def _grouped(pairs: Iterable[tuple[str, str | None]]) -> Mapping[str, tuple[str | None, ...]]:
    grouped: dict[str, list[str | None]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return MappingProxyType({name: tuple(values) for name, values in grouped.items()})


def _unquoted(value: str) -> str:
    """The text of a quoted string; any other value as it is."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _names(value: str | None) -> tuple[str, ...]:
    """Field names of a qualified directive; none when it is unqualified or not a list of names."""
    names = tuple(part.strip(" \t").lower() for part in (value or "").split(","))
    return names if all(_NAME.fullmatch(name) for name in names) else ()
