"""The dashboard at ``/aimirror/``: its files, what it shows at a glance, and the stream of that."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror import __version__
from aimirror.admin.jobs import Jobs
from aimirror.admin.metrics import shunned_hosts
from aimirror.http.headers import Headers
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.server.tally import Series, Tally

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.exchanges.running import Downloads
    from aimirror.routing.rules import Rule
    from aimirror.server.request import MirrorRequest
    from aimirror.store.listing import RuleUse
    from aimirror.store.store import Store
    from aimirror.workers.pool.pool import Pool

#: Seconds between two events, and those for which a look at the whole index is believed.
EVENT_SECONDS = 1.0
USE_SECONDS = 15.0
#: Streams at one time; a page needs one.
MOST_STREAMS = 32
#: Downloads and spans of one that are told.
_MOST_DOWNLOADS = 100
_MOST_SPANS = 256
#: The last hour in steps of ten seconds, the last day in steps of five minutes.
STEPS = ((10.0, 360), (300.0, 288))

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
}
#: Nothing from elsewhere, nothing inline, in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Pages:
    """Serves the files of the dashboard, which hold nothing secret, to anyone."""

    def __init__(self) -> None:
        folder = resources.files("aimirror.admin") / "pages"
        self._files = {name: (folder / name).read_bytes() for name in _TYPES}

    def answer(self, request: MirrorRequest) -> Answer:
        """One file."""
        name = request.raw_path.removeprefix("/aimirror").removeprefix("/")
        if request.raw_path == "/aimirror":
            return Answer(status=308, headers=Headers([("Location", "/aimirror/")]), body=b"")
        name = name or "index.html"
        body = self._files.get(name)
        if body is None:
            return error_answer(404, "no such page", "the dashboard is at /aimirror/")
        fields = [
            ("Content-Type", _TYPES[name]),
            ("Cache-Control", "no-cache"),
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ]
        return Answer(status=200, headers=Headers(fields), body=body)


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
                    "points": [
                        [at, t.hits, t.misses, t.served, t.saved, t.fetched]
                        for at, t in series.steps()
                    ],
                }
                for series in self._series
            ],
        }

    def _running(self, now: float) -> list[dict[str, Any]]:
        found = []
        for progress, body, spans in self._downloads.fills():
            found.append(
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
            if len(found) == _MOST_DOWNLOADS:
                break
        return found

    def _upstreams(self, now: float) -> list[dict[str, Any]]:
        shunned = shunned_hosts(self._downloads, now)
        open_ones = self._downloads.connections()
        known = self._tally.upstreams.known
        hosts = dict.fromkeys([*known, *shunned, *open_ones])
        found: list[dict[str, Any]] = []
        for host in hosts:
            row = known.get(host)
            answered = row.answered if row else 0
            found.append(
                {
                    "host": host,
                    "answered": answered,
                    "failed": row.failed if row else 0,
                    "header": row.header.sum / answered if row and answered else None,
                    "connections": open_ones.get(host, 0),
                    "shunned": shunned.get(host, 0.0),
                }
            )
        return sorted(found, key=lambda each: -each["answered"])[:50]


class Events:
    """Server-sent events: everything first, then once a second what has changed."""

    log = Logger()

    def __init__(self, overview: Overview, clock: IReactorTime) -> None:
        self._overview = overview
        self._clock = clock
        self._streams = 0
        self._stopped = False
        self._told: tuple[float, bytes] = (0.0, b"")

    def stop(self) -> None:
        """Streams end with their next event."""
        self._stopped = True

    async def stream(self, request: MirrorRequest) -> None:
        """Send events until the client leaves or the service stops."""
        if self._streams >= MOST_STREAMS:
            busy = error_answer(503, "too many streams", retry_after=5)
            assert isinstance(busy.body, bytes)
            request.reply(busy.status, busy.headers, busy.body)
            return
        fields = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        request.start(200, Headers([*fields, ("X-Accel-Buffering", "no")]), None)
        self._streams += 1
        try:
            request.write(_event("all", await self._overview.all()))
            while not (request.gone or self._stopped):
                await self._pause()
                request.write(await self._now())
                room = request.channel.room()
                if room is not None:
                    await room
        finally:
            self._streams -= 1
        request.finish()

    async def _now(self) -> bytes:
        """One event for all streams of a moment."""
        now = self._clock.seconds()
        if now - self._told[0] >= EVENT_SECONDS / 2:
            self._told = now, _event("now", await self._overview.now())
        return self._told[1]

    def _pause(self) -> Deferred[None]:
        call = self._clock.callLater(EVENT_SECONDS, lambda: pause.callback(None))
        pause: Deferred[None] = Deferred(lambda _: call.cancel())
        return pause


def _event(name: str, told: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(told, separators=(',', ':'))}\n\n".encode()
