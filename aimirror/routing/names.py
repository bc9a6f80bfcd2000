"""Which package a path is about, as far as patterns of names can tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from urllib.parse import unquote

_SEPARATORS = re.compile(r"[-_.]+")


def belongs(path: str, patterns: Iterable[str]) -> bool:
    """Whether a raw path names a package that one of the patterns means.

    Patterns are shell's (``acme-*``, ``@acme/*``); names are compared without regard to case and
    to which of ``-``, ``_`` and ``.`` stand in them, as package indexes do.
    """
    wanted = [_plain(pattern) for pattern in patterns]
    return any(fnmatchcase(name, pattern) for name in _names(path) for pattern in wanted)


def _names(path: str) -> Iterator[str]:
    """Every segment, and scopes together with what follows them."""
    segments = [_plain(each) for each in unquote(path).split("/") if each]
    for index, segment in enumerate(segments):
        yield segment
        if index + 1 < len(segments):
            yield f"{segment}/{segments[index + 1]}"


def _plain(name: str) -> str:
    return _SEPARATORS.sub("-", name.lower())
