"""Where the expected digest of a file is written: its path, its query or a header field."""

from __future__ import annotations

import binascii
import enum
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen

from aimirror.http.headers import Headers
from aimirror.routing.alpine_package import AlpinePackage
from aimirror.routing.git_tree import GitTree

#: Bytes of a digest by algorithm.
ALGORITHMS = {"sha256": 32, "sha512": 64, "sha1": 20, "md5": 16, "blake2b-256": 32}

#: Digests of what is inside a file, which package worlds name.
APK, GIT_TREE = "apk", "git-tree"
_CONTENTS = {APK: AlpinePackage, GIT_TREE: GitTree}

#: Names that registries and header fields use for the same algorithms.
_ALIASES = {"sha-256": "sha256", "sha-512": "sha512", "sha-1": "sha1", "sha": "sha1"}

_LABELLED = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[:=](.+)", re.DOTALL)

_BLOB = re.compile(r"/blobs/sha256(?::|%3[Aa])([0-9a-f]{64})$")
#: PyPI's file paths are the BLAKE2b-256 of the file; sidecars (.metadata, .asc) lie beside it
#: under the digest of the file that they describe, hence the list of archive names.
_PYPI = re.compile(
    r"/packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/[^/]+"
    r"\.(?:whl|egg|zip|tgz|tar\.\w+|exe|msi|dmg|rpm|deb)$"
)


#: Fields in which servers say the sha256 of the whole file, whatever part of it they send: RFC
#: 9530, RFC 3230 and repository managers.  It costs nothing to check: blobs are named by it.
OF_WHOLE = ("Repr-Digest", "Digest", "X-Checksum-Sha256")


@frozen
class Digest:
    """What a file's bytes must hash to: the name of a ``new_hash``, lower-case hex."""

    algorithm: str
    hex: str


class Source(enum.Enum):
    """The part of an exchange that carries a digest."""

    PATH = "path"
    HEADER = "header"
    QUERY = "query"


@frozen(kw_only=True)
class DigestSource:
    """A rule's word on where the digest of its files is found.

    ``pattern`` is searched in the path; its groups, joined, are the digest (without groups, the
    whole match).  ``name`` is the header field or the query parameter.
    """

    algorithm: str
    source: Source
    pattern: re.Pattern[str] | None = None
    name: str = ""


_PATHS = (
    DigestSource(algorithm="sha256", source=Source.PATH, pattern=_BLOB),
    DigestSource(algorithm="blake2b-256", source=Source.PATH, pattern=_PYPI),
)
_KNOWN = (
    *_PATHS,
    *(DigestSource(algorithm="sha256", source=Source.HEADER, name=name) for name in OF_WHOLE),
)
_FIELDS = frozenset(name.lower() for name in OF_WHOLE)


def expected(
    sources: Iterable[DigestSource], path: str, query: str, headers: Headers | None = None
) -> Digest | None:
    """The first digest found: by ``sources`` in their order, then in paths and fields known here.

    ``path`` is raw, ``query`` without "?".  ``headers`` are the response's; None before there is
    one.  A value that isn't a digest of the named algorithm counts as absent.
    """
    known = _PATHS if headers is None or not headers.has_any(_FIELDS) else _KNOWN
    for source in (*sources, *known):
        for text in _texts(source, path, query, headers):
            digest = parse(source.algorithm, text)
            if digest is not None:
                return digest
    return None


def parse(algorithm: str, text: str) -> Digest | None:
    """The digest in a field value, hex or base64, or None when there is none of ``algorithm``.

    Understands bare and quoted values, ``sha256:HEX`` (OCI), ``sha-256=BASE64`` (RFC 3230),
    ``sha-256=:BASE64:`` (RFC 9530) and lists of those.
    """
    for member in text.split(","):
        value = member.partition(";")[0].strip().strip('"')
        labelled = _LABELLED.fullmatch(value)
        if labelled is not None:
            label = labelled[1].lower()
            label = _ALIASES.get(label, label)
            if label in ALGORITHMS:
                if label != algorithm:
                    continue
                value = labelled[2].strip(':"')
        decoded = _decode(value, ALGORITHMS[algorithm])
        if decoded is not None:
            return Digest(algorithm, decoded)
    return None


def _decode(value: str, length: int) -> str | None:
    try:
        raw = bytes.fromhex(value) if len(value) == 2 * length else _base64(value)
    except ValueError:
        return None
    return raw.hex() if len(raw) == length else None


def _base64(value: str) -> bytes:
    return binascii.a2b_base64(value.encode("ascii"), strict_mode=True)


def _texts(source: DigestSource, path: str, query: str, headers: Headers | None) -> Iterator[str]:
    if source.source is Source.HEADER:
        yield from headers.get_all(source.name) if headers is not None else ()
    elif source.source is Source.QUERY:
        yield from (value for name, value in parse_qsl(query) if name == source.name)
    elif source.pattern is not None:
        match = source.pattern.search(path)
        if match is not None:
            yield "".join(group or "" for group in match.groups()) or match[0]


def new_hash(algorithm: str) -> Any:
    """A running hash; ``blake2b-256`` is BLAKE2b with 32 bytes.

    Raises ValueError for a name that is unknown.
    """
    if algorithm in _CONTENTS:
        return _CONTENTS[algorithm]()
    if algorithm == "blake2b-256":
        return hashlib.blake2b(digest_size=32)
    return hashlib.new(algorithm, usedforsecurity=False)
