"""Limits of hosts and of the configuration, through the real service and real workers."""

from __future__ import annotations

import json
from typing import Any

from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import EndToEndTests, InBackground


class FewConnectionsTests(EndToEndTests):
    """An origin that bears few connections, idle ones included."""

    FILES = 4

    def limit(self, bears: int, refuses: str) -> None:
        body = json.dumps([bears, refuses]).encode()
        client.request(self.origin.port, "/_origin/limits", method="POST", body=body)

    def asking(self) -> list[int]:
        """The most connections that there were, and how many were refused."""
        told: list[int] = client.request(self.origin.port, "/_origin/asking").json()
        return told

    def files(self, **behaviour: Any) -> list[str]:
        return [self.serve(f"/{n}.bin", **behaviour) for n in range(self.FILES)]

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
        self.assertEqual(self.asking(), [3, 0])
