"""Indexes are read in pieces, however they are packed."""

from __future__ import annotations

import bz2
import gzip
import lzma

import zstandard
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import apt, rpm
from aimirror.ecosystems.conda import repodata as conda
from aimirror.indexes import tables
from aimirror.indexes.digest_table import DigestTable
from aimirror.indexes.reading import Reading
from aimirror.routing.digests import Digest

PACKERS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip in members": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "zstd in frames": lambda data: (
        zstandard.ZstdCompressor().compress(data[:1000])
        + zstandard.ZstdCompressor().compress(data[1000:])
    ),
}
COUNT = 400


def paragraph(number: int) -> str:
    return f"Package: p{number}\nFilename: pool/p{number}.deb\nSHA256: {number:064x}\n\n"


def package(number: int) -> str:
    checksum = f'<checksum type="sha256" pkgid="YES">{number:064x}</checksum>'
    return f'<package type="rpm">{checksum}<location href="p{number}.rpm"/></package>\n'


def record(number: int) -> str:
    return f'"p-{number}-0.conda": {{"depends": ["a"], "sha256": "{number:064x}", "size": 1}}, '


KINDS = (
    (Reading(apt.digests, b"\n\n"), paragraph, "pool/p{}.deb"),
    (Reading(rpm.digests, b"</package>"), package, "p{}.rpm"),
    (Reading(conda.digests, b"}"), record, "p-{}-0.conda"),
)


def said(reading: Reading, data: bytes) -> DigestTable:
    reader = f"{reading.read.__module__}:{reading.read.__qualname__}"
    return DigestTable.load(tables.table(data, reader, reading.boundary.decode("latin-1")))


class ReadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(tables, "PIECE", 333)

    def test_pieces(self) -> None:
        """Each file is found, on whichever side of a cut it lies, in every form."""
        for reading, one, name in KINDS:
            text = "".join(one(n) for n in range(COUNT)).encode()
            for packed, pack in PACKERS.items():
                found = said(reading, pack(text))
                self.assertEqual(len(found), COUNT, packed)
                for n in range(COUNT):
                    self.assertEqual(found.get(name.format(n)), Digest("sha256", f"{n:064x}"))

    def test_damaged(self) -> None:
        """A packed index that is cut off or damaged says nothing."""
        text = "".join(map(paragraph, range(COUNT))).encode()
        for packed, pack in PACKERS.items():
            data = pack(text)
            if data == text or "in " in packed:
                continue
            flipped = data[:20] + bytes([data[20] ^ 0xFF]) + data[21:]
            self.assertLess(len(said(KINDS[0][0], flipped)), COUNT, packed)

    def test_bounded(self) -> None:
        """What unpacks to more than is read is read up to there."""
        self.patch(tables, "MOST_UNPACKED", 5000)
        text = "".join(map(paragraph, range(COUNT))).encode()
        for pack in PACKERS.values():
            found = len(said(KINDS[0][0], pack(text)))
            self.assertTrue(0 < found < 100, found)

    def test_bomb(self) -> None:
        """What has no boundary for too long is not gathered in memory, and says nothing."""
        self.patch(tables, "MOST_AT_ONCE", 5000)
        for pack in PACKERS.values():
            for boundary in (b"", b"\n\n"):
                packed = pack(b"[]," * 100_000)
                self.assertRaises(ValueError, list, tables.pieces(packed, boundary))
                self.assertEqual(len(said(Reading(conda.digests, boundary), packed)), 0)
