"""Alpine: what APKINDEX says of packages, and what of a package that is about."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import tarfile

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import apk
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase


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


def index(control: bytes) -> bytes:
    told = base64.b64encode(hashlib.sha1(control).digest()).decode()
    text = f"C:Q1{told}\nP:a\nV:1.0-r0\nA:x86_64\n\nC:Q1{told}\nP:b\nV:2-r1\n\n"
    return packed(".SIGN.RSA.key.rsa.pub", b"x") + packed("APKINDEX", text.encode())


class FingerprintTests(SynchronousTestCase):
    def test_pieces(self) -> None:
        """The control part is found behind a signature or without, cut at any place."""
        for signed in (True, False):
            file, control = package(b"data" * 50, signed)
            wanted = hashlib.sha1(control).hexdigest()
            for step in (1, 7, 100, len(file)):
                pieces = [file[k : k + step] for k in range(0, len(file), step)]
                self.assertEqual(apk.fingerprint(pieces), wanted)

    def test_damaged(self) -> None:
        """Data that the control part does not name, and what is no package, has none."""
        file, _ = package(b"data" * 50)
        for bad in (file[:-1] + b"x", file[:-1], file[:20], b"no gzip", b""):
            self.assertEqual(apk.fingerprint([bad]), "")

    def test_huge(self) -> None:
        """A control part that does not end takes no more memory than the largest one."""
        bomb = gzip.compress(bytes(apk.MOST_CONTROL * 4))
        self.assertEqual(apk.fingerprint([bomb]), "")


class DigestTests(SynchronousTestCase):
    def test_index(self) -> None:
        """Packages are told by name and version; records without a digest are left out."""
        raw = hashlib.sha1(b"x").digest()
        told = base64.b64encode(raw).decode()
        text = f"C:Q1{told}\nP:a\nV:1-r0\n\nC:Q2xx\nP:b\nV:1-r0\n\nP:c\nV:1-r0\n\nC:Q1{told}\n"
        wanted = {"a-1-r0.apk": Digest("apk", raw.hex())}
        self.assertEqual(apk.digests(text.encode()), wanted)


class ReplacedTests(WorldCase):
    name = "apk"
    folder = "/v3/main/x86_64"

    def publish(self, sent: bytes, control: bytes) -> None:
        self.clock.advance(100)
        self.answers[f"{self.folder}/APKINDEX.tar.gz"] = (
            *(200, ["Cache-Control: max-age=60"]),
            index(control),
        )
        self.answers[f"{self.folder}/a-1.0-r0.apk"] = (200, [], sent)
        self.get(f"{self.folder}/APKINDEX.tar.gz")

    def check(self, *bodies: bytes) -> None:
        """What clients get, one after the other, and that it costs one request."""
        path = f"{self.folder}/a-1.0-r0.apk"
        before = self.urls().count(f"GET {path}")
        for body in bodies:
            self.assertEqual(self.get(path)[2], body)
        self.assertEqual(self.urls().count(f"GET {path}"), before + 1)

    def test_followed(self) -> None:
        """A package that was rebuilt under its name is asked for again."""
        self.use(immutable=re.compile("apk$"))
        for content in (b"old", b"new"):
            file, control = package(content)
            self.publish(file, control)
            self.check(file, file)

    def test_damaged(self) -> None:
        """A damaged one is not given out again."""
        self.use(immutable=re.compile("apk$"))
        file, control = package(b"content")
        bad = file[:-1] + b"x"
        self.publish(bad, control)
        self.check(bad)
        self.publish(file, control)
        self.check(file, file)
