"""Which package and version a stored URL is of, for people who look at the cache.

Each world says it by patterns of its URLs.  A page or an index of a package has no version; what is
of no single package is not matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from attrs import frozen

#: Letters of a URL that are looked at, and of a name that is told.
_LONGEST = 1000


@frozen
class Package:
    """A package, and the version of it: "" for what is of all versions."""

    name: str
    version: str = ""


#: Of a URL without query; None for what is of no package.
Packaged = Callable[[str], Package | None]


def _same(name: str) -> str:
    return name


def named_by(*patterns: str, tidy: Callable[[str], str] = _same) -> Packaged:
    """Reads URLs by the first pattern that takes the whole of one.

    A pattern has groups ``name`` and, where there is one, ``version``, percent-encoded as in
    URLs.  ``tidy`` makes one name of
    the several spellings of a package.
    """
    compiled = [re.compile(pattern) for pattern in patterns]

    def read(url: str) -> Package | None:
        plain = url.partition("?")[0]
        if len(plain) > _LONGEST:
            return None
        for pattern in compiled:
            match = pattern.fullmatch(plain)
            if match is not None:
                version = match.groupdict().get("version") or ""
                return Package(tidy(unquote(match["name"])), unquote(version))
        return None

    return read
