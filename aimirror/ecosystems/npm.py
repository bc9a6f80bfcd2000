"""npm registries: which document names a tarball's digest, and what it says.

Source: the registry's package metadata (github.com/npm/registry, docs/responses) and Subresource
Integrity, whose notation ``integrity`` uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aimirror.http.json_text import parse_json
from aimirror.routing.digests import Digest, parse

#: ``/@scope/name/-/name-1.0.0.tgz`` behind whatever base, the scope's slash encoded or not.
_TARBALL = re.compile(r"(.+?)/((?:@[^/]+/)?[^/]+)/-/([^/]+\.tgz)")
#: The strongest first.
_STRENGTH = ("sha512", "sha256", "sha1")


def tarball(url: str) -> str:
    """The file name of a tarball's URL, "" for other URLs."""
    match = _TARBALL.fullmatch(url)
    return match[3] if match else ""


def indexes(url: str) -> tuple[str, ...]:
    """The URLs of the documents that may describe a tarball."""
    match = _TARBALL.fullmatch(url)
    if match is None:
        return ()
    name = match[2]
    return (f"{match[1]}/{name.replace('/', '%2F')}", f"{match[1]}/{name}")


def document_path(path: str, prefix: str) -> str:
    """The path by which clients ask for a scoped package's document, however people write it.

    "" for other paths.
    """
    match = re.fullmatch(re.escape(prefix.rstrip("/")) + r"/(@[^/%]+)(?:/|%2[Ff])([^/%]+)", path)
    return f"{prefix.rstrip('/')}/{match[1]}%2F{match[2]}" if match else ""


def integrity(value: str) -> Digest | None:
    """The strongest digest of Subresource Integrity metadata such as ``sha512-BASE64``."""
    found = {}
    for member in value.split():
        algorithm, _, encoded = member.partition("?")[0].partition("-")
        digest = parse(algorithm, encoded) if algorithm in _STRENGTH else None
        if digest is not None:
            found[algorithm] = digest
    return next((found[name] for name in _STRENGTH if name in found), None)


def digests(document: bytes) -> dict[str, Digest]:
    """What a package's document, full or abbreviated, says of its tarballs, by file name."""
    found = {}
    for dist in _dists(document):
        name = str(dist.get("tarball", "")).partition("?")[0].rpartition("/")[2]
        digest = integrity(str(dist.get("integrity", ""))) or parse(
            "sha1", str(dist.get("shasum", ""))
        )
        if name and digest is not None:
            found[name] = digest
    return found


def _dists(document: bytes) -> Iterable[dict[str, object]]:
    try:
        value = parse_json(document)
    except ValueError:
        return
    versions = value.get("versions") if isinstance(value, dict) else None
    for version in versions.values() if isinstance(versions, dict) else ():
        dist = version.get("dist") if isinstance(version, dict) else None
        if isinstance(dist, dict):
            yield dist
