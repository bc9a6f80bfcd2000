"""What /health and /stats tell."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from aimirror.admin.status import Status
from aimirror.exchanges.environment import Progress
from aimirror.upstream.health import Health
from tests.server.support import GET, connect
from tests.store.support import StoreCase


class StatusTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        progress = Progress("https://h/f?signature=geheim", "files", self.clock.seconds(), 100, 40)
        health = Health()
        health.failed("h", self.clock.seconds())
        downloads = SimpleNamespace(
            fills=lambda: iter([(progress, SimpleNamespace(readers=2), ((0, 40),))]), health=health
        )
        worker = SimpleNamespace(pid=7, state="ready", fetches=1, hashing=0, restarts=0)
        pool = SimpleNamespace(states=lambda: (worker,))
        self.status = Status(self.store, downloads, pool, self.clock)  # type: ignore[arg-type]

    def told(self, handler: Any, request: bytes = GET) -> tuple[int, Any]:
        client = connect(handler, clock=self.clock)
        client.send(request)
        status, _, body = client.answer()
        return status, json.loads(body) if body else None

    def test_health(self) -> None:
        """The documented fields, and what runs; a signed URL loses its query."""
        status, told = self.told(self.status.health)
        self.assertEqual((status, told["status"], told["active_downloads"]), (200, "ok", 1))
        self.assertEqual(told["downloads"], ["https://h/f"])
        self.assertEqual(told["details"][0]["spans"], [[0, 40]])
        self.assertNotIn("geheim", str(told))

    def test_stats(self) -> None:
        """The cache in files and megabytes, the workers, the upstreams that failed."""
        self.add(b"x" * 2_000)
        _, told = self.told(self.status.stats)
        self.assertEqual(told["cache"]["file_count"], 1)
        self.assertEqual(told["cache"]["blob_bytes"], 2_000)
        self.assertEqual(told["workers"][0]["pid"], 7)
        self.assertIn("h", told["upstreams_shunned"])

    def test_methods(self) -> None:
        """They are for reading."""
        self.assertEqual(self.told(self.status.health, GET.replace(b"GET", b"PUT"))[0], 405)
