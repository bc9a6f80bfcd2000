"""npm and pip before several nodes: behind a balancer by affinity, and behind round robin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aimirror.testing.processes import ServiceProgram
from tests.clients.python_support import PythonTests
from tests.clients.test_npm import NpmCase
from tests.e2e.engines import Engines

#: Clients at a time: each is a process of its own.
CLIENTS = 4


class Before(Engines):
    """Three nodes, and a balancer that is the mirror of the clients."""

    affinity = True
    owners = True
    service: ServiceProgram
    mirror: str

    def start(self, *rules: Mapping[str, Any]) -> ServiceProgram:
        """See WorldTests."""
        self.prepare(*rules)
        self.nodes = [self.node(number, owners=self.owners) for number in range(3)]
        self.service = self.nodes[0]
        self.service.port = self.start_balancer(affinity=self.affinity)
        self.mirror = f"http://127.0.0.1:{self.service.port}"
        return self.service

    def crowd(self, install: Callable[[int], Path]) -> list[Path]:
        """Clients that want the same at once, and another one afterwards."""
        with ThreadPoolExecutor(CLIENTS) as threads:
            folders = list(threads.map(install, range(CLIENTS)))
        return [*folders, install(CLIENTS)]


class NpmCases(Before, NpmCase):
    """``npm install`` of a package and what it needs."""

    def install(self, number: int) -> Path:
        folder = self.project(f"p-{number}")
        self.npm(folder, "install", "@s/a", "--no-audit")
        return folder

    def assert_one_copy(self) -> None:
        """All clients get what they want, and the upstream sends each tarball once."""
        for folder in self.crowd(self.install):
            self.assertInstalled(folder)
        paths = [path for path in self.upstream.files if path.endswith(".tgz")]
        self.assertEqual(len(paths), 2)
        for path in paths:
            size = len(self.upstream.files[path].content)
            self.assertEqual(self.upstream.sent[path] / size, 1.0, path)


class NpmAffinityTests(NpmCases):
    owners = False

    def test_one_copy(self) -> None:
        """Behind a balancer by affinity, nodes that know nothing of each other fetch once."""
        self.assert_one_copy()


class NpmOwnersTests(NpmCases):
    affinity = False

    def test_one_copy(self) -> None:
        """Behind round robin, nodes that ask the owner fetch once."""
        self.assert_one_copy()

    def test_node_killed(self) -> None:
        """A node that is killed midway costs no client its install."""
        with ThreadPoolExecutor(CLIENTS) as threads:
            running = [threads.submit(self.install, number) for number in range(CLIENTS)]
            while not self.upstream.total(".tgz"):
                time.sleep(0.01)
            self.nodes[1].program.kill()
            for each in running:
                self.assertInstalled(each.result())


class PipCases(Before, PythonTests):
    """``pip install`` of a project and what it needs."""

    def install(self, number: int) -> Path:
        return self.pip("pip", f"p-{number}", "demo.app")[0]

    def assert_one_copy(self) -> None:
        self.publish()
        self.serve()
        for folder in self.crowd(self.install):
            self.assertInstalled(folder)
        sent = self.index.files.sent
        for path, file in self.index.files.files.items():
            if path in sent:
                self.assertEqual(sent[path] / len(file.content), 1.0, path)
        self.assertGreaterEqual(len(sent), 2)


class PipAffinityTests(PipCases):
    owners = False

    def test_one_copy(self) -> None:
        """Behind a balancer by affinity, nodes that know nothing of each other fetch once."""
        self.assert_one_copy()


class PipOwnersTests(PipCases):
    affinity = False

    def test_one_copy(self) -> None:
        """Behind round robin, nodes that ask the owner fetch once."""
        self.assert_one_copy()
