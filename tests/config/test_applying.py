"""What a configuration means for a service that runs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import Config, load
from aimirror.config.applying import egress_of, needs_restart
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


class RestartTests(SynchronousTestCase):
    def config(self, more: str) -> Config:
        file = Path(self.mktemp())
        file.write_text(f"rules: [{{name: r, upstream: 'http://h'}}]\n{more}\n", "utf-8")
        return load(file, {"HOME": "/home/u"})

    def test_cluster(self) -> None:
        """Other nodes and bounds of uploads are taken up; another store or address is not."""
        old = """
cache: {dir: /c}
cluster: {key_file: /k, peers: [a:1, b:1], self: "a:1"}
tier: {url: "s3://bucket/p", uploads: 2}
"""
        before = self.config(old)
        for change, keys in (
            (("b:1]", "b:1, c:1]"), ()),
            (("uploads: 2", "uploads: 3, rate_limit: 5MB, max_size: 1GB"), ()),
            (("s3://bucket/p", "s3://bucket/q"), ("tier",)),
            (('self: "a:1"', 'self: "b:1"'), ("cluster.self",)),
            (("peers: [a:1, b:1], ", ""), ("cluster.peers",)),
        ):
            after = self.config(old.replace(*change))
            self.assertEqual(needs_restart(before, after), keys, change)
