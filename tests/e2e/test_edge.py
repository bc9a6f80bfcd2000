"""An aimirror whose upstream is another one: the edge of a site, and the core that it asks."""

from __future__ import annotations

import time
from typing import Any

from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import CONTENT, ONCE, PIECE, SIZE, EndToEndTests, InBackground, resumed
from tests.e2e.test_balancers import free_port

#: The first ranges of a file, and the one stream of its rest.
STREAM = 2


class EdgeTests(EndToEndTests):
    def setUp(self) -> None:
        super().setUp()
        self.core_port = free_port()
        self.core = self.started("core", self.origin.url, port=self.core_port)
        self.edge = self.started("edge", f"http://127.0.0.1:{self.core_port}")

    def started(self, name: str, upstream: str, **server: Any) -> ServiceProgram:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        rule = {**self.rule(immutable=None), "upstream": upstream}
        service = ServiceProgram(folder, [rule], server=server)
        self.addCleanup(service.program.kill)
        return service

    def asked(self, node: ServiceProgram) -> float:
        """Requests that a node has answered by its rule."""
        lines = node.get("/metrics").body.decode().splitlines()
        counts = [line for line in lines if line.startswith("aimirror_requests_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in counts if 'rule="files"' in line)

    def test_cold(self) -> None:
        """A crowd at the edge of a cold core is one stream between them, and one download."""
        path = self.serve(rate=6_000_000)
        crowd = [InBackground(self.edge.get, path) for _ in range(9)]
        for each in crowd:
            self.assertWhole(each.result())
        self.assertLessEqual(self.origin.count(path).body_bytes, ONCE)
        self.assertLessEqual(self.asked(self.core), STREAM)

    def test_whole(self) -> None:
        """What the core has, the edge reads by ranges, and no byte comes from the origin."""
        path = self.serve(headers=[["Cache-Control", "max-age=600"]])
        self.assertWhole(self.core.get(path))
        self.settle(self.core)
        before = self.asked(self.core)
        self.assertWhole(self.edge.get(path))
        self.assertGreater(self.asked(self.core) - before, STREAM)
        self.assertEqual(self.origin.count(path).body_bytes, SIZE)

    def test_core_killed_midway(self) -> None:
        """A core that is killed and started again midway: clients that go on have the file."""
        path = self.serve(rate=4_000_000, etag="strong")
        crowd = [InBackground(self.resumed, path) for _ in range(6)]
        time.sleep(1.0)
        self.core.program.kill()
        time.sleep(0.5)
        self.core = self.started("core", self.origin.url, port=self.core_port)
        for each in crowd:
            self.assertTrue(each.result() == CONTENT)
        self.assertLessEqual(self.origin.count(path).body_bytes, 2.1 * SIZE)

    def resumed(self, path: str) -> bytes:
        return resumed(lambda begin: self.edge.get(path, begin), attempts=60)

    def test_core_away(self) -> None:
        """Without its core the edge serves what it has, and says that it can't get the rest."""
        path = self.serve(headers=[["Cache-Control", "max-age=0"]])
        self.assertWhole(self.edge.get(path))
        self.settle(self.edge)
        self.core.program.kill()
        self.assertWhole(self.edge.get(path))
        self.assertIn(self.edge.get("/other").status, (502, 504))

    def test_head(self) -> None:
        """HEAD through both tells what GET would, for a first piece at most."""
        path = self.serve()
        reply = self.edge.get(path, method="HEAD")
        self.assertEqual((reply.status, reply.headers.get("content-length")), (200, str(SIZE)))
        self.assertLessEqual(self.origin.count(path).body_bytes, PIECE)

    def test_range(self) -> None:
        """A cold range through both is that range, whether or not the core has the file."""
        path = self.serve()
        for first in (11_000_000, 100):
            reply = self.edge.get(path, ("Range", f"bytes={first}-{first + 99}"))
            self.assertEqual((reply.status, reply.body), (206, CONTENT[first : first + 100]))
            self.settle(self.edge)

    def test_private(self) -> None:
        """What a login opens is nobody else's, at the edge and at the core, stored or not."""
        path = self.serve(authorization="Bearer right", headers=[["Cache-Control", "max-age=600"]])
        right = ("Authorization", "Bearer right")
        for _ in range(2):
            self.assertWhole(self.edge.get(path, right))
            self.settle(self.edge)
            for node in (self.edge, self.core):
                for fields in ((), (("Authorization", "Bearer wrong"),)):
                    reply = node.get(path, *fields)
                    self.assertEqual(reply.status, 401, fields)
                    self.assertNotIn(CONTENT[:100], reply.body)
        self.assertWhole(self.edge.get(path, right))

    def test_refused_for_one(self) -> None:
        """A refusal that one client's login has brought keeps the file from nobody else."""
        path = self.serve(authorization="Bearer right")
        self.assertEqual(self.edge.get(path, ("Authorization", "Bearer wrong")).status, 401)
        self.assertEqual(self.edge.get(path).status, 401)
        self.assertWhole(self.edge.get(path, ("Authorization", "Bearer right")))
