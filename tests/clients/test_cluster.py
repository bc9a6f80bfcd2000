"""npm, pip, uv and curl before several nodes: a balancer by affinity, and round robin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from aimirror.testing.processes import ServiceProgram
from tests.clients.python_support import PythonTests
from tests.clients.test_npm import NpmCase
from tests.e2e.engines import Engines

#: Installing clients at a time, and clients of all kinds: each is a process of its own.
CLIENTS = 6
ALL = 50
#: Bytes of a piece of a tarball (``NpmCase``).
PIECE = 300_000


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

    def crowd(self, install: Callable[[int], Path], files: Mapping[str, bytes]) -> list[Path]:
        """Clients that install the same at once among others of its files; one more afterwards."""
        with ThreadPoolExecutor(ALL) as threads:
            installed = threads.map(install, range(CLIENTS))
            urls = islice(cycle(files), ALL - CLIENTS)
            fetched = list(threads.map(self.curl, range(ALL - CLIENTS), urls))
            folders = list(installed)
        for number, url in enumerate(islice(cycle(files), ALL - CLIENTS)):
            self.assertTrue(fetched[number] == files[url], url)
        return [*folders, install(CLIENTS)]

    def curl(self, number: int, url: str) -> bytes:
        path = self.folder / f"curl-{number}"
        self.assertRuns(["curl", "-sS", "--fail", "--retry", "2", "-o", str(path), url])
        return path.read_bytes()


class NpmCases(Before, NpmCase):
    """``npm install`` of a package and what it needs."""

    def install(self, number: int) -> Path:
        folder = self.project(f"p-{number}")
        self.npm(folder, "install", "@s/a", "--no-audit")
        return folder

    def assert_one_copy(self) -> None:
        """All clients get what they want, and the upstream sends each tarball once.

        But for the last piece: it is asked for twice where it is slow, as before fifty processes.
        """
        tarballs = {path: f for path, f in self.upstream.files.items() if path.endswith(".tgz")}
        files = {f"{self.registry}{path}": file.content for path, file in tarballs.items()}
        for folder in self.crowd(self.install, files):
            self.assertInstalled(folder)
        paths = list(tarballs)
        self.assertEqual(len(paths), 2)
        for path in paths:
            size = len(self.upstream.files[path].content)
            sent = self.upstream.sent[path]
            self.assertIn(sent - size, range(PIECE + 1), path)


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
        """A node that is killed midway costs no more than a second try.

        npm itself asks once more for what was refused, but not for a body that was cut off.
        """
        with ThreadPoolExecutor(CLIENTS) as threads:
            running = [threads.submit(self.installed, number) for number in range(CLIENTS)]
            while not self.upstream.total(".tgz"):
                time.sleep(0.01)
            self.nodes[1].program.kill()
            for each in running:
                self.assertInstalled(each.result())

    def installed(self, number: int) -> Path:
        """A folder with the package, by a second command where the first one fails."""
        try:
            return self.install(number)
        except self.failureException:
            return self.install(ALL + number)


class PipCases(Before, PythonTests):
    """``pip`` and ``uv pip install`` of a project and what it needs."""

    def install(self, number: int) -> Path:
        name = f"p-{number}"
        return self.uv(name, "demo.app")[0] if number % 2 else self.pip("pip", name, "demo.app")[0]

    def assert_one_copy(self) -> None:
        self.publish()
        self.serve()
        files = {self.mirror + path: f.content for path, f in self.index.files.files.items()}
        for folder in self.crowd(self.install, files):
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
