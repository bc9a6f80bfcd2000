"""Everything at a glance, and the stream of it."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from aimirror.admin import history
from aimirror.admin.events import EVENT_SECONDS, MOST_STREAMS, Events
from aimirror.admin.jobs import Jobs
from aimirror.admin.overview import COLUMNS, Overview
from aimirror.cluster.roster import Roster
from aimirror.exchanges.environment import Progress
from aimirror.server.tally import Tally
from aimirror.tier.breaker import Breaker
from aimirror.tier.counts import Counts
from aimirror.upstream.health import Health
from tests.server.support import Connection, connect
from tests.store.support import StoreCase

KEY = "https://h.test/file?signature=geheim"


class EventsTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        progress = Progress(KEY, "files", self.clock.seconds(), 100, 40)
        self.downloads = SimpleNamespace(
            fills=lambda: iter([(progress, SimpleNamespace(readers=1), ((0, 40),))]),
            connections=lambda: {"h.test": 2},
            health=Health(),
            tier=None,
            peers=None,
        )
        pool = SimpleNamespace(states=lambda: (), queued=0)
        self.tally = Tally()
        self.jobs = Jobs(self.clock)
        self.pool = pool
        self.overview = self.made()
        self.events = Events(self.overview, self.clock)

    def made(self) -> Overview:
        return Overview(
            self.tally,
            self.store,
            self.downloads,  # type: ignore[arg-type]
            self.pool,  # type: ignore[arg-type]
            self.jobs,
            self.clock,
            tuple,
            lambda: 1,
        )

    def stream(self) -> Connection:
        client = connect(self.events.stream, clock=self.clock)
        client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
        return client

    def told(self, client: Connection) -> list[tuple[str, dict[str, Any]]]:
        events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", client.received.decode())
        return [(name, json.loads(data)) for name, data in events]

    def test_stream(self) -> None:
        """First everything, then once a second what has changed; no query is told."""
        client = self.stream()
        self.clock.pump([EVENT_SECONDS] * 2)
        names = [name for name, _ in self.told(client)]
        self.assertEqual(names, ["all", "now", "now"])
        download = self.told(client)[0][1]["downloads"][0]
        self.assertEqual((download["url"], download["spans"]), ("https://h.test/file", [[0, 40]]))
        self.assertNotIn(b"geheim", client.received)

    def test_end(self) -> None:
        """A client that leaves, or a service that stops, ends the stream and leaves nothing."""
        first, second = self.stream(), self.stream()
        first.wire.lose()
        self.events.stop()
        self.clock.advance(EVENT_SECONDS)
        self.assertTrue(second.closed)
        self.assertEqual(self.events._streams, 0)

    def test_bound(self) -> None:
        """So many streams at one time, and no more."""
        for _ in range(MOST_STREAMS):
            self.stream()
        self.assertIn(b" 503 ", self.stream().received)

    def test_series(self) -> None:
        """What was counted since the last step is in the next one."""
        self.tally.answered("files", "HIT", 200, 10, 0.0)
        self.overview.sample(0)
        told = self.successResultOf(self._all())
        self.assertEqual(told["series"][0]["points"][0][1:], [1, 0, 10, 10, 40, 0])
        self.assertEqual(COLUMNS[-1], "errors")

    def test_restart(self) -> None:
        """The charts go on where they were."""
        self.tally.answered("files", "HIT", 200, 10, 0.0)
        self.overview.sample(0)
        history.write(self.store.root, self.overview.history())
        before = self.successResultOf(self._all())["series"]
        again = self.made()
        again.remember(self.store.root)
        told = self.successResultOf(Deferred.fromCoroutine(again.all()))
        self.assertEqual(told["series"], before)

    def test_upstreams(self) -> None:
        """One that fails says why, and comes first; one that is well again says what it was."""
        for host, ill_at, well_at in (("a", 0.0, 5.0), ("b", 9.0, 5.0), ("c", 3.0, 5.0)):
            row = self.tally.upstreams.at(host)
            row.answered, row.well_at = 10, well_at
            if ill_at:
                row.trouble("status 503", ill_at)
        rows = self.successResultOf(self._all())["upstreams"]
        told = [(row["host"], row["ill"], row["why"]) for row in rows if row["host"] != "h.test"]
        ill, well = ("b", True, "status 503"), ("c", False, "status 503")
        self.assertEqual(told, [ill, ("a", False, ""), well])
        self.assertEqual([row["host"] for row in rows].count("h.test"), 1)

    def test_behind(self) -> None:
        """The state of the store and of the other nodes is told, where there are any."""
        told = self.successResultOf(self._all())["behind"]
        self.assertEqual(told, {"tier": None, "cluster": None})
        now = self.clock.seconds()
        roster = Roster("n1:1", frozenset({"n1:1", "n2:1"}))
        roster.failed("n2:1", now)
        self.downloads.peers = SimpleNamespace(roster=roster)
        self.downloads.tier = SimpleNamespace(
            counts=Counts(), backlog=(3, now - 7), breaker=Breaker(), problem=""
        )
        told = self.successResultOf(self._all())["behind"]
        tier = told["tier"]
        self.assertEqual((tier["state"], tier["waiting"], tier["oldest"]), ("closed", 3, 7))
        nodes = [(each["node"], each["away"]) for each in told["cluster"]["nodes"]]
        self.assertEqual(nodes, [("n1:1", False), ("n2:1", True)])
        self.downloads.tier.problem = "no such bucket"
        self.assertEqual(self.successResultOf(self._all())["behind"]["tier"]["state"], "off")

    def _all(self) -> Any:
        return Deferred.fromCoroutine(self.overview.all())
