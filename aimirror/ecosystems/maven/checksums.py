"""Maven repositories: checksums beside files, and which files change.

Source: the Maven repository layout; a checksum lies in ``FILE.sha1`` as hex, some tools add the
file's name.
"""

from __future__ import annotations

import re

from aimirror.routing.digests import Digest, parse

#: Checksum extensions, and hashlib's names of them.
CHECKSUMS = {".sha1": "sha1", ".md5": "md5", ".sha256": "sha256", ".sha512": "sha512"}
#: Metadata, snapshots, catalogues and what repository managers and Maven keep about a repository.
_CHANGES = re.compile(
    r"/maven-metadata[^/]*\.xml$|-SNAPSHOT/[^/]+$|/archetype-catalog\.xml$|/\.(meta|index)/[^/]+$"
    r"|/nexus-maven-repository-index[^/]*$"
)
_HEX = re.compile(r"\b[0-9a-fA-F]{40}\b")


def checksum(path: str) -> tuple[str, str]:
    """The described file's path and the algorithm, of a checksum's path; else two ""."""
    stem, dot, extension = path.rpartition(".")
    algorithm = CHECKSUMS.get(dot + extension, "")
    return (stem, algorithm) if algorithm else ("", "")


def changes(path: str) -> bool:
    """Whether the file at a path is replaced now and then: metadata, snapshots."""
    return _CHANGES.search(path) is not None


def digest(sidecar: bytes) -> Digest | None:
    """What a .sha1 file says."""
    match = _HEX.search(sidecar[:200].decode("latin-1"))
    return parse("sha1", match[0]) if match else None
