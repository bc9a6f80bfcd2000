"""The engines of a cluster as processes: HAProxy in front of nodes, a store behind them.

SeaweedFS is installed for the tests (tests/clients/install.py), HAProxy comes with Debian.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from aimirror.cluster.affinity import shapes
from aimirror.cluster.balancers import BALANCERS, Site
from aimirror.config import load
from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram, own_environment
from tests.clients.worlds import find_client
from tests.e2e.support import EndToEndTests
from tests.e2e.test_balancers import free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "aimirror", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-test"}
#: Where SeaweedFS and rclone are.
ENVIRONMENT = "engines"
#: Seconds for one test: the store alone takes ten to start.
LIMIT = 400

#: What is printed for affinity, and what takes its place for a balancer that knows nothing.
_BY_KEY = "balance hash var(txn.key)\n    hash-type consistent djb2 avalanche"
_BY_TURNS = "balance roundrobin"


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


class Engines:
    """To be mixed into a test case with a ``folder``; ``prepare`` first.

    What is needed of the engines is started by each test; ``store`` is the store's port.
    """

    folder: Path
    addCleanup: Callable[..., None]
    #: The address of the store.
    host = "127.0.0.1"

    def prepare(self, *rules: Mapping[str, Any]) -> None:
        """Each node gets these rules."""
        signal.alarm(LIMIT)
        (self.folder / "key").write_text("k" * 32)
        self.store = 0
        self.ports = [free_port() for _ in range(3)]
        self.rules = rules

    def run_program(self, path: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """A program that ends with the test."""
        with open(self.folder / f"{Path(path).name}.log", "wb") as log:
            process = subprocess.Popen(
                [*self.wrapped(path), *words],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wrapped(self, path: str) -> list[str]:
        """The beginning of a command."""
        return [path]

    def until_open(self, port: int, host: str = "127.0.0.1") -> None:
        while True:
            try:
                socket.create_connection((host, port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.1)

    def start_store(self) -> int:
        """SeaweedFS; its S3 port."""
        if find_spec("botocore") is None:
            raise SkipTest("botocore is not installed")
        weed = find_client("weed", ENVIRONMENT)
        ports = {name: low_port() for name in ("master", "volume", "filer", "s3")}
        (self.folder / "store").mkdir()
        words = [f"-{name}.port={port}" for name, port in ports.items()]
        where = [f"-ip={self.host}", f"-ip.bind={self.host}", "-master.telemetry=false"]
        folder = f"-dir={self.folder / 'store'}"
        more = ["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        self.run_program(weed, "server", folder, *where, *more, *words, **CREDENTIALS)
        self.until_open(ports["s3"], self.host)
        return ports["s3"]

    def node(
        self, number: int, owners: bool = True, store: int | None = None, **tier: Any
    ) -> ServiceProgram:
        """A node that knows the others, and the store if there is one, and uses it."""
        folder = self.folder / f"node-{number}"
        folder.mkdir(exist_ok=True)
        cluster: dict[str, Any] = {"key_file": str(self.folder / "key")}
        if owners:
            cluster["peers"] = [f"127.0.0.1:{port}" for port in self.ports]
            cluster["self"] = f"127.0.0.1:{self.ports[number]}"
        sections: dict[str, Any] = {"cluster": cluster}
        port = self.store if store is None else store
        if port:
            endpoint = f"http://{self.host}:{port}"
            sections["tier"] = {"url": "s3://mirror/v1", "endpoint": endpoint, **tier}
        service = ServiceProgram(
            folder,
            self.rules,
            environment={**own_environment(), **CREDENTIALS},
            server={"port": self.ports[number]},
            **sections,
        )
        self.addCleanup(service.program.kill)
        while port and service.get("/health").json()["tier"] != "closed":
            time.sleep(0.1)
        return service

    def start_balancer(self, *, affinity: bool = True, rules: Sequence[Any] = ()) -> int:
        """HAProxy in front of all nodes, as ``aimirror balance`` has it, or one after another."""
        haproxy = find_client("haproxy")
        port = free_port()
        nodes = tuple(("127.0.0.1", each) for each in self.ports)
        known = shapes(rules or load(None).rules)
        text = BALANCERS["haproxy"](Site(nodes=nodes, port=port, shapes=known))
        if not affinity:
            assert _BY_KEY in text
            text = text.replace(_BY_KEY, _BY_TURNS)
        file = self.folder / f"haproxy-{port}.cfg"
        file.write_text(text)
        self.run_program(haproxy, "-f", str(file))
        self.until_open(port)
        return port

    def number(self, node: ServiceProgram, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = node.get("/metrics").body.decode().splitlines()
        values = (
            line.rpartition(" ")[2] for line in lines if line.startswith((name + " ", name + "{"))
        )
        return sum(map(float, values))

    def all_sent(self, *nodes: ServiceProgram) -> None:
        """Wait until all that the nodes have stored is in the store."""
        for node in nodes:
            self.until_idle(node)
            while self.number(node, "aimirror_tier_queue"):
                time.sleep(0.1)

    def until_idle(self, *nodes: ServiceProgram) -> None:
        """Wait until nothing is being fetched."""
        for node in nodes:
            while node.get("/health").json()["active_downloads"]:
                time.sleep(0.02)

    def lose(self, node: ServiceProgram, number: int) -> None:
        """Kill a node, and take its disk."""
        node.program.kill()
        shutil.rmtree(self.folder / f"node-{number}" / "cache")


class EnginesCase(Engines, EndToEndTests):
    """Files of a scripted origin through a cluster."""

    def setUp(self) -> None:
        super().setUp()
        self.prepare(self.rule())

    def upstream(self, *paths: str) -> int:
        """Bytes of bodies that the origin has sent of these paths."""
        total: int = sum(self.origin.count(path).body_bytes for path in paths)
        return total

    def tier_command(self, action: str, port: int, **environment: str) -> tuple[int, str]:
        """The status of ``aimirror tier`` with the store at a port, and all that it says."""
        file = self.folder / "tier.yaml"
        sections = {
            "rules": self.rules,
            "cluster": {"key_file": str(self.folder / "key")},
            "tier": {"url": "s3://mirror/v1", "endpoint": f"http://127.0.0.1:{port}"},
        }
        file.write_text(json.dumps(sections))
        words = [sys.executable, "-m", "aimirror", "tier", action, "-c", str(file)]
        known = {**own_environment(), **CREDENTIALS, **environment}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=known)
        return done.returncode, done.stdout + done.stderr

    def get(self, port: int, path: str, *fields: tuple[str, str]) -> client.Reply:
        return client.request(port, path, fields)
