"""rpm: places in a repository, and what its metadata says."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import rpm
from aimirror.routing.digests import Digest

HEX = "0f" * 32
REPOMD = f"""<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo">
<data type="primary"><checksum type="sha256">{HEX}</checksum>
<open-checksum type="sha256">{"1e" * 32}</open-checksum>
<location href="repodata/primary.xml.gz"/></data>
<data type='other'><checksum type='sha'>{"2d" * 20}</checksum>
<location href='repodata/other.xml.gz'/></data>
<data type="none"><location href="repodata/none.xml.gz"/></data></repomd>"""
PRIMARY = f"""<metadata packages="3"><package type="rpm"><name>a</name>
<checksum type="sha256" pkgid="YES">{HEX}</checksum><location href="Packages/a&amp;b%2B.rpm"/>
</package><package type="rpm"><checksum type="md5" pkgid="YES">{"0" * 32}</checksum>
<location href="b.rpm"/></package>
<package type="rpm"><location xml:base="http://x/" href="c.rpm"/></package>
</metadata>"""


class RpmTests(SynchronousTestCase):
    def test_repomd(self) -> None:
        """Metadata files have the digest of their own element, as they are compressed."""
        found = rpm.digests(REPOMD.encode())
        wanted = {"repodata/primary.xml.gz": Digest("sha256", HEX)}
        wanted["repodata/other.xml.gz"] = Digest("sha1", "2d" * 20)
        self.assertEqual(found, wanted)

    def test_primary(self) -> None:
        """Packages by their path; what is not known well enough is left out."""
        self.assertEqual(
            rpm.digests(PRIMARY.encode()), {"Packages/a&b+.rpm": Digest("sha256", HEX)}
        )

    def test_damaged(self) -> None:
        """What is no metadata says nothing."""
        for index in (b"", b"\xff<package type='rpm'>", PRIMARY.encode()[:200]):
            self.assertEqual(rpm.digests(index), {})

    def test_hostile(self) -> None:
        """Tags that never end take no more time than others, however many there are."""
        whole = b'<data ><checksum type="sha256">ab</checksum><location href="a"/></data>'
        for torn in (b"<data >", b"<package ", b"<checksum ", b"<location ", b'<checksum type="a"'):
            started = time.process_time()
            rpm.digests(torn * 20_000)
            rpm.digests(b"<data >" + torn * 20_000 + whole)
            self.assertLess(time.process_time() - started, 2.0, torn)

    def test_package(self) -> None:
        """A package may belong to a repository at any folder above it."""
        found = rpm.package("https://h/f/os/Packages/a/a%2B.rpm")
        self.assertIn(("https://h/f/os/repodata/", "Packages/a/a+.rpm"), found)
        self.assertIn(("https://h/repodata/", "f/os/Packages/a/a+.rpm"), found)
        self.assertEqual(len(found), 5)
        self.assertEqual(rpm.package("https://h/f/repodata/repomd.xml"), [])

    def test_led_by(self) -> None:
        """A package's repomd.xml is looked for in the folders above it, the nearest first."""
        base = "http://h/f/os"
        self.assertEqual(
            rpm.led_by(f"{base}/Packages/h/hello.rpm"),
            [f"{base}/{folder}repodata/repomd.xml" for folder in ("Packages/h/", "Packages/", "")],
        )
        self.assertEqual(rpm.led_by(f"{base}/repodata/primary.xml"), [])

    def test_metadata(self) -> None:
        """Metadata is named by repomd.xml, which goes with its signature."""
        repomd = "https://h/os/repodata/repomd.xml"
        found = rpm.releases("https://h/os/repodata/primary.xml.gz")
        self.assertEqual(found, [(repomd, "repodata/primary.xml.gz")])
        for url in (repomd, f"{repomd}.asc"):
            self.assertEqual(rpm.releases(url), [])
            self.assertEqual(rpm.signed(url)[0], repomd)
        self.assertEqual(rpm.signed("https://h/os/repodata/primary.xml.gz"), ())
        for name in ("primary.xml.zst", f"{HEX}-primary.xml.gz", "primary.xml"):
            self.assertTrue(rpm.lists_packages(f"https://h/os/repodata/{name}"))
        for name in ("repomd.xml", "filelists.xml.gz", "primary.sqlite.bz2"):
            self.assertFalse(rpm.lists_packages(f"https://h/os/repodata/{name}"))
