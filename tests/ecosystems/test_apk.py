"""Alpine: what APKINDEX says of packages, and what of a package that is about."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import apk
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import OLD, ReplacedTests


def packed(name: str, content: bytes) -> bytes:
    """A gzip stream with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


def package(data: bytes, signed: bool = True) -> tuple[bytes, bytes]:
    """A package, and its control part alone."""
    rest = packed("usr/bin/a", data)
    control = packed(
        ".PKGINFO", f"pkgname = a\ndatahash = {hashlib.sha256(rest).hexdigest()}\n".encode()
    )
    signature = packed(".SIGN.RSA.key.rsa.pub", b"signature") if signed else b""
    return signature + control + rest, control


def control(data: bytes) -> bytes:
    """The control part of a package with this data."""
    return package(data)[1]


def index(control: bytes) -> bytes:
    told = base64.b64encode(hashlib.sha1(control).digest()).decode()
    text = f"C:Q1{told}\nP:a\nV:1.0-r0\nA:x86_64\n\nC:Q1{told}\nP:b\nV:2-r1\n\n"
    return packed(".SIGN.RSA.key.rsa.pub", b"x") + packed("APKINDEX", text.encode())


class DigestTests(SynchronousTestCase):
    def test_index(self) -> None:
        """Packages are told by name and version; records without a digest are left out."""
        raw = hashlib.sha1(b"x").digest()
        told = base64.b64encode(raw).decode()
        text = f"C:Q1{told}\nP:a\nV:1-r0\n\nC:Q2xx\nP:b\nV:1-r0\n\nP:c\nV:1-r0\n\nC:Q1{told}\n"
        wanted = {"a-1-r0.apk": Digest("apk", raw.hex())}
        self.assertEqual(apk.digests(text.encode()), wanted)


class ReplacedPackageTests(ReplacedTests, WorldCase):
    name, path = "apk", "/v3/main/x86_64/a-1.0-r0.apk"
    index = "/v3/main/x86_64/APKINDEX.tar.gz"

    def says(self, data: bytes) -> bytes:
        return index(control(data))

    def built(self, data: bytes) -> bytes:
        return package(data)[0]

    def test_damaged(self) -> None:
        """A package whose data is not what its control part says is not given out whole."""
        self.publish(self.says(OLD), OLD)
        status, fields, file = self.answers[self.path]
        self.answers[self.path] = (status, fields, file[:-1] + b"x")
        self.assertEqual(self.read(), b"")
        self.clock.advance(1000)
        self.answers[self.path] = (status, fields, file)
        self.assertEqual(self.read(), self.built(OLD))
