"""Cargo's sparse index: where a crate's checksum is written.

Source: The Cargo Book, "Registry Index".
"""

from __future__ import annotations

import re

from aimirror.http.json_text import parse_json
from aimirror.routing.digests import Digest, parse

_DOWNLOAD = re.compile(r".+/([A-Za-z0-9_-]+)/([^/]+)/download")
_CRATE = re.compile(r".+/([A-Za-z0-9_-]+)/\1-([0-9][^/]*)\.crate")


def crate(url: str) -> tuple[str, str]:
    """Name and version of a crate's URL, else two ""."""
    match = _DOWNLOAD.fullmatch(url) or _CRATE.fullmatch(url)
    return (match[1], match[2]) if match else ("", "")


def index_path(name: str) -> str:
    """The path of a crate's file in an index."""
    lowered = name.lower()
    if len(lowered) < 4:
        middle = f"/{len(lowered)}" + (f"/{lowered[0]}" if len(lowered) == 3 else "")
    else:
        middle = f"/{lowered[:2]}/{lowered[2:4]}"
    return f"{middle}/{lowered}"


def digests(lines: bytes) -> dict[str, Digest]:
    """What a crate's index file says of its versions."""
    found = {}
    for line in lines.splitlines():
        try:
            value = parse_json(line)
        except ValueError:
            continue
        digest = parse("sha256", str(value.get("cksum", ""))) if isinstance(value, dict) else None
        if digest is not None:
            found[str(value.get("vers", ""))] = digest
    return found
