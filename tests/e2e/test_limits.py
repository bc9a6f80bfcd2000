"""Limits of hosts and of the configuration, through the real service and real workers."""

from __future__ import annotations

import json
from typing import Any

from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import EndToEndTests, InBackground


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

    def play(self, refuses: str) -> None:
        paths = self.files(rate=16_000_000)
        self.limit(1, refuses)
        service = self.start()
        clients = [InBackground(service.get, path) for path in paths]
        for each in clients:
            self.assertWhole(each.result())

    def test_closes(self) -> None:
        """All get theirs where it closes every other connection."""
        self.play("close")

    def test_forbids(self) -> None:
        """So they do where it answers 403 to every other connection."""
        self.play("403")


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
