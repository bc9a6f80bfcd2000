"""RubyGems: places in a compact index, and what they say."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.rubygems import index as rubygems
from aimirror.routing.digests import Digest

HEX, OTHER = "0f" * 32, "1e" * 32


class RubyGemsTests(SynchronousTestCase):
    def test_gem(self) -> None:
        """Where names and versions hold hyphens, each way to read them is tried."""
        found = list(rubygems.gem("http://h/r/gems/a-2-1.0-x86_64-linux.gem"))
        wanted = [("http://h/r/info/a", "2-1.0-x86_64-linux")]
        wanted.append(("http://h/r/info/a-2", "1.0-x86_64-linux"))
        self.assertEqual(found, wanted)
        for url in ("http://h/info/a", "http://h/gems/a.gem", "http://h/gems/-1.0.gem"):
            self.assertEqual(list(rubygems.gem(url)), [])

    def test_many_readings(self) -> None:
        """A long name of hyphens and digits leads to few indexes."""
        self.assertEqual(len(list(rubygems.gem(f"http://h/gems/{'a-1' * 2000}.gem"))), 8)

    def test_digests(self) -> None:
        """Lines with and without dependencies; those without a checksum are left out."""
        lines = f"---\n1.0 |checksum:{HEX}\n1.1-java a:>= 1&< 2,b:= 1|ruby:>= 2,checksum:{OTHER}\n"
        found = rubygems.digests(f"{lines}2.0 |ruby:>= 3\n3.0 |checksum:12\n".encode())
        self.assertEqual(found, {"1.0": Digest("sha256", HEX), "1.1-java": Digest("sha256", OTHER)})
