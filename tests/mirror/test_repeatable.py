"""Small files: what is asked for a second time, be it by another client, is not looked up again."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any
from unittest import mock

from attrs import evolve

from aimirror.admin.counting import counted
from aimirror.admin.recent import Recent
from aimirror.mirror.ecosystem import GENERAL, UNTAKEN, General, Lookup, Untaken
from aimirror.mirror.mirror import Mirror
from aimirror.mirror.serving import MEMO_SECONDS, USED_EVERY
from aimirror.routing.choices import ContentRewrite, Strategy
from aimirror.server.access_log import AccessLog
from aimirror.server.answers import Answer
from aimirror.server.short_log import Short
from aimirror.server.tally import Tally
from tests.mirror.support import UPSTREAM, MirrorCase, Rule

LIFE = "Cache-Control: max-age=600"


class SmallCase(MirrorCase):
    """A mirror that stores small files in one go."""

    def setUp(self) -> None:
        super().setUp()
        self.use(strategy=Strategy.PROXY)
        self.plays(200, LIFE, 'ETag: "1"', "Content-Length: 4")


class RepeatableTests(SmallCase):
    """The first hit of a small file that this process has stored."""

    def unasked(self) -> Any:
        """While entered, nothing may be looked up."""
        return mock.patch.object(self.store, "entries", side_effect=AssertionError("looked up"))

    def test_first_hit(self) -> None:
        """It is a hit like any other, and nothing is looked up for it."""
        self.assertEqual(self.get("/x")[1].get("X-Cache"), "MISS")
        self.clock.advance(7)
        with self.unasked():
            status, headers, body = self.get("/x")
        self.assertEqual((status, body, headers.get("X-Cache")), (200, b"body", "HIT"))
        self.assertEqual((headers.get("Age"), headers.get("ETag")), ("7", '"1"'))
        self.assertEqual(headers.get("Cache-Status"), "aimirror; hit; ttl=593")
        self.site.memo.invalidate()
        looked_up = self.get("/x")
        self.assertEqual((status, headers, body), looked_up)

    def test_cost(self) -> None:
        """A file that is fetched asks the store for its key and its blob once, and sets no timer.

        What is counted here was half of what a cold small file took.
        """
        self.get("/first")
        self.plays(200, LIFE, 'ETag: "1"', "Content-Length: 4", body=b"else")
        statements: list[str] = []
        self.store._index._db.set_trace_callback(statements.append)
        with (
            mock.patch("os.open") as opened,
            mock.patch.object(self.clock, "callLater", wraps=self.clock.callLater) as later,
        ):
            self.assertEqual(self.get("/x")[2], b"else")
        self.store._index._db.set_trace_callback(None)
        asked = [each for each in statements if each.startswith("SELECT")]
        self.assertLessEqual((len(asked), len(statements)), (2, 7), statements)
        self.assertEqual(opened.call_count, 0)
        self.assertLessEqual(later.call_count, 2, later.mock_calls)

    def test_counts_as_use(self) -> None:
        """What is used so is not the first to make way; a use a minute is noted."""
        self.get("/x")
        with mock.patch.object(self.store, "touch") as touch:
            for _ in range(5):
                self.clock.advance(USED_EVERY / 2)
                self.get("/x", "User-Agent: x")
        self.assertEqual([call.args[0].key for call in touch.mock_calls], [f"{UPSTREAM}/x"] * 2)

    def test_calls(self) -> None:
        """A hit of a small file crosses few functions, from the bytes of its head to its log."""
        recent, log = Recent(self.clock), AccessLog(lambda _: 0, self.clock, Short())
        self.site.access = counted(Tally(), recent.noting(log))
        for path in ("/a", "/b", "/b"):
            self.get(path)
        self.assertLess(self.calls(b"/a"), 52)

    def test_calls_of_a_lookup(self) -> None:
        """Nor does one that is looked up, as after a restart, cross many."""
        for path in ("/a", "/b"):
            self.get(path)
        self.site.memo.invalidate()
        self.store._catalogue._remembered.clear()
        self.store._shelf._bodies.close()
        self.calls(b"/b")
        self.assertLess(self.calls(b"/a"), 350)

    def calls(self, path: bytes) -> int:
        """How many functions of Python the answer to a request takes."""
        client = self.ask("/b")
        count = 0

        def note(frame: FrameType, event: str, _: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(note)
        try:
            client.send(b"GET %b HTTP/1.1\r\nHost: mirror.test\r\n\r\n" % path)
        finally:
            sys.setprofile(None)
        self.assertTrue(client.received.endswith(b"body"))
        return count

    def test_after_a_restart(self) -> None:
        """A small file that was stored before is looked up once, and not held in memory for it."""
        self.get("/x")
        self.site.memo.invalidate()
        first = self.get("/x")
        self.assertEqual([a.body for a in self.site.memo._answers._values.values()], [b""])
        with self.unasked():
            self.assertEqual(self.get("/x"), first)
        self.clock.advance(100)
        with self.unasked():
            self.assertEqual(self.get("/x")[1].get("Age"), "100")

    def test_unsettled(self) -> None:
        """A world that looks elsewhere, too, is asked before long."""

        class World(General):
            taken = 0

            async def take(self, *_: Any) -> Untaken:
                self.taken += 1
                return UNTAKEN

        world, rule = World(), Rule(name="all", upstreams=(UPSTREAM,), ecosystem="w")
        self.mirror = Mirror((rule,), self.library, lambda _: "http://m", {"w": world})
        self.site = self.make_site(self.mirror)
        counts = []
        for seconds in (0, 1, MEMO_SECONDS, 1, MEMO_SECONDS):
            self.clock.advance(seconds)
            self.assertEqual(self.get("/x")[2], b"body")
            counts.append(world.taken)
        self.assertEqual((counts, self.asked), ([1, 1, 2, 2, 3], 1))

    def test_confirmed(self) -> None:
        """What the upstream has confirmed is a hit the next time, and not looked up."""
        self.get("/x")
        self.clock.advance(601)
        self.plays(304, LIFE, 'ETag: "1"')
        self.assertEqual(self.get("/x")[1].get("X-Cache"), "REVALIDATED")
        with self.unasked():
            _, headers, body = self.get("/x")
        self.assertEqual((headers.get("X-Cache"), body), ("HIT", b"body"))

    def test_other_shape(self) -> None:
        """A 304 of a hit is repeated, for as long as before."""
        self.get("/x")
        for _ in range(2):
            self.assertEqual(self.get("/x", 'If-None-Match: "1"')[0], 304)
        with self.unasked():
            self.assertEqual(self.get("/x", 'If-None-Match: "1"')[0], 304)
        self.clock.advance(MEMO_SECONDS)
        with mock.patch.object(self.store, "entries", wraps=self.store.entries) as entries:
            self.get("/x", 'If-None-Match: "1"')
        self.assertTrue(entries.called)

    def test_read_from_the_disk(self) -> None:
        """Of a file that is asked for once only its head is held; of one that is repeated, all."""
        self.get("/x")
        held = self.site.memo._held
        self.get("/x", "User-Agent: a")
        self.assertEqual(self.site.memo._held, held)
        self.get("/x", "User-Agent: b")
        self.assertGreaterEqual(self.site.memo._held, held + 4)
        self.assertEqual(self.get("/x")[2], b"body")

    def test_altered(self) -> None:
        """A file that is gone or altered is never sent: it is fetched again."""
        for statement in ("DELETE FROM packed.bodies", "UPDATE packed.bodies SET content = x'00'"):
            self.get("/x")
            self.store._index.write(statement)
            self.assertEqual(self.get("/x")[2], b"body", statement)
        self.assertEqual(self.asked, 3)

    def test_changed(self) -> None:
        """It is forgotten as soon as its entry changes, and when its life is over."""
        self.get("/x")
        self.library.invalidate(f"{UPSTREAM}/x")
        self.get("/x")
        self.assertEqual(self.asked, 2)
        self.clock.advance(601)
        self.get("/x")
        self.assertEqual(self.asked, 3)

    def test_other_requests(self) -> None:
        """Conditions, ranges and HEAD are answered for themselves."""
        self.get("/x", 'If-None-Match: "0"')
        self.assertEqual(self.get("/x", 'If-None-Match: "1"')[0], 304)
        self.assertEqual(self.get("/x", "Range: bytes=1-2")[2], b"od")
        head = self.ask("/x", method="HEAD").received
        self.assertTrue(head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n"), head)

    def test_private(self) -> None:
        """What is not for anybody is not remembered."""
        self.get("/x", "Authorization: Basic eDp5")
        self.assertEqual(len(self.site.memo), 0)

    def test_rewritten(self) -> None:
        """A document whose links are changed, and text that is compressed, are no exception."""
        link, kind = f"{UPSTREAM}/a.tgz".encode(), "Content-Type: application/json"
        text = b'{"tarball": "%b"}' % link + b" " * 2000
        self.use(
            strategy=Strategy.PROXY,
            content_rewrite=ContentRewrite(content_types=("json",), members=("tarball",)),
        )
        for zipped in ("identity", "gzip"):
            self.plays(200, LIFE, 'ETag: "1"', kind, f"Content-Length: {len(text)}", body=text)
            fetched = self.get("/x", f"Accept-Encoding: {zipped}")
            self.assertEqual(fetched[1].get("X-Cache"), "MISS")
            asked = self.asked
            with self.unasked():
                hit = self.get("/x", f"Accept-Encoding: {zipped}")
            self.assertNotIn(link, hit[2])
            self.assertEqual((hit[1].get("X-Cache"), hit[2]), ("HIT", fetched[2]))
            for name in ("ETag", "Vary", "Content-Encoding", "Content-Length"):
                self.assertEqual(hit[1].get(name), fetched[1].get(name))
            self.mirror._transforms._kept.clear()
            self.assertEqual(self.get("/x", f"Accept-Encoding: {zipped}")[2], hit[2])
            self.assertEqual(self.asked, asked)
            self.library.drop_key(f"{UPSTREAM}/x")

    def test_varies(self) -> None:
        """Text that others get compressed says so, too, when it is repeated."""
        text = b"text " * 500
        self.plays(200, LIFE, "Content-Type: text/plain", f"Content-Length: {len(text)}", body=text)
        found = [self.get("/x")[1].get("Vary") for _ in range(2)]
        self.assertEqual(found, ["Accept-Encoding"] * 2)

    def test_changed_on_its_way(self) -> None:
        """Where a world changes the answer's fields, a repeat is looked up as before."""

        class World(type(GENERAL)):  # type: ignore[misc]
            def finish(self, lookup: Lookup, answer: Answer) -> Answer:
                return evolve(answer, headers=answer.headers.with_("X-World", answer.memo_of))

        rule = Rule(name="all", upstreams=(UPSTREAM,), ecosystem="w", strategy=Strategy.PROXY)
        self.mirror = Mirror((rule,), self.library, lambda _: "http://m", {"w": World()})
        self.site = self.make_site(self.mirror)
        for outcome in ("MISS", "HIT"):
            headers = self.get("/x")[1]
            self.assertEqual(headers.get("X-Cache"), outcome)
            self.assertEqual(headers.get("X-World"), f"{UPSTREAM}/x")
