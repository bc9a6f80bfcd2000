"""What the service tells of itself: /health and /stats."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve

from aimirror import __version__
from aimirror.admin.counting import shunned_hosts
from aimirror.admin.draining import Draining
from aimirror.admin.gate import Gate
from aimirror.http.headers import Headers
from aimirror.server.answers import Answer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.cluster.peers import Peers
    from aimirror.exchanges.running import Downloads
    from aimirror.server.request import MirrorRequest
    from aimirror.store.store import Store
    from aimirror.tier.tier import Tier
    from aimirror.workers.pool.pool import Pool

_MB = 1000**2
#: Spans of one download that are told; a strip on a page shows no more.
_MOST_SPANS = 64


class Status:
    """Answers ``/health`` and ``/stats``; never a query, a credential or a signed URL.

    What is being downloaded has names only for those whom ``gate`` lets pass: they may be private,
    and a token may stand in a path.
    """

    def __init__(
        self,
        store: Store,
        downloads: Downloads,
        pool: Pool,
        clock: IReactorTime,
        gate: Callable[[], Gate],
        draining: Draining,
    ) -> None:
        self._draining = draining
        self._store = store
        self._downloads = downloads
        self._pool = pool
        self._clock = clock
        self._gate = gate
        self._started_at = clock.seconds()

    async def health(self, request: MirrorRequest) -> Answer:
        """Whether the service works, and how much is being downloaded.

        503 while it is to be left out, but for who asks only whether it is alive (``?alive``).
        """
        named = self._gate().objection(request) is None
        answer = self._guarded(request, lambda: self._health(named))
        if self._draining.on and answer.status == 200 and request.raw_query != "alive":
            answer = evolve(answer, status=503)
        return answer

    async def stats(self, request: MirrorRequest) -> Answer:
        """What is in the cache, and what the workers do."""
        return self._guarded(request, self._stats)

    def _health(self, named: bool) -> dict[str, Any]:
        now = self._clock.seconds()
        running = list(self._downloads.fills())
        count = len(running)
        if not named:
            running = []
        tier = self._downloads.tier
        behind = {} if tier is None else {"tier": _state(tier, named)}
        return {
            **behind,
            "status": "draining" if self._draining.on else "ok",
            "active_downloads": count,
            "downloads": [_shown(progress.key) for progress, _, _ in running],
            "version": __version__,
            "uptime_seconds": round(now - self._started_at, 1),
            "details": [
                {
                    "key": _shown(progress.key),
                    "rule": progress.rule,
                    "total": progress.total,
                    "written": progress.written,
                    "seconds": round(now - progress.started_at, 1),
                    "readers": body.readers,
                    "spans": spans[:_MOST_SPANS],
                }
                for progress, body, spans in running
            ],
        }

    def _stats(self) -> dict[str, Any]:
        usage = self._store.usage()
        peers = self._downloads.peers
        nodes = {} if peers is None else {"cluster": _nodes(peers, self._clock.seconds())}
        return {
            **nodes,
            "cache": {
                "total_size_mb": round(usage.total / _MB, 2),
                "file_count": usage.files,
                "entries": usage.entries,
                "blob_bytes": usage.blobs,
                "part_bytes": usage.parts,
                "quarantine_bytes": usage.quarantine,
            },
            "workers": [
                {
                    "pid": worker.pid,
                    "state": worker.state,
                    "fetches": worker.fetches,
                    "hashing": worker.hashing,
                    "restarts": worker.restarts,
                }
                for worker in self._pool.states()
            ],
            "upstreams_shunned": {
                host: round(left, 1)
                for host, left in shunned_hosts(self._downloads, self._clock.seconds()).items()
            },
        }

    def _guarded(self, request: MirrorRequest, make: Callable[[], dict[str, Any]]) -> Answer:
        if request.head.method not in ("GET", "HEAD"):
            return Answer(status=405, headers=Headers([("Allow", "GET, HEAD")]), body=b"")
        fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        body = json.dumps(make(), ensure_ascii=False).encode() + b"\n"
        return Answer(status=200, headers=Headers(fields), body=body, ranges=False)


def _shown(key: str) -> str:
    """A cache key without its query, which may be a signature."""
    return key.partition("?")[0]


def _nodes(peers: Peers, now: float) -> dict[str, Any]:
    """The nodes, and those that did not answer."""
    roster = peers.roster
    return {"self": roster.own, "nodes": sorted(roster.members), "away": roster.away(now)}


def _state(tier: Tier, named: bool) -> str:
    """How the tier is; why it is off is for those who may know."""
    if tier.problem:
        return tier.problem if named else "off"
    return tier.breaker.state.value
