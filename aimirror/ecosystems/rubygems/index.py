"""RubyGems: where the sha256 of a gem is written.

Source: the RubyGems guides, "Compact Index API": ``/info/GEM`` has one line per version,
``VERSION[-PLATFORM] [DEPENDENCY:REQUIREMENT,...]|checksum:SHA256[,ruby:...][,rubygems:...]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from aimirror.routing.digests import Digest, parse

_GEM = re.compile(r"(.*)/gems/([^/]+)\.gem")
#: Ways to read a file's name that are tried: each may cost a question to the upstream.
_MOST_READINGS = 8
_LINE = re.compile(r"^(\S+) [^|\n]*\|(?:[^\n]*,)?checksum:([0-9a-f]{64})", re.MULTILINE)


def gem(url: str) -> Iterator[tuple[str, str]]:
    """For a gem's URL or path: (the index that may name it, its version and platform there).

    Both names and versions may hold hyphens, so there can be several.
    """
    match = _GEM.fullmatch(url)
    if match is None:
        return
    for hyphen in islice(re.finditer(r"-(?=\d)", match[2]), _MOST_READINGS):
        name, version = match[2][: hyphen.start()], match[2][hyphen.end() :]
        if name:
            yield f"{match[1]}/info/{name}", version


def digests(info: bytes) -> dict[str, Digest]:
    """What a gem's index file says of its versions, by version and platform."""
    table = {}
    for version, sha256 in _LINE.findall(info.decode("utf-8", "replace")):
        digest = parse("sha256", sha256)
        if digest is not None:
            table[version] = digest
    return table
