"""The page of numbers."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from aimirror.admin.metrics import Metrics
from aimirror.cluster.peers import Dealings
from aimirror.cluster.roster import Roster
from aimirror.exchanges.environment import Progress
from aimirror.server.tally import Tally
from aimirror.tier.breaker import Breaker
from aimirror.tier.counts import Counts
from aimirror.upstream.health import Health
from tests.server.support import GET, connect
from tests.store.support import StoreCase


class PageTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.tally = Tally()
        progress = Progress("k?secret=1", "files", 0.0, 100, 40)
        downloads = SimpleNamespace(
            tier=SimpleNamespace(counts=Counts(), backlog=(3, None), breaker=Breaker(), problem=""),
            peers=SimpleNamespace(
                roster=Roster("a:1", frozenset({"a:1", "b:1"})),
                dealt=lambda node: Dealings(Counter(answered=2), 30),
            ),
            fills=lambda: iter([(progress, SimpleNamespace(readers=3), ((0, 40),))]),
            connections=lambda: {"h.test": 4},
            health=Health(),
        )
        worker = SimpleNamespace(pid=1, state="ready", fetches=2, restarts=1)
        pool = SimpleNamespace(states=lambda: (worker, worker), queued=5)
        self.metrics = Metrics(
            self.tally,
            self.store,
            downloads,
            pool,
            self.clock.seconds,  # type: ignore[arg-type]
        )

    def page(self) -> dict[tuple[str, ...], float]:
        """What Prometheus would read, by name and labels."""
        client = connect(self.metrics.answer, clock=self.clock)
        client.send(GET)
        _, headers, body = client.answer()
        self.assertIn("text/plain", headers.get("content-type", ""))
        self.assertNotIn(b"secret", body)
        families = text_string_to_metric_families(body.decode())
        return {
            (sample.name, *(v for k, v in sorted(sample.labels.items()) if k != "le")): sample.value
            for family in families
            for sample in family.samples
            if not sample.name.endswith("_bucket")
        }

    def test_numbers(self) -> None:
        """The page has what happened, what runs and what is stored."""
        self.add(b"12345")
        self.tally.answered("files", "HIT", 200, 10, 0.0)
        self.tally.downloaded("files", "done", 100, 2.0, False)
        self.tally.refuse("rate")
        page = self.page()
        for name, wanted in (
            (("aimirror_requests_total", "hit", "200", "files"), 1),
            (("aimirror_response_bytes_total", "hit", "files"), 10),
            (("aimirror_first_byte_seconds_count", "cache"), 1),
            (("aimirror_downloads_total", "done", "files"), 1),
            (("aimirror_fetched_bytes_total", "done", "files"), 100),
            (("aimirror_download_seconds_sum",), 2.0),
            (("aimirror_downloads_running",), 1),
            (("aimirror_download_readers",), 3),
            (("aimirror_upstream_connections", "h.test"), 4),
            (("aimirror_workers", "ready"), 2),
            (("aimirror_worker_restarts_total",), 2),
            (("aimirror_queued_fetches",), 5),
            (("aimirror_cache_bytes", "blobs"), 5),
            (("aimirror_cache_limit_bytes",), 1 << 20),
            (("aimirror_refused_total", "rate"), 1),
            (("aimirror_peer_requests_total", "b:1", "answered"), 2),
            (("aimirror_peer_bytes_total", "b:1"), 30),
            (("aimirror_peer_away", "b:1"), 0),
            (("aimirror_peer_away", "a:1"), None),
            (("aimirror_digest_failures_total",), 0),
        ):
            self.assertEqual(page.get(name), wanted, name)
        self.assertGreater(page["aimirror_disk_free_bytes",], 0)

    def test_methods(self) -> None:
        """The page is for reading."""
        client = connect(self.metrics.answer, clock=self.clock)
        client.send(GET.replace(b"GET", b"PUT"))
        self.assertEqual(client.answer()[0], 405)

    def test_documents_name_what_there_is(self) -> None:
        """The dashboard and the alerts in docs/ ask for no number that the page lacks."""
        self.tally.answered("files", "HIT", 200, 10, 0.0)
        known = {name[0] for name in self.page()}
        known |= {re.sub("_(count|sum)$", "_bucket", name) for name in known}
        known |= {f"aimirror_{name}" for name in ("upstream_shunned_seconds",)}
        known |= {f"aimirror_{name}_total" for name in ("refused", "upstream_requests")}
        known |= {f"aimirror_{name}_total" for name in ("downloads", "fetched_bytes")}
        known |= {"aimirror_upstream_header_seconds_bucket"}
        docs = Path(__file__).resolve().parent.parent.parent / "docs"
        for name in ("grafana.json", "alerts.yaml"):
            asked = set(re.findall(r"\baimirror_[a-z_]+", (docs / name).read_text("utf-8")))
            self.assertEqual(asked - known, set(), name)
            self.assertGreater(len(asked), 5)
