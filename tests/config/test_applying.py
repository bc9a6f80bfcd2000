"""What a configuration means for a service that runs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import load
from aimirror.config.applying import egress_of
from aimirror.http.egress import Zone
from aimirror.routing.rules import Route, route_of

RULES = """
server: {allow_private: [10.1.0.0/16]}
rules:
  - {name: own, path_prefix: /own, upstream: "http://10.9.9.9"}
  - {name: any, upstream: "*", allow: ["*.test", nas.test, "10.9.9.9:81"]}
"""


class EgressTests(SynchronousTestCase):
    def setUp(self) -> None:
        file = Path(self.mktemp())
        file.write_text(RULES, "utf-8")
        self.config = load(file, {"HOME": "/home/u"})

    def zones(self, path: str) -> frozenset[Zone]:
        found = route_of(self.config.rules, path, "")
        assert isinstance(found, Route), found
        return egress_of(self.config)(found.rule).reach.zones

    def test_named(self) -> None:
        """A host that a rule names may be anywhere."""
        for path in ("/own/x", "/http://nas.test/x", "/https://NAS.test/x", "/http://10.9.9.9:81/"):
            self.assertIn(Zone.PRIVATE, self.zones(path), path)

    def test_wildcard(self) -> None:
        """A host that only a wildcard lists is reached at public addresses alone."""
        for path in ("/http://a.test/x", "/https://a.nas.test"):
            self.assertEqual(self.zones(path), frozenset({Zone.PUBLIC}), path)
