"""Nix: an archive's name is its digest."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import nix
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase


def encoded(raw: bytes) -> str:
    """The base 32 of Nix."""
    number = int.from_bytes(raw, "little")
    return "".join(nix._ALPHABET[number >> 5 * k & 31] for k in reversed(range(52)))


class NixTests(SynchronousTestCase):
    def test_known(self) -> None:
        """The SHA-256 of nothing, as nix-hash writes it."""
        told = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
        url = f"https://h/nar/{told}.nar.xz"
        self.assertEqual(nix.digest_of(url), Digest("sha256", hashlib.sha256().hexdigest()))
        self.assertEqual(encoded(hashlib.sha256().digest()), told)

    def test_no_digest(self) -> None:
        """Other names say nothing: other letters, lengths, and numbers that are too large."""
        for name in ("e" * 52, "0" * 51, "z" * 52, "0" * 32):
            self.assertIsNone(nix.digest_of(f"https://h/nar/{name}.nar.xz"))
        self.assertIsNone(nix.digest_of(f"https://h/{'0' * 52}.narinfo"))


class ArchiveTests(WorldCase):
    name = "nix"

    def test_damaged(self) -> None:
        """An archive that is not what its name says is not given out whole, nor kept."""
        self.use(immutable=True)
        path = f"/nar/{encoded(hashlib.sha256(b'archive').digest())}.nar.xz"
        for body, given in ((b"damaged", False), (b"archive", True)):
            self.answers[path] = (200, [], body)
            client = self.ask(path)
            for _ in range(20):
                self.clock.advance(1)
            answers = [answer for answer in client.answers() if answer[0] == 200]
            self.assertEqual([body for _, _, body in answers], [b"archive"] if given else [])
            self.clock.advance(1000)
