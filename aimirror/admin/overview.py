"""Everything at a glance, as plain values: what the dashboard shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aimirror import __version__
from aimirror.admin import history
from aimirror.admin.behind import behind
from aimirror.admin.counting import shunned_hosts
from aimirror.admin.jobs import Jobs
from aimirror.server.tally import Series, Tally, UpstreamCount

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.exchanges.running import Downloads
    from aimirror.routing.rules import Rule
    from aimirror.store.listing import RuleUse
    from aimirror.store.store import Store
    from aimirror.workers.pool.pool import Pool

#: Seconds for which a look at the whole index is believed.
USE_SECONDS = 15.0
#: Downloads and spans of one that are told.
_MOST_DOWNLOADS = 100
_MOST_SPANS = 256
_MOST_UPSTREAMS = 50
#: The last hour in steps of ten seconds, the last day in steps of five minutes.
STEPS = ((10.0, 360), (300.0, 288))
#: What a point of a series consists of, behind its time.
COLUMNS = ("hits", "misses", "served", "saved", "fetched", "errors")


class Overview:
    """Everything at a glance, as plain values; never a query, a credential or a signed URL."""

    def __init__(
        self,
        tally: Tally,
        store: Store,
        downloads: Downloads,
        pool: Pool,
        jobs: Jobs,
        clock: IReactorTime,
        rules: Callable[[], tuple[Rule, ...]],
        clients: Callable[[], int],
    ) -> None:
        self._tally = tally
        self._store = store
        self._downloads = downloads
        self._pool = pool
        self._jobs = jobs
        self._clock = clock
        self._rules = rules
        self._clients = clients
        self._started = clock.seconds()
        self._series = tuple(Series(step, length) for step, length in STEPS)
        self._used: tuple[RuleUse, ...] = ()
        self._used_until = 0.0

    def remember(self, folder: Path) -> None:
        """Go on with the charts of before a restart."""
        history.read(folder, self._series, self._clock.seconds())

    def history(self) -> bytes:
        """The charts, to be kept for ``remember``."""
        return history.dumped(self._series)

    def sample(self, series: int) -> None:
        """A step of one of STEPS is over."""
        self._series[series].sample(self._clock.seconds(), self._totals())

    def _totals(self) -> Any:
        return self._tally.totals(sum(p.written for p, _, _ in self._downloads.fills()))

    async def now(self) -> dict[str, Any]:
        """What changes from second to second."""
        now = self._clock.seconds()
        totals = self._totals()
        usage = self._store.usage()
        return {
            "time": now,
            "uptime": now - self._started,
            "totals": {
                "hits": totals.hits,
                "misses": totals.misses,
                "served": totals.served,
                "saved": totals.saved,
                "fetched": totals.fetched,
                "errors": totals.errors,
            },
            "clients": self._clients(),
            "downloads": self._running(now),
            "queued": self._pool.queued,
            "workers": [
                {"pid": w.pid, "state": w.state, "fetches": w.fetches, "restarts": w.restarts}
                for w in self._pool.states()
            ],
            "cache": {
                "bytes": usage.total,
                "limit": self._store.max_bytes,
                "entries": usage.entries,
                "files": usage.files,
                "quarantine": usage.quarantine,
                "evicted": self._store.evicted.blobs,
            },
            "upstreams": self._upstreams(now),
            "behind": behind(self._downloads, now),
            "jobs": [job.told() for job in self._jobs.all()[:5]],
        }

    async def all(self) -> dict[str, Any]:
        """That, and what changes slowly."""
        now = self._clock.seconds()
        if now >= self._used_until:
            self._used_until = now + USE_SECONDS
            self._used = tuple(await self._store.by_rule())
        return {
            **await self.now(),
            "version": __version__,
            "by_rule": [
                {"rule": use.rule, "entries": use.entries, "bytes": use.bytes} for use in self._used
            ],
            "rules": [
                {
                    "name": rule.name,
                    "pattern": rule.pattern.pattern if rule.pattern is not None else "",
                    "prefix": rule.path_prefix,
                    "upstreams": list(rule.upstreams or rule.allow),
                    "strategy": rule.strategy.value,
                    "ecosystem": rule.ecosystem,
                }
                for rule in self._rules()
            ],
            "series": [
                {
                    "step": series.step,
                    "length": series.length,
                    "points": [
                        [at, *(getattr(totals, name) for name in COLUMNS)]
                        for at, totals in series.steps()
                    ],
                }
                for series in self._series
            ],
        }

    def _running(self, now: float) -> list[dict[str, Any]]:
        running = []
        for progress, body, spans in self._downloads.fills():
            running.append(
                {
                    "id": id(progress),
                    "url": progress.key.partition("?")[0],
                    "rule": progress.rule,
                    "total": progress.total,
                    "written": progress.written,
                    "seconds": now - progress.started_at,
                    "readers": body.readers,
                    "spans": spans[:_MOST_SPANS],
                }
            )
            if len(running) == _MOST_DOWNLOADS:
                break
        return running

    def _upstreams(self, now: float) -> list[dict[str, Any]]:
        shunned = shunned_hosts(self._downloads, now)
        open_ones = self._downloads.connections()
        known = self._tally.upstreams.known
        hosts = dict.fromkeys([*known, *shunned, *open_ones])
        rows = [
            _upstream(host, known.get(host), shunned.get(host, 0.0), open_ones.get(host, 0), now)
            for host in hosts
        ]
        return sorted(rows, key=lambda row: (not row["ill"], -row["answered"]))[:_MOST_UPSTREAMS]


def _upstream(
    host: str, counts: UpstreamCount | None, shunned: float, connections: int, now: float
) -> dict[str, Any]:
    """One upstream: ``ill`` while the last that was heard of it is trouble; ``why`` is the last."""
    row = counts or UpstreamCount()
    return {
        "host": host,
        "answered": row.answered,
        "failed": row.failed,
        "header": row.header.sum / row.answered if row.answered else None,
        "connections": connections,
        "shunned": shunned,
        "ill": row.ill or shunned > 0,
        "why": row.why,
        "since": now - row.ill_at if row.ill_at else None,
    }
