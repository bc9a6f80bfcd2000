"""apt repositories: which index names a file's digest, and what it says.

Source: the Debian wiki, "DebianRepository/Format".
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from attrs import evolve

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Reading, Repository
from aimirror.routing.digests import Digest, parse
from aimirror.settings import sources
from aimirror.settings.setting import Address, Machine, Setting, as_text

_FIELDS = re.compile(rb"^(?:Filename: (?:\./)?(\S+)|SHA256: ([0-9a-f]{64}))\s*$", re.MULTILINE)
_PACKAGE = re.compile(r".+\.[ud]?deb")
_INDEX = re.compile(r"Packages(\.\w+)?")
#: What a flat repository's release names.
_FLAT = re.compile(r"(Packages|Sources|Contents|Translation-\w+)(\.\w+)?")
_LISTED = re.compile(r"^ ([0-9a-f]{64}) +\d+ (\S+)$", re.MULTILINE)


def packages(url: str) -> list[tuple[str, str]]:
    """For a package: (start of the URLs of indexes that may name it, its path there).

    Indexes are in ``dists`` of the base, or, in a flat repository, in a folder above the package:
    paths in that are below this folder, or below one above.
    """
    if _PACKAGE.fullmatch(url) is None:
        return []
    scheme, _, rest = url.partition("://")
    parts = rest.split("/")
    above = range(len(parts) - 1, 0, -1)
    bases = {k: f"{scheme}://{'/'.join(parts[:k])}" for k in above}
    names = {k: unquote("/".join(parts[k:])) for k in above}
    pairs = [(f"{bases[k]}/dists/", names[k]) for k in above]
    if "/pool/" not in url:
        pairs += [(f"{bases[k]}/Packages", names[j]) for k in above for j in above if j <= k]
    return pairs


def lists_packages(url: str) -> bool:
    """Whether an index URL may be that of a Packages file, plain or by hash."""
    folder, _, name = url.rpartition("/")
    return _INDEX.fullmatch(name) is not None or "/by-hash/" in folder + "/"


def signed(url: str) -> tuple[str, ...]:
    """For a release file or its signature: the URLs of all that is renewed together with it."""
    folder, _, name = url.rpartition("/")
    together = ("InRelease", "Release", "Release.gpg")
    return tuple(f"{folder}/{each}" for each in together) if name in together else ()


def digests(packages: bytes) -> dict[str, Digest]:
    """What a Packages file, or some of its paragraphs, says of files, by path below the base."""
    table = {}
    name = b""
    for filename, sha256 in _FIELDS.findall(packages):
        name = filename or name
        if sha256 and name:
            table[name.decode("latin-1")] = Digest("sha256", sha256.decode("ascii"))
    return table


def releases(url: str) -> list[tuple[str, str]]:
    """For the URL of an index: (URL of the InRelease that may name it, its name there).

    Suites may hold slashes (``stable/updates``), so there can be several.
    """
    before, separator, rest = url.partition("/dists/")
    parts = rest.split("/")
    folder, _, last = url.rpartition("/")
    if not separator and _FLAT.fullmatch(last) is not None:
        return [(f"{folder}/{name}", last) for name in ("InRelease", "Release")]
    if not separator or "by-hash" in parts:
        return []
    return [
        (f"{before}/dists/{'/'.join(parts[:k])}/{name}", "/".join(parts[k:]))
        for k in range(1, len(parts) - 1)
        for name in ("InRelease", "Release")
    ]


def listed(release: bytes) -> dict[str, Digest]:
    """The sha256 of the indexes that an InRelease or Release file names."""
    text = release.decode("utf-8", "replace")
    _, _, section = text.partition("\nSHA256:")
    return {
        name.removeprefix("./"): digest
        for sha256, name in _LISTED.findall(section)
        if (digest := parse("sha256", sha256)) is not None
    }


_PRESETS = r"""
apt: # deb http://MIRROR/debian stable main
  - &apt
    name: -by-hash
    path_prefix: /debian
    strip_prefix: true
    upstream: "https://deb.debian.org/debian"
    ecosystem: apt # indexes are of the generation that InRelease names; packages as they say
    pattern: '/by-hash/SHA256/[0-9a-f]{64}$'
    digest: {algorithm: sha256, from: path, pattern: '/by-hash/SHA256/([0-9a-f]{64})$'}
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *apt
    name: -files
    pattern: '\.(deb|udeb|ddeb|dsc|diff\.gz)$|/pool/.+\.tar\.\w+$|[._](orig|debian)[^/]*\.tar\.\w+$'
    digest: []
  - <<: *apt
    name: ""
    pattern: "^/"
    digest: []
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


_DEBIAN = r"https?://(deb|ftp|ftp\.[a-z]{2}|cdn-fastly\.deb|httpredir)\.debian\.org"
#: Debian's and Ubuntu's own archives, their mirrors by country among them, and where they are here.
_ARCHIVES = {
    rf"{_DEBIAN}/debian": "/debian",
    rf"{_DEBIAN}/debian-security": "/debian-security",
    r"https?://security(\.cdn)?\.debian\.org(/debian-security)?": "/debian-security",
    r"https?://(([a-z]{2}\.)?archive|security)\.ubuntu\.com/ubuntu": "/ubuntu",
}


def _apt(mirror: Address) -> Setting:
    bases = {pattern: mirror.at(prefix) for pattern, prefix in _ARCHIVES.items()}
    general = Setting(
        "/etc/apt/sources.list",
        "",
        sources.apt(bases),
        "--write changes the archives' addresses in the sources that are there; then: apt update",
        existing=(
            "/etc/apt/sources.list",
            "/etc/apt/sources.list.d/*.list",
            "/etc/apt/sources.list.d/*.sources",
        ),
    )

    def on(machine: Machine) -> Setting:
        suite = machine.get("VERSION_CODENAME") or "SUITE"
        base = mirror.at("/ubuntu" if machine.get("ID") == "ubuntu" else "/debian")
        if machine.get("ID") == "ubuntu":
            lines = [f"deb {base} {suite}{x} main universe" for x in ("", "-updates", "-security")]
        else:
            lines = [f"deb {base} {suite}{x} main" for x in ("", "-updates")]
            lines.append(f"deb {mirror.at('/debian-security')} {suite}-security main")
        probe = f"{base}/dists/{suite}/InRelease"
        return evolve(general, text=as_text(lines), probe=probe, on=on)

    return on({})


WORLD = World(
    name="apt",
    package=named_by(
        r".*/(?P<name>[^/_]+)_(?P<version>[^/_]+)_[^/]+\.[ud]?deb",
    ),
    presets=_PRESETS,
    clients={"apt": _apt},
    knowledge=Repository(
        packages=packages,
        lists_packages=lists_packages,
        releases=releases,
        signed=signed,
        index=Reading(digests, b"\n\n"),
        release=Reading(listed),
    ),
    row=Row(
        clients="apt",
        at="`/debian`, `/debian-security`, `/ubuntu`",
        checked="sha256 of Packages; indexes by InRelease; by-hash paths",
        changes=("dists, revalidated at each update; Release and its signature are one generation"),
    ),
)
