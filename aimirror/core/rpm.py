"""rpm repositories: which metadata names a file's digest, and what it says.

Source: createrepo_c's output, as librepo and libsolv read it: ``repodata/repomd.xml`` names the
metadata files, the one of type ``primary`` the packages, both by paths below the repository.
"""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote

from aimirror.core.digests import Digest, parse

_REPODATA = re.compile(r"(.+)/(repodata/[^/]+)")
_PACKAGE = re.compile(r".+\.d?rpm")
#: What is named by a data element of repomd.xml, or a package element of primary.xml.
_ELEMENT = re.compile(rb"<(data|package)\s[^>]*>.*?</\1>", re.DOTALL)
_CHECKSUM = re.compile(rb"<checksum\s[^>]*?type=[\"'](\w+)[\"'][^>]*>\s*([0-9a-f]+)\s*</checksum>")
_LOCATION = re.compile(rb"<location\s[^>]*?href=[\"']([^\"']+)[\"']")
#: How old repositories write the names of algorithms.
_ALGORITHMS = {"sha": "sha1", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512"}


def package(url: str) -> list[tuple[str, str]]:
    """For a package: (URL of the folder of metadata that may name it, its path there)."""
    if _PACKAGE.fullmatch(url) is None:
        return []
    scheme, _, rest = url.partition("://")
    parts = rest.split("/")
    return [
        (f"{scheme}://{'/'.join(parts[:k])}/repodata", unquote("/".join(parts[k:])))
        for k in range(len(parts) - 1, 0, -1)
    ]


def lists_packages(url: str) -> bool:
    """Whether it is the URL of the metadata that names packages."""
    return re.search(r"/repodata/([0-9a-f]+-)?primary\.xml(\.\w+)?$", url) is not None


def releases(url: str) -> list[tuple[str, str]]:
    """For the URL of a metadata file: (URL of the repomd.xml that may name it, its name there)."""
    match = _REPODATA.fullmatch(url)
    if match is None or match[2].startswith("repodata/repomd.xml"):
        return []
    return [(f"{match[1]}/repodata/repomd.xml", match[2])]


def signed(url: str) -> tuple[str, ...]:
    """For repomd.xml or its signature: the URLs of all that is renewed together with it."""
    base, found, name = url.rpartition("/repodata/")
    together = ("repomd.xml", "repomd.xml.asc", "repomd.xml.key")
    return tuple(f"{base}{found}{each}" for each in together) if name in together else ()


def digests(index: bytes) -> dict[str, Digest]:
    """What repomd.xml or primary.xml (unpacked) says, by path below the repository."""
    found = {}
    for element in _ELEMENT.finditer(index):
        checksum, location = _CHECKSUM.search(element[0]), _LOCATION.search(element[0])
        if checksum is None or location is None:
            continue
        algorithm = _ALGORITHMS.get(checksum[1].decode("ascii"), "")
        digest = parse(algorithm, checksum[2].decode("ascii")) if algorithm else None
        if digest is not None:
            found[unquote(unescape(location[1].decode("utf-8", "replace")))] = digest
    return found
