"""Balancers' configurations as text; tests/e2e has the real balancers read them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.cluster.affinity import Shape
from aimirror.cluster.balancers import BALANCERS, Site
from aimirror.config.document import parse

SITE = Site(
    nodes=(("10.0.0.1", 8081), ("[fd00::2]", 8081)),
    port=8080,
    shapes=(Shape("^(/a/[^/?]+)/[^?]*(?:[?].*)?$", r"\1"), Shape("^/b/([^/]+)/(.+)$", r"b/\1/\2")),
)


class BalancersTests(SynchronousTestCase):
    def test_nodes(self) -> None:
        """Each node is named, and none has a bound on its load."""
        for name in ("haproxy", "nginx", "envoy"):
            text = BALANCERS[name](SITE)
            for host, _ in SITE.nodes:
                self.assertIn(host.strip("[]"), text)
            self.assertNotIn("balance-factor", text)

    def test_order(self) -> None:
        """Shapes are tried in their order, and the whole target stands in where none fits."""
        for name, text in ((n, make(SITE)) for n, make in BALANCERS.items()):
            self.assertLess(text.index(SITE.shapes[0].pattern), text.index("^/b/"), name)

    def test_yaml(self) -> None:
        """What is YAML is read as YAML, and has the expressions as they are."""
        found = parse(BALANCERS["envoy"](SITE).encode(), "envoy.yaml")
        self.assertIsInstance(found, dict)
        self.assertIn(SITE.shapes[1].pattern, str(found))
        self.assertIn("'address': 'fd00::2'", str(found))
        first, second = BALANCERS["ingress-nginx"](SITE).split("---\n")
        for part in (first, second):
            self.assertIsInstance(parse(part.encode(), "ingress.yaml"), dict)
        self.assertIn('"b/$1/$2"', first)
