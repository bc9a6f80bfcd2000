"""Clusters with the real engines: HAProxy in front, SeaweedFS behind."""

from __future__ import annotations

import threading
import time

from aimirror.testing import client
from tests.e2e.engines import EnginesCase
from tests.e2e.support import CONTENT, SIZE, InBackground

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
            self.assertLessEqual(self.upstream(path) / SIZE, 1.05)  # the tail is raced

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
        """A file as clients get it that go on where they were cut off."""
        data = b""
        for _ in range(50):
            try:
                reply = self.get(front, path, ("Range", f"bytes={len(data)}-"))
                if reply.status == 206:
                    return data + reply.body
            except client.Broken as broken:
                data += broken.received
            except OSError:
                pass
            time.sleep(0.3)
        return data


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
        self.assertLessEqual(self.upstream(*paths), 1.05 * len(paths) * SIZE)
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
