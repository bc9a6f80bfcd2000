"""rpm repositories: which metadata names a file's digest, and what it says.

Source: createrepo_c's output, as librepo and libsolv read it: ``repodata/repomd.xml`` names the
metadata files, the one of type ``primary`` the packages, both by paths below the repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import unquote

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Reading, Repository
from aimirror.routing.digests import Digest, parse
from aimirror.settings import sources
from aimirror.settings.setting import Address, Setting, as_text

_REPODATA = re.compile(r"(.+)/(repodata/[^/]+)")
_PACKAGE = re.compile(r".+\.d?rpm")
#: The start of a data element of repomd.xml, or of a package element of primary.xml.  Nothing is
#: looked for beyond the next tag: what a repository leaves open can't keep the program busy.
_OPENED = re.compile(rb"<(data|package)\s")
_CHECKSUM = re.compile(rb"<checksum\s([^<>]*)>\s*([0-9a-f]+)\s*</checksum>")
_TYPE = re.compile(rb"type=[\"'](\w+)[\"']")
_LOCATION = re.compile(rb"<location\s([^<>]*)>")
_HREF = re.compile(rb"href=[\"']([^\"']+)[\"']")
#: Folders above a package in which its repository is looked for.
NEAREST = 3
#: How old repositories write the names of algorithms.
_ALGORITHMS = {"sha": "sha1", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512"}


def package(url: str) -> list[tuple[str, str]]:
    """For a package: (start of the URLs of metadata that may name it, its path there)."""
    if _PACKAGE.fullmatch(url) is None:
        return []
    scheme, _, rest = url.partition("://")
    parts = rest.split("/")
    return [
        (f"{scheme}://{'/'.join(parts[:k])}/repodata/", unquote("/".join(parts[k:])))
        for k in range(len(parts) - 1, 0, -1)
    ]


def led_by(url: str) -> list[str]:
    """For a package: URLs of the repomd.xml that may lead to its metadata, the nearest first.

    Packages lie below the repository, most of them in a folder of one, or of two.
    """
    return [f"{prefix}repomd.xml" for prefix, _ in package(url)[:NEAREST]]


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
    base, separator, name = url.rpartition("/repodata/")
    together = ("repomd.xml", "repomd.xml.asc", "repomd.xml.key")
    return tuple(f"{base}{separator}{each}" for each in together) if name in together else ()


def digests(index: bytes) -> dict[str, Digest]:
    """What repomd.xml or primary.xml (unpacked) says, by path below the repository."""
    table = {}
    for element in _elements(index):
        checksum, location = _CHECKSUM.search(element), _LOCATION.search(element)
        kind = _TYPE.search(checksum[1]) if checksum is not None else None
        href = _HREF.search(location[1]) if location is not None else None
        if checksum is None or kind is None or href is None:
            continue
        algorithm = _ALGORITHMS.get(kind[1].decode("latin-1"), "")
        digest = parse(algorithm, checksum[2].decode("ascii")) if algorithm else None
        if digest is not None:
            table[unquote(unescape(href[1].decode("utf-8", "replace")))] = digest
    return table


def _elements(index: bytes) -> Iterator[bytes]:
    """What is in each data or package element, up to one that has no end."""
    at = 0
    while (opened := _OPENED.search(index, at)) is not None:
        at = index.find(b"</%b>" % opened[1], opened.end())
        if at < 0:
            return
        yield index[opened.start() : at]


_PRESETS = r"""
rpm: # baseurl=http://MIRROR/fedora/releases/$releasever/Everything/$basearch/os/
  - &rpm
    name: -repodata # named by their sha256; repomd.xml is not
    path_prefix: /fedora
    strip_prefix: true
    upstream: "https://dl.fedoraproject.org/pub/fedora/linux"
    ecosystem: rpm # metadata is of the generation that repomd.xml names; packages as it says
    pattern: '/repodata/[0-9a-f]{64}-[^/]+$'
    digest: {algorithm: sha256, from: path, pattern: '/repodata/([0-9a-f]{64})-'}
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *rpm
    name: -files
    pattern: '/[^/]+\.d?rpm$'
    digest: []
  - <<: *rpm
    name: ""
    pattern: "^/"
    digest: []
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


def _dnf(mirror: Address) -> Setting:
    base = mirror.at("/fedora")
    bases = {
        "fedora": f"{base}/releases/$releasever/Everything/$basearch/os/",
        "updates": f"{base}/updates/$releasever/Everything/$basearch/",
    }
    lines = [line for name, url in bases.items() for line in (f"[{name}]", f"baseurl={url}")]
    return Setting(
        "/etc/yum.repos.d/fedora.repo",
        as_text(lines),
        sources.dnf(bases),
        "in these sections, in place of their metalink; --write does that",
        probe=f"{base}/releases/",
        existing=("/etc/yum.repos.d/fedora.repo", "/etc/yum.repos.d/fedora-updates.repo"),
    )


WORLD = World(
    name="rpm",
    package=named_by(
        r".*/(?P<name>[^/]+)-(?P<version>[^/-]+-[^/-]+)\.[^/.]+\.d?rpm",
    ),
    presets=_PRESETS,
    clients={"dnf": _dnf},
    knowledge=Repository(
        packages=package,
        lists_packages=lists_packages,
        led_by=led_by,
        releases=releases,
        signed=signed,
        index=Reading(digests, b"</package>"),
        release=Reading(digests),
    ),
    row=Row(
        clients="dnf, zypper",
        at="`/fedora`",
        checked=("repodata by repomd.xml or by its name; packages by the checksum in primary.xml"),
        changes="repomd.xml, one generation with its signature",
    ),
)
