"""apt: Packages, Release files and their places."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import apt
from aimirror.routing.digests import Digest

HEX = "0f" * 32


class DebianTests(SynchronousTestCase):
    def test_packages(self) -> None:
        """Each file has the digest of its own paragraph, in an index of any size."""
        paragraphs = [
            f"Package: p{n}\nDescription: {'x' * 900}\nFilename: pool/p{n}.deb\nSize: 1\n"
            f"SHA256: {n:064x}\n"
            for n in range(3000)
        ]
        found = apt.digests("\n".join(paragraphs).encode())
        self.assertEqual(len(found), 3000)
        self.assertEqual(found["pool/p2999.deb"], Digest("sha256", f"{2999:064x}"))

    def test_flat(self) -> None:
        """A paragraph without a digest does not get that of the next."""
        found = apt.digests(f"Filename: a.deb\n\nFilename: ./b.deb\nSHA256: {HEX}\n".encode())
        self.assertEqual(found, {"b.deb": Digest("sha256", HEX)})

    def test_release(self) -> None:
        """The SHA256 section alone is read, signed or not."""
        text = f"Suite: s\nMD5Sum:\n {'0' * 32} 1 main/x\nSHA256:\n"
        text += f" {HEX}  12 main/binary-all/Packages\n"
        wanted = {"main/binary-all/Packages": Digest("sha256", HEX)}
        self.assertEqual(apt.listed(text.encode()), wanted)

    def test_releases(self) -> None:
        """The Release of an index, whose suite may hold slashes; by-hash paths need none."""
        found = apt.releases("http://h/d/dists/s/updates/main/binary-all/Packages.xz")
        self.assertIn(
            ("http://h/d/dists/s/InRelease", "updates/main/binary-all/Packages.xz"), found
        )
        self.assertIn(("http://h/d/dists/s/updates/Release", "main/binary-all/Packages.xz"), found)
        for other in ("http://h/d/dists/s/InRelease", f"http://h/dists/s/m/by-hash/SHA256/{HEX}"):
            self.assertEqual(apt.releases(other), [])

    def test_pool(self) -> None:
        """A package in a pool is told by its path below the base, which may hold dists, too."""
        found = apt.packages("http://h/d/pool/a/a.deb")
        self.assertIn(("http://h/d/dists/", "pool/a/a.deb"), found)
        self.assertFalse(any("Packages" in prefix for prefix, _ in found))
        inside = apt.packages("http://h/l/dists/s/pool/stable/a%2Bb.deb")
        self.assertIn(("http://h/l/dists/", "dists/s/pool/stable/a+b.deb"), inside)
        self.assertEqual(apt.packages("http://h/d/dists/s/InRelease"), [])

    def test_flat_repository(self) -> None:
        """A flat repository has its indexes in a folder above the package."""
        found = apt.packages("http://h/f/x86/a.deb")
        for place in (
            ("http://h/f/x86/Packages", "a.deb"),
            ("http://h/f/x86/Packages", "x86/a.deb"),
            ("http://h/f/Packages", "x86/a.deb"),
        ):
            self.assertIn(place, found)
        wanted = [("http://h/f/InRelease", "Packages.gz"), ("http://h/f/Release", "Packages.gz")]
        self.assertEqual(apt.releases("http://h/f/Packages.gz"), wanted)
        self.assertEqual(apt.releases("http://h/f/a.deb"), [])
        names = ("Packages", "Packages.gz", "PackagesFoo", "Packages.gz.asc")
        listing = [name for name in names if apt.lists_packages(f"http://h/f/{name}")]
        self.assertEqual(listing, ["Packages", "Packages.gz"])

    def test_signed(self) -> None:
        """A release file and its signatures are renewed together, other indexes by themselves."""
        urls = ("http://h/dists/s/InRelease", "http://h/dists/s/Release")
        urls += ("http://h/dists/s/Release.gpg",)
        for url in urls:
            self.assertEqual(apt.signed(url), urls)
        self.assertEqual(apt.signed("http://h/dists/s/main/binary-all/Packages"), ())
