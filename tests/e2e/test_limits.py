"""Limits of hosts and of the configuration, through the real service and real workers."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import CONTENT, LIMIT, EndToEndTests, InBackground

#: Seconds after which some clients give up.
PATIENCE = 15


class LimitedCase(EndToEndTests):
    """An origin that counts connections, and refuses one too many."""

    FILES = 4

    def limit(self, bears: int, refuses: str) -> None:
        body = json.dumps([bears, refuses]).encode()
        client.request(self.origin.port, "/_origin/limits", method="POST", body=body)

    def asking(self) -> list[int]:
        """The most connections that there were, how many were refused, and how many were not."""
        told: list[int] = client.request(self.origin.port, "/_origin/asking").json()
        return told

    def files(self, **behaviour: Any) -> list[str]:
        return [self.serve(f"/{n}.bin", **behaviour) for n in range(self.FILES)]


class FewConnectionsTests(LimitedCase):
    """An origin that bears few connections, idle ones included."""

    def test_told_by_a_status(self) -> None:
        """Several files at once come whole from a host that answers 403 to a third connection."""
        paths = self.files(rate=8_000_000)
        self.limit(2, "403")
        service = self.start()
        clients = [InBackground(service.get, path) for path in paths]
        for each in clients:
            self.assertWhole(each.result())
        self.assertEqual(self.asking()[0], 2)

    def test_configured(self) -> None:
        """No host sees more than ``connections_per_host``, idle ones of all processes included."""
        paths = self.files(rate=8_000_000)
        self.limit(3, "503")
        service = ServiceProgram(self.folder, [self.rule()], server={"connections_per_host": 3})
        self.addCleanup(service.program.kill)
        for _ in range(2):
            clients = [InBackground(service.get, path) for path in paths]
            for each in clients:
                self.assertWhole(each.result())
            paths = [self.serve(f"/again{path[1:]}", rate=8_000_000) for path in paths]
        self.assertEqual(self.asking()[:2], [3, 0])

    def test_all_kinds_of_requests(self) -> None:
        """A host that bears four sees four: ranges, plain streams and small requests at once."""
        paths = self.files(rate=8_000_000)
        small = {f"/small/{n}": {"size": 2000, "seed": n} for n in range(12)}
        plain = {f"/plain/{n}": {"size": 3_000_000, "seed": n, "ranges": False} for n in range(2)}
        unkept = {"/unkept": {"size": 2_000_000, "headers": [["Cache-Control", "no-store"]]}}
        self.origin.script({**small, **plain, **unkept})
        self.limit(4, "503")
        rules = [
            self.rule(name="small", pattern="^/small", strategy="proxy", immutable=False),
            self.rule(immutable=False),
        ]
        settings = {"connections_per_host": 4, "workers": 2}
        service = ServiceProgram(self.folder, rules, server=settings)
        self.addCleanup(service.program.kill)
        for method in ("GET", "POST", "HEAD"):
            asked = [*paths, *plain, *unkept, *(f"{path}?{method}" for path in small)]
            clients = [
                InBackground(service.get, path, method="GET" if path in paths else method)
                for path in asked
            ]
            for each in clients:
                self.assertLess(each.result().status, 500)
        self.assertEqual(self.asking()[:2], [4, 0])


class OneConnectionTests(LimitedCase):
    """An origin that bears one connection; eight clients want a file each."""

    FILES = 8

    def play(self, refuses: str, bears: int = 1, **rule: Any) -> None:
        paths = self.files(rate=16_000_000)
        self.limit(bears, refuses)
        service = self.start(**rule)
        begun = time.monotonic()
        clients = [InBackground(self.begun, service, path, begun) for path in paths]
        for each in clients:
            self.assertLess(each.result(), PATIENCE)
        self.assertEqual(self.asking()[0], bears)

    def begun(self, service: ServiceProgram, path: str, begun: float) -> float:
        """Seconds until the first byte of a file that comes whole."""
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=LIMIT)
        connection.request("GET", path)
        reply = connection.getresponse()
        first = reply.read(1)
        took = time.monotonic() - begun
        self.assertEqual((reply.status, first + reply.read() == CONTENT), (200, True), path)
        connection.close()
        return took

    def test_closes(self) -> None:
        """All get theirs where it closes every other connection."""
        self.play("close")

    def test_forbids(self) -> None:
        """So they do where it answers 403 to every other connection."""
        self.play("403")

    def test_hangs(self) -> None:
        """So they do where it never answers other connections, and begin while clients wait."""
        self.play("hang")

    def test_queues(self) -> None:
        """So they do where other connections wait until one is closed."""
        self.play("queue")

    def test_two(self) -> None:
        """Where it bears two, they have two."""
        self.play("hang", 2)

    def test_four(self) -> None:
        """Where it bears four, they have four."""
        self.play("hang", 4)

    def test_plain(self) -> None:
        """So they do one by one, each as one stream."""
        self.play("hang", strategy="proxy")

    def test_one_file(self) -> None:
        """One file of which all but the first request hang comes whole, too."""
        self.FILES = 1
        self.play("hang")

    def test_small_requests(self) -> None:
        """Requests by HEAD, and for pages, are answered in turn."""
        pages = {f"/page/{n}": {"size": 2000, "seed": n, "delay": 0.2} for n in range(8)}
        self.origin.script(pages)
        self.limit(1, "hang")
        service = self.start(strategy="proxy", immutable=False)
        for method in ("HEAD", "GET"):
            replies = [InBackground(service.get, page, method=method) for page in pages]
            self.assertEqual([each.result().status for each in replies], [200] * 8)
        self.assertEqual(self.asking()[0], 1)


class KeptTests(LimitedCase):
    """Connections are used again, over any number of files."""

    def test_one_client(self) -> None:
        """One client with many small files needs one connection, by either strategy."""
        for strategy in ("parallel", "proxy"):
            paths = {f"/{strategy}/{n}": {"size": 1000 + 40_000 * n, "seed": n} for n in range(40)}
            self.origin.script(paths)
            self.limit(0, "")
            service = ServiceProgram(self.folder, [self.rule(strategy=strategy, chunk_size=0)])
            self.addCleanup(service.program.kill)
            for path in list(paths)[:22]:  # up to 900 kB
                self.assertEqual(service.get(path).status, 200)
            self.assertLessEqual(self.asking()[2], 1, strategy)
            service.program.kill()

    def test_eight_clients(self) -> None:
        """Eight clients at once need eight."""
        for strategy in ("parallel", "proxy"):
            paths = {f"/8/{strategy}/{n}": {"size": 60_000, "seed": n} for n in range(80)}
            self.origin.script(paths)
            self.limit(0, "")
            service = ServiceProgram(self.folder, [self.rule(strategy=strategy)])
            self.addCleanup(service.program.kill)

            def one(k: int, service: ServiceProgram = service, paths: Any = paths) -> None:
                for path in list(paths)[k::8]:
                    service.get(path)

            for each in [InBackground(one, k) for k in range(8)]:
                each.result()
            self.assertLessEqual(self.asking()[2], 9, strategy)
            service.program.kill()
