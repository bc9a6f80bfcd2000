"""Maven: checksums and what changes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.maven import checksums as maven
from aimirror.routing.digests import Digest

HEX = "0f" * 20


class MavenTests(SynchronousTestCase):
    def test_checksum(self) -> None:
        """A checksum's path names the file and the algorithm."""
        self.assertEqual(maven.checksum("/g/a-1.jar.sha1"), ("/g/a-1.jar", "sha1"))
        self.assertEqual(maven.checksum("/g/a-1.jar"), ("", ""))

    def test_changes(self) -> None:
        """Metadata, snapshots, catalogues and what is kept about a repository; releases do not."""
        for path in (
            "/g/maven-metadata.xml",
            "/g/maven-metadata-central.xml",
            "/g/1-SNAPSHOT/a-1-20240101.1-1.jar",
            "/maven2/.meta/prefixes.txt",
            "/maven2/archetype-catalog.xml",
            "/maven2/.index/nexus-maven-repository-index.properties",
            "/maven2/nexus-maven-repository-index.properties",
        ):
            self.assertTrue(maven.changes(path))
        self.assertFalse(maven.changes("/g/a/1/a-1.jar"))

    def test_digest(self) -> None:
        """Hex alone, with a file's name, or in capitals; a page of HTML is none."""
        for text in (HEX, f"{HEX}  a-1.jar\n", HEX.upper(), f"SHA1(a)= {HEX}"):
            self.assertEqual(maven.digest(text.encode()), Digest("sha1", HEX))
        self.assertIsNone(maven.digest(b"<html>not found</html>"))
