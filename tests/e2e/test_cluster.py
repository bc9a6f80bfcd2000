"""Several nodes without a tier: the one that owns a file is asked by the others."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import Any

from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import CONTENT, ONCE, SIZE, EndToEndTests, InBackground
from tests.e2e.test_balancers import free_port


class ClusterCase(EndToEndTests):
    """Three nodes that know each other."""

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "key").write_text("k" * 32)
        self.ports = [free_port() for _ in range(3)]
        self.peers = [f"127.0.0.1:{port}" for port in self.ports]

    def node(
        self,
        number: int,
        peers: list[str] | None = None,
        rules: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> ServiceProgram:
        folder = self.folder / f"node-{number}"
        folder.mkdir(exist_ok=True)
        service = ServiceProgram(
            folder,
            [self.rule(**more)] if rules is None else rules,
            server={"port": self.ports[number]},
            cluster={
                "key_file": str(self.folder / "key"),
                "peers": self.peers if peers is None else peers,
                "self": self.peers[number],
            },
        )
        self.addCleanup(service.program.kill)
        return service

    def nodes(self, **more: Any) -> list[ServiceProgram]:
        return [self.node(number, **more) for number in range(3)]


class ClusterTests(ClusterCase):
    def test_round_robin(self) -> None:
        """Fifty clients of a cold file, spread over all nodes, are one download."""
        nodes, path = self.nodes(), self.serve(rate=8_000_000)
        clients = [InBackground(nodes[n % 3].get, path) for n in range(50)]
        for each in clients:
            self.assertWhole(each.result())
        count = self.origin.count(path)
        self.assertLessEqual(count.body_bytes, ONCE)
        for node in nodes:
            self.settle(node)
        words = {node.get(path).headers.get("X-Cache") for node in nodes}
        self.assertEqual(words, {"HIT"})

    def test_words(self) -> None:
        """Who does not own a file says whence it has it; who does, that it was a miss."""
        nodes, path = self.nodes(), self.serve()
        words = []
        for node in nodes:
            reply = node.get(path)
            self.assertWhole(reply)
            words.append(reply.headers.get("X-Cache"))
            self.settle(node)
        self.assertEqual(sorted(words)[-2:], ["PEER", "PEER"])
        self.assertIn(words.count("MISS") + words.count("HIT"), (1,))
        self.assertEqual(self.origin.count(path).body_bytes, SIZE)

    def test_lent(self) -> None:
        """A copy of what another node owns counts as used half as lately as the owner's own."""
        nodes, apart = self.nodes(), 4.0
        lent = []
        for path in (self.serve("/old"), self.serve("/new", seed=8)):
            words = []
            for node in nodes:
                words.append(node.get(path).headers.get("X-Cache"))
                self.settle(node)
            lent = [word == "PEER" for word in words]
            time.sleep(apart)
        since = []
        for node in nodes:
            index = sqlite3.connect(node.cache / "index.sqlite3")
            used = "SELECT b.used FROM blobs b, entries e WHERE e.blob = b.sha256 AND e.key LIKE ?"
            old, new = (index.execute(used, (f"%{p}",)).fetchone()[0] for p in ("/old", "/new"))
            index.close()
            since.append(new - old)
        for is_lent, seconds in zip(lent, since, strict=True):
            (self.assertLess if is_lent else self.assertGreater)(seconds, apart * 0.75, since)
        self.assertEqual(sum(lent), 2)

    def test_owner_dies_midway(self) -> None:
        """When the owner is killed midway, the others' clients get the rest from the upstream."""
        nodes, path = self.nodes(), self.serve(rate=4_000_000, etag='"one"')
        clients = [InBackground(node.get, path) for node in nodes]
        time.sleep(1.0)
        owner = max(nodes, key=lambda n: sum(d["readers"] for d in self.details(n)))
        others = [c for c, node in zip(clients, nodes, strict=True) if node is not owner]
        owner.program.kill()
        for each in others:
            self.assertWhole(each.result())

    def details(self, node: ServiceProgram) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = node.get("/health").json()["details"]
        return found

    def test_owner_away(self) -> None:
        """A node whose peers are not there serves as one that is alone."""
        node = self.node(0)
        for number in range(6):
            path = self.serve(f"/{number}")
            began = time.monotonic()
            self.assertWhole(node.get(path))
            self.assertLess(time.monotonic() - began, 5)
            self.assertEqual(self.origin.count(path).body_bytes, SIZE)

    def test_views_differ(self) -> None:
        """Nodes that each take the other for the owner do not wait for each other."""
        path = self.serve()
        one = self.node(0, peers=[self.peers[1]])
        two = self.node(1, peers=[self.peers[0]])
        started = threading.Barrier(2)

        def get(node: ServiceProgram, path: str) -> client.Reply:
            started.wait(10)
            return node.get(path)

        for number in range(10):
            path = self.serve(f"/{number}")
            both = [InBackground(get, node, path) for node in (one, two)]
            for each in both:
                self.assertEqual(each.result().body, CONTENT)

    def test_strangers(self) -> None:
        """Without a question that one of us has signed there is no answer."""
        node = self.node(0)
        self.assertEqual(node.get("/aimirror-peer").status, 403)
        self.assertEqual(node.get("/aimirror-peer", ("Aimirror-Question", "x.y")).status, 403)

    def test_private(self) -> None:
        """What a login opens is asked of no other node."""
        nodes, path = self.nodes(), self.serve(headers=[["Cache-Control", "max-age=60"]])
        for node in nodes:
            reply = node.get(path, ("Authorization", "Bearer secret"))
            self.assertWhole(reply)
            self.assertNotEqual(reply.headers.get("X-Cache"), "PEER")
        self.assertEqual(self.origin.count(path).body_bytes, 3 * SIZE)
