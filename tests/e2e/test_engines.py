"""Clusters with the real engines: HAProxy in front, SeaweedFS behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram, own_environment
from tests.e2e.engines import EnginesCase
from tests.e2e.support import CONTENT, ONCE, SIZE, InBackground, resumed

#: Clients of one file at a time.
CLIENTS = 50


class CrowdTests(EnginesCase):
    """Fifty clients of one cold file, and no store behind the nodes."""

    def setUp(self) -> None:
        super().setUp()
        self.nodes = [self.node(number) for number in range(3)]

    def test_one_copy(self) -> None:
        """Behind affinity and behind round robin the upstream sends the file once."""
        for affinity in (True, False):
            front = self.start_balancer(affinity=affinity)
            path = self.serve(f"/{affinity}", rate=6_000_000)
            crowd = [InBackground(self.get, front, path) for _ in range(CLIENTS)]
            for each in crowd:
                self.assertWhole(each.result())
            self.assertLessEqual(self.upstream(path), ONCE)

    def test_killed_midway(self) -> None:
        """When a node is killed midway, all clients come to the right bytes by going on."""
        front = self.start_balancer(affinity=False)
        path = self.serve(rate=4_000_000, etag='"one"')
        crowd = [InBackground(self.resumed, front, path) for _ in range(CLIENTS)]
        time.sleep(1.0)
        self.nodes[1].program.kill()
        for each in crowd:
            self.assertTrue(each.result() == CONTENT)
        self.assertLessEqual(self.upstream(path) / SIZE, 2.1)

    def resumed(self, front: int, path: str) -> bytes:
        return resumed(lambda begin: self.get(front, path, begin), attempts=50)


class DrainTests(EnginesCase):
    """Two nodes behind HAProxy; one is taken out for a while."""

    def aimirror(self, node: ServiceProgram, *words: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "aimirror", "--config", str(node.config), *words]
        url = f"http://127.0.0.1:{node.port}"
        done = subprocess.run(
            [*command, "--url", url],
            capture_output=True,
            text=True,
            check=False,
            env=own_environment(),
            timeout=60,
        )
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def served(self, node: ServiceProgram) -> float:
        lines = node.get("/metrics").body.decode().splitlines()
        counts = (line for line in lines if line.startswith("aimirror_requests_total{"))
        return sum(float(line.rpartition(" ")[2]) for line in counts if 'rule="files"' in line)

    def test_drain(self) -> None:
        """A running answer ends, no request is lost or sent there any more, and it comes back."""
        self.ports = self.ports[:2]
        nodes = [self.node(number) for number in range(2)]
        front = self.start_balancer(affinity=False)
        slow = self.serve("/slow", rate=2_000_000)
        running = InBackground(nodes[0].get, slow)
        while not nodes[0].get("/health").json()["active_downloads"]:
            time.sleep(0.05)
        draining = InBackground(self.aimirror, nodes[0], "drain")
        while nodes[0].get("/health").status != 503:
            time.sleep(0.05)
        self.assertEqual(nodes[0].get("/health?alive").status, 200)
        path = self.serve("/other")
        for _ in range(4):  # until the balancer has noticed, too
            self.assertWhole(self.get(front, path))
            time.sleep(1)
        before = self.served(nodes[0])
        for _ in range(6):
            self.assertWhole(self.get(front, path))
        self.assertEqual(self.served(nodes[0]), before)
        self.assertWhole(running.result())
        self.assertIn("drained", draining.result())
        self.aimirror(nodes[0], "drain", "--undo")
        while self.served(nodes[0]) == before:
            self.assertWhole(self.get(front, path))

    def test_status(self) -> None:
        """``status --cluster`` has a line for each node, and says which does not answer."""
        nodes = [self.node(number) for number in range(3)]
        said = self.aimirror(nodes[0], "status", "--cluster")
        for node in nodes:
            self.assertRegex(said, rf"(?m)^127[.]0[.]0[.]1:{node.port} +\d")
        self.assertIn("3 of 3 nodes", said)
        nodes[2].program.kill()
        said = self.aimirror(nodes[0], "status", "--cluster", status=1)
        self.assertIn(f"127.0.0.1:{nodes[2].port}  no answer", said)
        self.assertIn("2 of 3 nodes", said)

    def test_metrics(self) -> None:
        """Of each other node is told what it was asked, what it sent, and that it is away."""
        self.ports = self.ports[:2]
        nodes = [self.node(number) for number in range(2)]
        self.origin.script({f"/{n}": {"size": 50_000, "seed": 7} for n in range(12)})
        for number in range(12):
            nodes[0].get(f"/{number}")
        other = f'node="127.0.0.1:{self.ports[1]}"'
        labels = f'{other},result="answered"'
        answered = self.sample(nodes[0], f"aimirror_peer_requests_total{{{labels}}}")
        self.assertGreater(answered, 0)
        self.until_idle(*nodes)
        sent = self.sample(nodes[0], f"aimirror_peer_bytes_total{{{other}}}")
        self.assertEqual(sent, 50_000 * answered)
        self.assertEqual(self.sample(nodes[0], f"aimirror_peer_away{{{other}}}"), 0)
        nodes[1].program.kill()
        self.origin.script({f"/x{n}": {"size": 50_000, "seed": 7} for n in range(12)})
        for number in range(12):
            nodes[0].get(f"/x{number}")
        self.assertEqual(self.sample(nodes[0], f"aimirror_peer_away{{{other}}}"), 1)

    def sample(self, node: ServiceProgram, name: str) -> float:
        lines = node.get("/metrics").body.decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


class EnginesTests(EnginesCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.start_store()
        self.nodes = [self.node(number) for number in range(3)]
        self.front = self.start_balancer()

    def test_day(self) -> None:
        """A cold crowd, a node lost, a restart of all under load: one copy from the upstream."""
        paths = [f"/{number}" for number in range(4)]
        self.origin.script({p: {"size": SIZE, "seed": 7, "rate": 6_000_000} for p in paths})
        crowd = [InBackground(self.get, self.front, paths[n % 4]) for n in range(48)]
        for each in crowd:
            self.assertWhole(each.result())
        for path in paths:
            self.assertLessEqual(self.upstream(path), ONCE)
        self.all_sent(*self.nodes)

        self.lose(self.nodes[0], 0)
        before = self.upstream(*paths)
        for path in paths:
            self.assertWhole(self.get(self.front, path))
        self.assertEqual(self.upstream(*paths), before)
        self.nodes[0] = self.node(0)
        self.restart_under_load(paths)
        self.assertEqual(self.upstream(*paths), before)

    def restart_under_load(self, paths: list[str]) -> None:
        stop = threading.Event()
        failed: list[str] = []

        def ask() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    reply = client.request(self.front, paths[number % 4], [("Range", "bytes=0-99")])
                    if reply.status != 206:
                        failed.append(str(reply.status))
                except OSError as error:
                    failed.append(repr(error))

        asking = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
        for each in asking:
            each.start()
        for number in range(3):
            self.nodes[number].program.process.terminate()
            self.nodes[number].program.process.wait()
            self.nodes[number] = self.node(number)
            time.sleep(2.5)  # until the balancer has seen that it is back
        stop.set()
        for each in asking:
            each.join()
        self.assertEqual(failed, [])
