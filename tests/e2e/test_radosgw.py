"""radosgw, Ceph's S3, behind real nodes."""

from __future__ import annotations

from aimirror.testing.behaviour import pattern
from tests.e2e.ceph import CephCase

#: A file that is sent in parts.
LARGE = 80_000_000


class RadosgwTests(CephCase):
    def test_all(self) -> None:
        """It can be used, and keeps all, files in parts too: a node lost costs no upstream byte."""
        self.store = self.start_store()
        status, said = self.tier_command("check", self.store)
        self.assertEqual((status, "NO" in said.split()), (0, False), said)
        status, said = self.tier_command(
            "check", self.store, AWS_SECRET_ACCESS_KEY="wrong-and-secret"
        )
        self.assertEqual((status, "wrong-and-secret" in said), (1, False), said)
        self.assertIn("403", said)

        sizes = {"/small": 900, "/file": 3_000_000, "/large": LARGE}
        script = {**sizes, "/private": 901}
        self.origin.script({p: {"size": size, "seed": 7} for p, size in script.items()})
        node = self.node(0, owners=False)
        for path in sizes:
            self.assertEqual(node.get(path).status, 200)
        node.get("/private", ("Authorization", "Bearer secret"))
        self.all_sent(node)
        self.lose(node, 0)
        before = self.upstream(*sizes)
        node = self.node(1, owners=False)
        for path, size in sizes.items():
            reply = node.get(path)
            self.assertEqual(reply.headers.get("X-Cache"), "TIER")
            self.assertTrue(reply.body == pattern(size, 7), path)
        self.assertEqual(self.upstream(*sizes), before)

        status, said = self.tier_command("verify", self.store)
        self.assertEqual(status, 0, said)
        status, said = self.tier_command("ls", self.store)
        self.assertEqual((status, said.count(self.origin.url)), (0, len(sizes)), said)
