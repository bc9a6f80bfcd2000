"""Alpine packages: the index names a digest of a part of each, and that part names the rest.

Source: the Alpine wiki, "Apk spec".  ``C:`` of APKINDEX is the SHA-1 of a package's control part
(``routing.alpine_package``).
"""

from __future__ import annotations

import base64
import binascii
import re

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import APK, Digest
from aimirror.settings import sources
from aimirror.settings.setting import Address, Machine, Setting, as_text

_SHA1 = 20

_PACKAGE = re.compile(r"(.+)/([^/]+\.apk)")
#: A file's first line comes straight behind the tar header's padding.
_RECORD = re.compile(rb"(?:^|(?<=\0))([CPV]):(.*)$", re.MULTILINE)


def _places(url: str) -> Places:
    match = _PACKAGE.fullmatch(url)
    return [(f"{match[1]}/APKINDEX.tar.gz", match[2])] if match else []


def digests(index: bytes) -> dict[str, Digest]:
    """What an APKINDEX, or some of its paragraphs, says of packages, by file name."""
    table = {}
    for paragraph in index.split(b"\n\n"):
        fields = dict(_RECORD.findall(paragraph))
        raw = _checksum(fields.get(b"C", b""))
        if raw is not None and b"P" in fields and b"V" in fields:
            name = b"%b-%b.apk" % (fields[b"P"], fields[b"V"])
            table[name.decode("utf-8", "replace")] = Digest(APK, raw.hex())
    return table


def _checksum(value: bytes) -> bytes | None:
    """The 20 bytes of ``Q1BASE64``."""
    try:
        raw = base64.b64decode(value[2:], validate=True) if value.startswith(b"Q1") else b""
    except binascii.Error:
        return None
    return raw if len(raw) == _SHA1 else None


_PRESETS = r"""
alpine: # http://MIRROR/alpine/v3.20/main in /etc/apk/repositories
  - &alpine
    name: -files
    path_prefix: /alpine
    strip_prefix: true
    upstream: "https://dl-cdn.alpinelinux.org/alpine"
    ecosystem: apk # what APKINDEX says of the part that names the rest
    pattern: '/[^/]+-r[0-9]+\.apk$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *alpine
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1m, stale_if_error: 7d}
"""


_OFFICIAL = r"https?://dl-(cdn|\d+)\.alpinelinux\.org/alpine"


def _alpine(mirror: Address) -> Setting:
    base = mirror.at("/alpine")

    def on(machine: Machine) -> Setting:
        version = ".".join(machine.get("VERSION_ID", "").split(".")[:2])
        branch = f"v{version}" if version and machine.get("ID") == "alpine" else "latest-stable"
        text = as_text([f"{base}/{branch}/{name}" for name in ("main", "community")])
        return Setting(
            "/etc/apk/repositories",
            text,
            sources.apk(_OFFICIAL, base, text),
            probe=f"{base}/{branch}/main/x86_64/APKINDEX.tar.gz",
            on=on,
        )

    return on({})


WORLD = World(
    name="apk",
    package=named_by(
        r".*/(?P<name>[^/]+)-(?P<version>[0-9][^/-]*-r[0-9]+)\.apk",
    ),
    presets=_PRESETS,
    clients={"apk": _alpine},
    knowledge=Files(places=_places, reading=Reading(digests, b"\n\n")),
    row=Row(
        clients="apk",
        at="`/alpine`",
        checked="`C:` of APKINDEX and the `datahash` that it proves",
        changes="APKINDEX",
    ),
)
