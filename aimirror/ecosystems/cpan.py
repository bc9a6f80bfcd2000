"""CPAN: each author's folder has a list of digests, which the mirror asks for.

Source: the CHECKSUMS files that PAUSE writes: a Perl structure, by file name.
"""

from __future__ import annotations

import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest
from aimirror.settings.setting import Address, Setting, exported

_DISTRIBUTION = re.compile(r"(.*/authors/id/[A-Z]/[A-Z0-9]{2}/[^/]+/(?:[^/]+/)*)([^/]+)")
_RECORD = re.compile(r"'([^'\n]+)'\s*=>\s*\{([^{}]*)\}")
_SHA256 = re.compile(r"'sha256'\s*=>\s*'([0-9a-f]{64})'")
#: Bytes of a CHECKSUMS file that is asked for: the busiest authors have hundreds of releases.
MOST_CHECKSUMS = 4 << 20


def _places(url: str) -> Places:
    match = _DISTRIBUTION.fullmatch(url)
    if match is None or match[2] == "CHECKSUMS":
        return []
    return [(f"{match[1]}CHECKSUMS", match[2])]


def digests(checksums: bytes) -> dict[str, Digest]:
    """What a CHECKSUMS file says, by file name."""
    table = {}
    for name, record in _RECORD.findall(checksums.decode("utf-8", "replace")):
        match = _SHA256.search(record)
        if match is not None:
            table[name] = Digest("sha256", match[1])
    return table


_PRESETS = r"""
cpan: # cpanm --mirror http://MIRROR/cpan --mirror-only
  - &cpan
    name: -files
    path_prefix: /cpan
    strip_prefix: true
    upstream: "https://www.cpan.org"
    ecosystem: cpan # sha256 of CHECKSUMS
    pattern: '/authors/id/.+\.(tar\.\w+|tgz|zip)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *cpan
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 10m, stale_if_error: 7d}
"""


def _cpanm(mirror: Address) -> Setting:
    url = mirror.at("/cpan")
    options = f'"--mirror {url} --mirror-only"'
    return exported(f"{url}/modules/02packages.details.txt.gz", PERL_CPANM_OPT=options)


WORLD = World(
    name="cpan",
    package=named_by(
        r".*/authors/id/[A-Z]/[^/]+/[^/]+/(?:[^/]+/)*(?P<name>[^/]+)-v?(?P<version>[0-9][^/-]*)\.(?:tar\.gz|tgz|zip|tar\.bz2)",
    ),
    presets=_PRESETS,
    clients={"cpanm": _cpanm},
    knowledge=Files(places=_places, reading=Reading(digests), asks=MOST_CHECKSUMS),
    row=Row(
        clients="cpanm, cpan",
        at="`/cpan`",
        checked="sha256 of the author's CHECKSUMS, for which the mirror asks",
        changes="`modules/`, CHECKSUMS",
    ),
)
