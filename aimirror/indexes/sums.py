"""Lists of digests beside files: ``SHASUMS256.txt``, ``SHA256SUMS``, the ``.sha256`` of a file."""

from __future__ import annotations

import re

from aimirror.routing.digests import Digest, parse

#: coreutils' form: the digest, a space, a space or a star, the name.
_LINE = re.compile(rb"^([0-9A-Fa-f]{64})[ \t]+\*?(?:\./)?([^\r\n]+?)\s*$", re.MULTILINE)


def sha256_sums(text: bytes) -> dict[str, Digest]:
    """What a list says of files, by the name behind the last slash."""
    sums = {}
    for match in _LINE.finditer(text):
        digest = parse("sha256", match[1].decode("ascii"))
        name = match[2].decode("utf-8", "replace").rpartition("/")[2]
        if digest is not None and name:
            sums[name] = digest
    return sums
