"""CPAN: an author's CHECKSUMS, for which the mirror asks itself."""

from __future__ import annotations

from tests.ecosystems.support import WorldCase
from tests.indexes.test_proving import NEW, OLD, ReplacedTests, hexed

FOLDER = "/authors/id/A/AU/AUTHOR"


def checksums(data: bytes) -> bytes:
    return (
        "# CHECKSUMS file written by PAUSE\n$cksum = {\n"
        f"  'A-1.0.meta' => {{\n    'sha256' => '{hexed('sha256', b'meta')}',\n  }},\n"
        f"  'A-1.0.tar.gz' => {{\n    'md5' => 'x',\n    'sha256' => '{hexed('sha256', data)}',\n"
        "    'size' => 9\n  }\n};\n"
    ).encode()


class ReplacedDistributionTests(ReplacedTests, WorldCase):
    name, path, index = "cpan", f"{FOLDER}/A-1.0.tar.gz", f"{FOLDER}/CHECKSUMS"

    def says(self, data: bytes) -> bytes:
        return checksums(data)

    def test_asked_for(self) -> None:
        """A client that asks for no CHECKSUMS is given what these say all the same."""
        self.publish(checksums(OLD), NEW)
        self.assertEqual(self.fetch(), b"")
        self.assertIn(f"GET {self.index}", self.urls())
        self.clock.advance(1000)
        self.answers[self.path] = (200, [], OLD)
        self.assertEqual(self.fetch(), OLD)
