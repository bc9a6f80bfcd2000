"""conda channels: where the sha256 of a package is written.

Source: the conda documentation on channels; ``repodata.json`` lists every package of a subdir.
"""

from __future__ import annotations

import json

from aimirror.core.digests import Digest, parse

#: The field in which rattler says what it expects.
EXPECTED = "x-expected-sha256"
_PACKAGES = (".conda", ".tar.bz2")
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
    """What a repodata.json says of its packages, by file name."""
    found = {}
    try:
        value = json.loads(repodata)
    except ValueError:
        return {}
    for key in ("packages", "packages.conda"):
        listed = value.get(key) if isinstance(value, dict) else None
        for name, record in listed.items() if isinstance(listed, dict) else ():
            text = str(record.get("sha256", "")) if isinstance(record, dict) else ""
            digest = parse("sha256", text)
            if digest is not None:
                found[str(name)] = digest
    return found
