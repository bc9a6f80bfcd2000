"""/metrics: the counts of the service in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from aimirror import __version__
from aimirror.admin.counting import shunned_hosts
from aimirror.http.headers import Headers
from aimirror.server.answers import Answer
from aimirror.server.tally import Histogram, Tally
from aimirror.tier.breaker import State as BreakerState

if TYPE_CHECKING:
    from aimirror.exchanges.running import Downloads
    from aimirror.server.request import MirrorRequest
    from aimirror.store.store import Store
    from aimirror.workers.pool.pool import Pool


class Metrics:
    """Answers ``/metrics``; holds nothing of its own."""

    def __init__(
        self,
        tally: Tally,
        store: Store,
        downloads: Downloads,
        pool: Pool,
        seconds: Callable[[], float],
    ) -> None:
        self._seconds = seconds
        self._tally = tally
        self._store = store
        self._downloads = downloads
        self._pool = pool
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    async def answer(self, request: MirrorRequest) -> Answer:
        """All numbers of this moment."""
        if request.head.method not in ("GET", "HEAD"):
            return Answer(status=405, headers=Headers([("Allow", "GET, HEAD")]), body=b"")
        fields = [("Content-Type", CONTENT_TYPE_LATEST), ("Cache-Control", "no-store")]
        return Answer(
            status=200, headers=Headers(fields), body=generate_latest(self._registry), ranges=False
        )

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked for at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Called for each scrape."""
        info = GaugeMetricFamily("aimirror_info", "Version that runs", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from self._answers()
        yield from self._ended()
        yield from self._running()
        yield from self._upstreams()
        yield from self._workers()
        yield from self._cache()
        yield from self._tier()
        yield from self._peers()

    def _answers(self) -> Iterator[Metric]:
        labels = ["rule", "cache", "code"]
        count = CounterMetricFamily("aimirror_requests", "Answers to clients", labels=labels)
        sent = CounterMetricFamily(
            "aimirror_response_bytes", "Bytes of bodies sent to clients", labels=labels[:2]
        )
        totals: dict[tuple[str, str], int] = {}
        for (rule, outcome, status), row in self._tally.answers.known.items():
            count.add_metric([rule, outcome.lower(), str(status)], row.count)
            totals[rule, outcome] = totals.get((rule, outcome), 0) + row.bytes
        for (rule, outcome), number in totals.items():
            sent.add_metric([rule, outcome.lower()], number)
        yield count
        yield sent
        first = HistogramMetricFamily(
            "aimirror_first_byte_seconds", "From a request to its answer's head", labels=["source"]
        )
        for cached, histogram in self._tally.first_byte.items():
            _add(first, ["cache" if cached else "upstream"], histogram)
        yield first
        refused = CounterMetricFamily(
            "aimirror_refused", "Requests and connections refused by access rules", labels=["why"]
        )
        for why, number in self._tally.refused.items():
            refused.add_metric([why], number)
        yield refused

    def _ended(self) -> Iterator[Metric]:
        labels = ["rule", "result"]
        count = CounterMetricFamily("aimirror_downloads", "Downloads that ended", labels=labels)
        fetched = CounterMetricFamily(
            "aimirror_fetched_bytes", "Bytes written by ended downloads", labels=labels
        )
        for (rule, reason), row in self._tally.ended.known.items():
            count.add_metric([rule, reason], row.count)
            fetched.add_metric([rule, reason], row.bytes)
        yield count
        yield fetched
        took = HistogramMetricFamily(
            "aimirror_download_seconds", "Duration of downloads", labels=[]
        )
        _add(took, [], self._tally.durations)
        yield took
        yield CounterMetricFamily(
            "aimirror_digest_failures",
            "Complete files that did not hash to what they should",
            self._tally.mismatches,
        )

    def _running(self) -> Iterator[Metric]:
        fills = list(self._downloads.fills())
        yield GaugeMetricFamily("aimirror_downloads_running", "Downloads under way", len(fills))
        yield GaugeMetricFamily(
            "aimirror_downloads_running_bytes",
            "Bytes written by downloads under way",
            sum(progress.written for progress, _, _ in fills),
        )
        yield GaugeMetricFamily(
            "aimirror_download_readers",
            "Clients that read downloads under way",
            sum(body.readers for _, body, _ in fills),
        )

    def _upstreams(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "aimirror_upstream_requests",
            "Requests of the service to upstreams, those of workers left out",
            labels=["host", "result"],
        )
        header = HistogramMetricFamily(
            "aimirror_upstream_header_seconds", "From request to header", labels=["host"]
        )
        for host, row in self._tally.upstreams.known.items():
            requests.add_metric([host, "answered"], row.answered)
            requests.add_metric([host, "failed"], row.failed)
            _add(header, [host], row.header)
        yield requests
        yield header
        open_ones = GaugeMetricFamily(
            "aimirror_upstream_connections", "Pieces being fetched", labels=["host"]
        )
        for host, number in self._downloads.connections().items():
            open_ones.add_metric([host], number)
        yield open_ones
        shunned = GaugeMetricFamily(
            "aimirror_upstream_shunned_seconds",
            "For how long an upstream that failed is asked last",
            labels=["host"],
        )
        for host, left in shunned_hosts(self._downloads, self._seconds()).items():
            shunned.add_metric([host], left)
        yield shunned

    def _workers(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("aimirror_workers", "Worker processes", labels=["state"])
        counts: dict[str, int] = {}
        workers = self._pool.states()
        for worker in workers:
            counts[worker.state] = counts.get(worker.state, 0) + 1
        for state, number in counts.items():
            states.add_metric([state], number)
        yield states
        yield CounterMetricFamily(
            "aimirror_worker_restarts",
            "Workers started anew",
            sum(worker.restarts for worker in workers),
        )
        yield GaugeMetricFamily(
            "aimirror_worker_fetches",
            "Pieces that workers fetch",
            sum(worker.fetches for worker in workers),
        )
        yield GaugeMetricFamily(
            "aimirror_queued_fetches", "Pieces that wait for a worker", self._pool.queued
        )

    def _cache(self) -> Iterator[Metric]:
        usage = self._store.usage()
        kinds = GaugeMetricFamily("aimirror_cache_bytes", "Bytes on disk", labels=["kind"])
        kinds.add_metric(["blobs"], usage.blobs)
        kinds.add_metric(["parts"], usage.parts)
        kinds.add_metric(["quarantine"], usage.quarantine)
        yield kinds
        yield GaugeMetricFamily("aimirror_cache_limit_bytes", "Limit", self._store.max_bytes)
        yield GaugeMetricFamily("aimirror_cache_entries", "Stored answers", usage.entries)
        yield GaugeMetricFamily("aimirror_cache_files", "Stored bodies", usage.files)
        yield CounterMetricFamily(
            "aimirror_evictions", "Files that had to make way", self._store.evicted.blobs
        )
        yield CounterMetricFamily(
            "aimirror_evicted_bytes", "Bytes that had to make way", self._store.evicted.bytes
        )
        yield GaugeMetricFamily(
            "aimirror_disk_free_bytes", "Free on the cache's disk", self._store.free()
        )

    def _peers(self) -> Iterator[Metric]:
        peers = self._downloads.peers
        if peers is None:
            return
        asked = CounterMetricFamily(
            "aimirror_peer_requests", "Questions to other nodes", labels=["node", "result"]
        )
        moved = CounterMetricFamily(
            "aimirror_peer_bytes", "Bytes of files that other nodes have sent", labels=["node"]
        )
        away = GaugeMetricFamily("aimirror_peer_away", "1 while it is left out", labels=["node"])
        absent = peers.roster.away(self._seconds())
        for node in sorted(peers.roster.members - {peers.roster.own}):
            dealings = peers.dealt(node)
            for result, number in dealings.results.items():
                asked.add_metric([node, result], number)
            moved.add_metric([node], dealings.bytes)
            away.add_metric([node], int(node in absent))
        yield from (asked, moved, away)

    def _tier(self) -> Iterator[Metric]:
        tier = self._downloads.tier
        if tier is None:
            return
        counts = tier.counts
        requests = CounterMetricFamily(
            "aimirror_tier_requests", "Requests to the tier", labels=["op", "result"]
        )
        for labels, number in counts.requests.items():
            requests.add_metric(labels, number)
        yield requests
        moved = CounterMetricFamily("aimirror_tier_bytes", "Bytes of bodies", labels=["direction"])
        moved.add_metric(["read"], counts.read)
        moved.add_metric(["sent"], counts.sent)
        yield moved
        yield CounterMetricFamily("aimirror_tier_bad", "Damaged objects", counts.bad)
        waiting, since = tier.backlog
        yield GaugeMetricFamily("aimirror_tier_queue", "Entries to be sent", waiting)
        age = 0.0 if since is None else self._seconds() - since
        yield GaugeMetricFamily("aimirror_tier_queue_seconds", "Age of the oldest of them", age)
        open_ = tier.breaker.state is not BreakerState.CLOSED
        yield GaugeMetricFamily(
            "aimirror_tier_off", "1 while the tier is not asked", int(open_ or bool(tier.problem))
        )


def _add(family: HistogramMetricFamily, labels: list[str], counted: Histogram) -> None:
    total, buckets = 0, []
    for bound, count in zip((*map(str, counted.bounds), "+Inf"), counted.counts, strict=True):
        total += count
        buckets.append((bound, total))
    family.add_metric(labels, buckets, counted.sum)
