"""The dashboard's files, and the stream that feeds it."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.dashboard import EVENT_SECONDS, MOST_STREAMS, Events, Overview, Pages
from aimirror.admin.jobs import Jobs
from aimirror.exchanges.environment import Progress
from aimirror.server.admission import own_words
from aimirror.server.answers import Answer
from aimirror.server.request import MirrorRequest
from aimirror.server.tally import Tally
from aimirror.upstream.health import Health
from tests.server.support import Connection, connect
from tests.store.support import StoreCase

KEY = "https://h.test/file?signature=geheim"


class PagesTests(SynchronousTestCase):
    def got(self, path: str) -> Any:
        pages = Pages()

        async def handler(request: MirrorRequest) -> Answer:
            return pages.answer(request)

        client = connect(own_words(handler))
        client.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        return client.answer()

    def test_files(self) -> None:
        """The page and what it needs are there, under a policy that lets in nothing foreign."""
        for path, kind in (
            ("/aimirror/", "text/html"),
            ("/aimirror/dashboard.css", "text/css"),
            ("/aimirror/dashboard.js", "text/javascript"),
        ):
            status, headers, body = self.got(path)
            self.assertEqual(status, 200)
            self.assertTrue(body)
            self.assertIn(kind, headers.get("content-type", ""))
            self.assertIn("default-src 'none'", headers.get("content-security-policy", ""))
        self.assertEqual(self.got("/aimirror")[1].get("location"), "/aimirror/")
        self.assertEqual(self.got("/aimirror/../secret")[0], 404)

    def test_nothing_from_elsewhere(self) -> None:
        """The page loads nothing from another host and has no script or style within."""
        page = self.got("/aimirror/")[2].decode()
        loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
        self.assertEqual([each for each in loaded if each.startswith(("http", "//"))], [])
        self.assertEqual(re.findall(r"\son\w+=|style=|<style|<script>", page), [])

    def test_script_and_page_agree(self) -> None:
        """Every element that the script asks for by its id is in the page."""
        page = self.got("/aimirror/")[2].decode()
        script = self.got("/aimirror/dashboard.js")[2].decode()
        asked = set(re.findall(r'\$\("([\w-]+)"\)', script))
        self.assertEqual(asked - set(re.findall(r'id="([\w-]+)"', page)), set())
        self.assertGreater(len(asked), 20)

    def test_labels(self) -> None:
        """Every field has a label, for those who hear the page."""
        page = self.got("/aimirror/")[2].decode()
        labelled = re.findall(r"<label[^>]*>.*?</label>", page, re.DOTALL)
        inside = "".join(labelled)
        named = set(re.findall(r'<label for="([\w-]+)"', page))
        for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", page):
            own = re.search(r'id="([\w-]+)"', field)
            known = field in inside or " hidden" in field or (own and own[1] in named)
            self.assertTrue(known, field)


class EventsTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        progress = Progress(KEY, "files", self.clock.seconds(), 100, 40)
        downloads = SimpleNamespace(
            fills=lambda: iter([(progress, SimpleNamespace(readers=1), ((0, 40),))]),
            connections=lambda: {"h.test": 2},
            health=Health(),
        )
        pool = SimpleNamespace(states=lambda: (), queued=0)
        self.tally = Tally()
        self.jobs = Jobs(self.clock)
        self.overview = Overview(
            self.tally,
            self.store,
            downloads,  # type: ignore[arg-type]
            pool,  # type: ignore[arg-type]
            self.jobs,
            self.clock,
            tuple,
            lambda: 1,
        )
        self.events = Events(self.overview, self.clock)

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
        self.assertEqual(told["series"][0]["points"][0][1:], [1, 0, 10, 10, 40])

    def _all(self) -> Any:
        return Deferred.fromCoroutine(self.overview.all())
