"""conda channels: where the sha256 of a package is written.

Source: the conda documentation on channels; ``repodata.json`` lists every package of a subdir.
"""

from __future__ import annotations

import re

from aimirror.routing.digests import Digest

#: The field in which rattler says what it expects.
EXPECTED = "x-expected-sha256"
_PACKAGES = (".conda", ".tar.bz2")
_PACKAGES_RAW = tuple(each.encode("ascii") for each in _PACKAGES)
_SHA256 = b'"sha256"'
_HEX = re.compile(rb'"sha256"\s*:\s*"([0-9a-f]{64})"')
_INDEXES = (
    "current_repodata.json",
    "repodata.json.zst",
    "current_repodata.json.zst",
    "repodata.json",
    "repodata.json.bz2",
)


def package(url: str) -> str:
    """The file name of a package's URL, "" for other URLs."""
    name = url.partition("?")[0].rpartition("/")[2]
    return name if name.endswith(_PACKAGES) else ""


def indexes(url: str) -> tuple[str, ...]:
    """The URLs of the indexes that may list a package and that can be read here."""
    folder = url.rpartition("/")[0]
    return tuple(f"{folder}/{name}" for name in _INDEXES)


def digests(repodata: bytes) -> dict[str, Digest]:
    """What a repodata.json, or a piece of it that ends behind a record, says of its packages.

    By file name.  Such a file may hold hundreds of megabytes, so it is searched, not parsed:
    records are objects without others inside, each after its package's name.
    """
    found = {}
    at = 0
    while (at := repodata.find(_SHA256, at)) >= 0:
        match = _HEX.match(repodata, at)
        record = repodata.rfind(b"{", 0, at)
        stop = repodata.rfind(b'"', 0, max(record, 0))
        name = repodata[repodata.rfind(b'"', 0, max(stop, 0)) + 1 : max(stop, 0)]
        if match is not None and name.endswith(_PACKAGES_RAW):
            found[name.decode("utf-8", "replace")] = Digest("sha256", match[1].decode("ascii"))
        at += len(_SHA256)
    return found
