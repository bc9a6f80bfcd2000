"""Lists of sha256 digests, in the forms that coreutils and others write."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.indexes.sums import sha256_sums
from aimirror.routing.digests import Digest

HEX = "0123456789abcdef" * 4


class SumsTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """Names come with a star, with a folder, with a carriage return; other lines are none."""
        text = f"{HEX}  a.zip\n{HEX.upper()} *b/c.tar.gz\r\nabc  d\n{HEX}\n# {HEX}  e\n"
        digest = Digest("sha256", HEX)
        self.assertEqual(sha256_sums(text.encode()), {"a.zip": digest, "c.tar.gz": digest})
        self.assertEqual(sha256_sums(b"\xff\x00"), {})
