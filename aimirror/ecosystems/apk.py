"""Alpine packages: the index names a digest of a part of each, and that part names the rest.

Source: the Alpine wiki, "Apk spec".  A package is three gzip streams: a signature (not always),
the control part, the data.  ``C:`` of APKINDEX is the SHA-1 of the control part as it is packed;
``datahash`` in its .PKGINFO is the SHA-256 of the data.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterable

from aimirror.ecosystems.clients import Address, Machine, Setting, as_text
from aimirror.ecosystems.formats import sources
from aimirror.ecosystems.world import Files, Places, Reading, Row, World
from aimirror.routing.digests import Digest

#: What the digests of this index are called here: no hash of the whole file.
ALGORITHM = "apk"
#: Bytes of an unpacked signature or control part.
MOST_CONTROL = 4 << 20
#: zlib's word for one gzip stream.
_GZIP = 31
_SHA1 = 20

_PACKAGE = re.compile(r"(.+)/([^/]+\.apk)")
#: A file's first line comes straight behind the tar header's padding.
_RECORD = re.compile(rb"(?:^|(?<=\0))([CPV]):(.*)$", re.MULTILINE)
_DATA_HASH = re.compile(rb"(?:^|(?<=\0))datahash = ([0-9a-f]{64})$", re.MULTILINE)


def _places(url: str) -> Places:
    match = _PACKAGE.fullmatch(url)
    return [(f"{match[1]}/APKINDEX.tar.gz", match[2])] if match else []


def digests(index: bytes) -> dict[str, Digest]:
    """What an APKINDEX, or some of its paragraphs, says of packages, by file name."""
    found = {}
    for paragraph in index.split(b"\n\n"):
        told = dict(_RECORD.findall(paragraph))
        raw = _checksum(told.get(b"C", b""))
        if raw is not None and b"P" in told and b"V" in told:
            name = b"%b-%b.apk" % (told[b"P"], told[b"V"])
            found[name.decode("utf-8", "replace")] = Digest(ALGORITHM, raw.hex())
    return found


def _checksum(told: bytes) -> bytes | None:
    """The 20 bytes of ``Q1BASE64``."""
    try:
        raw = base64.b64decode(told[2:], validate=True) if told.startswith(b"Q1") else b""
    except binascii.Error:
        return None
    return raw if len(raw) == _SHA1 else None


def fingerprint(pieces: Iterable[bytes]) -> str:
    """The hex of a package's control part, "" for one whose data is not what that part says."""
    reading = _Package()
    try:
        for piece in pieces:
            reading.feed(piece)
    except (zlib.error, ValueError):
        return ""
    return reading.result()


class _Package:
    """A package that is read from its start on."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._unpacked = b""
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._data = hashlib.sha256()
        self._control = b""

    def feed(self, piece: bytes) -> None:
        """The next bytes.  Raises ValueError or zlib.error for what is no package."""
        while piece and not self._control:
            self._unpacked += self._stream.decompress(piece, MOST_CONTROL)
            if len(self._unpacked) > MOST_CONTROL or self._stream.unconsumed_tail:
                raise ValueError("the control part is too large")
            rest = self._stream.unused_data
            self._sha1.update(piece[: len(piece) - len(rest)])
            piece = rest
            if self._stream.eof:
                self._end_stream()
        self._data.update(piece)

    def _end_stream(self) -> None:
        if not self._unpacked.startswith(b".SIGN."):
            self._control = self._unpacked
        self._stream, self._unpacked = zlib.decompressobj(_GZIP), b""
        if not self._control:
            self._sha1 = hashlib.sha1(usedforsecurity=False)

    def result(self) -> str:
        """See fingerprint."""
        said = _DATA_HASH.search(self._control)
        if not self._control or (said and said[1].decode("ascii") != self._data.hexdigest()):
            return ""
        return self._sha1.hexdigest()


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
    presets=_PRESETS,
    clients={"apk": _alpine},
    knowledge=Files(
        places=_places, reading=Reading(digests, b"\n\n"), fingerprints={ALGORITHM: fingerprint}
    ),
    row=Row(
        clients="apk",
        at="`/alpine`",
        checked="`C:` of APKINDEX and the `datahash` that it proves, once stored",
        changes="APKINDEX",
    ),
)
