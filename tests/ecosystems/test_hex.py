"""Hex: what a package's registry file says."""

from __future__ import annotations

import gzip
import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import hex as hexpm
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import ReplacedTests


def field(number: int, data: bytes) -> bytes:
    size, length = len(data), b""
    while size >= 0x80:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def registry(**versions: bytes) -> bytes:
    """A registry file, unpacked: versions by name, with what their tarballs hash to."""
    releases = b"".join(
        field(1, field(1, name.encode()) + field(2, b"i" * 32) + b"\x20\x01" + field(5, checksum))
        for name, checksum in versions.items()
    )
    return field(1, releases + field(2, b"name") + field(3, b"hexpm")) + field(2, b"s" * 200)


class HexTests(SynchronousTestCase):
    def test_digests(self) -> None:
        """The outer checksum of each version counts."""
        raw = hashlib.sha256(b"x").digest()
        found = hexpm.digests(registry(one=raw, two=b"short"))
        self.assertEqual(found, {"one": Digest("sha256", raw.hex())})

    @given(st.binary(max_size=200))
    def test_anything(self, data: bytes) -> None:
        """What is no registry file says nothing, or at least does no harm."""
        self.assertIsInstance(hexpm.digests(data), dict)

    def test_places(self) -> None:
        """A tarball's version is what follows the name, which has no hyphens."""
        found = hexpm._places("https://h/tarballs/a_b-1.0.0-rc.1.tar")
        self.assertEqual(found, [("https://h/packages/a_b", "1.0.0-rc.1")])
        self.assertEqual(hexpm._places("https://h/packages/a_b"), [])


class ReplacedTarballTests(ReplacedTests, WorldCase):
    name, path, index = "hex", "/tarballs/a-1.0.tar", "/packages/a"

    def says(self, data: bytes) -> bytes:
        return gzip.compress(registry(**{"1.0": hashlib.sha256(data).digest()}))
