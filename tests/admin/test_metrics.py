"""The page of numbers, and what feeds it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.metrics import CountedUpstream, Metrics, counted, ended
from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import Finished, Progress
from aimirror.http.egress import Egress, Outgoing, Timeouts
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.server.access_log import AccessRecord
from aimirror.server.tally import Tally
from aimirror.tier.breaker import Breaker
from aimirror.tier.counts import Counts
from aimirror.upstream.health import Health
from tests.server.support import GET, clock_at_now, connect
from tests.store.support import StoreCase

KEY = "https://h.test/k"
EXCHANGE = AccessRecord("GET", "/a", "HTTP/1.1", 200, "HIT", "", "", "files", first=0.002)


class HookTests(SynchronousTestCase):
    def test_answers(self) -> None:
        """Each answer is counted and logged, repeats included."""
        tally, logged = Tally(), []
        hook = counted(tally, lambda *told: logged.append(told))
        hook(EXCHANGE, "peer", 10, 0.1)
        hook(EXCHANGE.repeated(), "peer", 10, 0.0)
        row = tally.answers.known["files", "HIT", 200]
        self.assertEqual((row.count, row.bytes, len(logged)), (2, 20, 2))

    def test_downloads(self) -> None:
        """A download is counted by how it ended; wrong bytes have a word of their own."""
        tally = Tally()
        end = ended(tally, lambda: 12.0)
        end(Progress(KEY, "files", 10.0, 100, 100), Finished())
        end(Progress(KEY, "files", 10.0, 100, 50), Finished(None, Reason.CHANGED, mismatch=True))
        self.assertEqual(set(tally.ended.known), {("files", "done"), ("files", "mismatch")})
        self.assertEqual((tally.mismatches, tally.durations.sum), (1, 4.0))

    def test_upstreams(self) -> None:
        """Answers and failures of an upstream are counted by host, and passed on as they are."""
        tally, clock, replies = Tally(), clock_at_now(), []

        class Fake:
            def request(self, *_: Any) -> Deferred[Any]:
                replies.append(Deferred())
                return replies[-1]

        upstream = CountedUpstream(Fake(), tally, clock)  # type: ignore[arg-type]
        outgoing = Outgoing("GET", "https://H.test/x", Headers(), Egress(), Timeouts())
        first, second = upstream.request(outgoing), upstream.request(outgoing)
        clock.advance(0.25)
        response = SimpleNamespace(status=200)
        replies[0].callback(response)
        replies[1].errback(UpstreamError(Reason.CONNECT))
        self.assertIs(self.successResultOf(first), response)
        self.failureResultOf(second, UpstreamError)
        row = tally.upstreams.known["h.test"]
        self.assertEqual((row.answered, row.failed, row.header.sum), (1, 1, 0.25))

    def test_troubles(self) -> None:
        """What says that an upstream is ill is kept with its reason; who leaves says nothing."""
        tally, clock, replies = Tally(), clock_at_now(), []

        class Fake:
            def request(self, *_: Any) -> Deferred[Any]:
                replies.append(Deferred())
                return replies[-1]

        upstream = CountedUpstream(Fake(), tally, clock)  # type: ignore[arg-type]
        outgoing = Outgoing("GET", KEY, Headers(), Egress(), Timeouts())
        row = tally.upstreams.at("h.test")
        asked = upstream.request(outgoing)
        asked.addErrback(lambda _: None)
        asked.cancel()
        self.assertEqual((row.failed, row.ill), (0, False))
        for status, ill in ((503, True), (404, False), (429, True), (200, False)):
            upstream.request(outgoing)
            clock.advance(1)
            replies[-1].callback(SimpleNamespace(status=status))
            self.assertEqual(row.ill, ill, status)
        self.assertEqual(row.why, "it answers with status 429")
        failing = upstream.request(outgoing)
        clock.advance(1)
        replies[-1].errback(UpstreamError(Reason.TLS, "h.test: expired"))
        self.failureResultOf(failing, UpstreamError)
        self.assertEqual((row.why, row.failed, row.ill), ("TLS failure: h.test: expired", 1, True))

    def test_ends_of_downloads(self) -> None:
        """A download that its upstream broke makes it ill; one that the disk ended does not."""
        for finished, why in (
            (Finished(None, Reason.SILENT, "for 30 s"), "upstream fell silent: for 30 s"),
            (Finished(None, Reason.DISK_FULL), ""),
            (Finished(None, Reason.CANCELLED), ""),
            (Finished(None, Reason.DONE, mismatch=True), "mismatch"),
            (Finished(), ""),
        ):
            tally = Tally()
            ended(tally, lambda: 12.0)(Progress(KEY, "files", 10.0, 100, 50), finished)
            row = tally.upstreams.at("h.test")
            self.assertEqual((row.why, row.ill), (why, bool(why)), finished)


class PageTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.tally = Tally()
        progress = Progress("k?secret=1", "files", 0.0, 100, 40)
        downloads = SimpleNamespace(
            tier=SimpleNamespace(counts=Counts(), backlog=(3, None), breaker=Breaker(), problem=""),
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
