"""What /health and /stats tell."""

from __future__ import annotations

import json
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

from aimirror.admin.draining import Draining
from aimirror.admin.gate import Gate
from aimirror.admin.status import Status
from aimirror.exchanges.environment import Progress
from aimirror.upstream.health import Health
from tests.server.support import GET, connect
from tests.store.support import StoreCase

TOKEN = "0123456789abcdef"


class StatusTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        progress = Progress("https://h/f?signature=geheim", "files", self.clock.seconds(), 100, 40)
        health = Health()
        health.failed("http://h/x", self.clock.seconds(), unreachable=True)
        downloads = SimpleNamespace(
            tier=None,
            peers=None,
            fills=lambda: iter([(progress, SimpleNamespace(readers=2), ((0, 40),))]),
            health=health,
        )
        worker = SimpleNamespace(pid=7, state="ready", fetches=1, hashing=0, restarts=0)
        pool = SimpleNamespace(states=lambda: (worker,))
        self.draining = Draining(lambda: 3)
        self.status = Status(
            self.store,
            downloads,  # type: ignore[arg-type]
            pool,  # type: ignore[arg-type]
            self.clock,
            lambda: Gate(TOKEN, (ip_network("192.0.2.0/24"),)),
            self.draining,
        )

    def told(self, handler: Any, request: bytes = GET) -> tuple[int, Any]:
        client = connect(handler, clock=self.clock)
        client.send(request)
        status, _, body = client.answer()
        return status, json.loads(body) if body else None

    def test_health(self) -> None:
        """An administrator sees what runs, too; a signed URL loses its query."""
        request = GET.replace(b"Host", b"X-Aimirror-Token: %b\r\nHost" % TOKEN.encode())
        status, told = self.told(self.status.health, request)
        self.assertEqual((status, told["status"], told["active_downloads"]), (200, "ok", 1))
        self.assertEqual(told["downloads"], ["https://h/f"])
        self.assertEqual(told["details"][0]["spans"], [[0, 40]])
        self.assertNotIn("geheim", str(told))

    def test_health_for_all(self) -> None:
        """Others learn how much is running, and no name or path."""
        status, told = self.told(self.status.health)
        self.assertEqual((status, told["status"], told["active_downloads"]), (200, "ok", 1))
        self.assertEqual((told["downloads"], told["details"]), ([], []))

    def test_draining(self) -> None:
        """A node that is to be left out says 503; it is alive all the same."""
        self.draining.on = True
        status, told = self.told(self.status.health)
        self.assertEqual((status, told["status"]), (503, "draining"))
        alive = GET.replace(b" HTTP", b"?alive HTTP")
        self.assertEqual(self.told(self.status.health, alive)[0], 200)
        self.assertEqual(self.draining.told(), {"draining": True, "answering": 2})
        self.draining.on = False
        self.assertEqual(self.told(self.status.health)[0], 200)

    def test_stats(self) -> None:
        """The cache in files and megabytes, the workers, the upstreams that failed."""
        self.add(b"x" * 2_000)
        _, told = self.told(self.status.stats)
        self.assertEqual(told["cache"]["file_count"], 1)
        self.assertEqual(told["cache"]["blob_bytes"], 2_000)
        self.assertEqual(told["workers"][0]["pid"], 7)
        self.assertEqual(told["upstreams_shunned"], {"h": 5.0})

    def test_methods(self) -> None:
        """They are for reading."""
        self.assertEqual(self.told(self.status.health, GET.replace(b"GET", b"PUT"))[0], 405)
