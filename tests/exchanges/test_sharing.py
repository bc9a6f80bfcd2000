from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from aimirror.download.shares import PART_KEPT
from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import shared
from aimirror.exchanges.sharing import AMONG_MANY, LEFT_FOR, TURN
from aimirror.interfaces import IBodyReader
from aimirror.routing.choices import Strategy
from aimirror.routing.rules import Rule
from tests.exchanges.support import MB, DownloadCase, FakeFetch, FakeResponse, pattern, whole

CONTENT = pattern(40 * MB)


class SharingCase(DownloadCase):
    """Many big files at once, each read by somebody."""

    def setUp(self) -> None:
        super().setUp()
        self.readers: dict[str, IBodyReader] = {}

    def begin_file(
        self,
        file: str,
        host: str = "files.test",
        client: str = "",
        content: bytes = CONTENT,
        **rule: Any,
    ) -> FakeResponse:
        made = self.rule(upstreams=(f"http://{host}",), **{"concurrency": 8, **rule})
        url = f"http://{host}/{file}"
        response = self.probe(content)
        response.url = url
        arriving = self.begin(response, self.wanted(rule=made, url=url, client=client))
        self.readers[file] = arriving.body.reader(0, None)
        self.clock.advance(0)
        return response

    def flying(self, name: str) -> list[FakeFetch]:
        """Pieces of a file."""
        return [f for f in self.pool.flying if f.task.url.endswith("/" + name)]

    def flying_for(self, name: str) -> int:
        """Connections of a file."""
        return len(self.flying(name))

    def turn(self) -> None:
        """Let a turn pass, while every connection brings a little."""
        for _ in range(int(TURN)):
            for fetch in self.pool.flying:
                fetch.write(CONTENT, 64 * 1024)
            self.clock.advance(1)

    def rates(self) -> set[int]:
        return {f.task.rate_limit for f in self.pool.flying}


class PlacesTests(SharingCase):
    limits = {"most": 1, "per_host": 64}

    def test_queue(self) -> None:
        """Later downloads wait for a place, in order; their first bytes come all the same."""
        first, second = self.begin_file("a"), self.begin_file("b")
        self.assertEqual((self.flying_for("a"), self.flying_for("b")), (7, 0))
        second.flow(CONTENT[:MB])
        second.end()
        for fill, _, spans in self.downloads.fills():
            if fill.key.endswith("b"):
                self.assertEqual(spans, ((0, MB),))
        self.play_probe(first, CONTENT)
        while self.flying_for("a"):
            self.pool.flying[0].bring(CONTENT)
        self.clock.advance(0)
        self.assertEqual(self.flying_for("b"), 8)

    def test_turns(self) -> None:
        """A huge file yields its place after its turn, and gets it back."""
        self.begin_file("huge")
        self.begin_file("small")
        self.turn()
        self.assertEqual(self.flying_for("small"), 7)
        before = len(self.pool.fetches)
        self.pool.flying[0].bring(CONTENT)
        self.assertEqual(self.flying_for("huge"), 6)
        self.assertEqual(len(self.pool.fetches), before)
        self.turn()
        self.assertGreaterEqual(self.flying_for("huge"), 7)

    def test_awaited_before_abandoned(self) -> None:
        """Whoever waits for a file does not wait for those that nobody wants any more."""
        self.limits = {"most": 2, "per_host": 64}
        self.setUp()
        for name in "abcd":
            self.begin_file(name)
        self.assertEqual([self.flying_for(name) > 0 for name in "abcd"], [True, True, False, False])
        for name in "abcd":
            self.readers[name].close()
        self.begin_file("e")
        self.assertEqual(self.flying_for("e"), 7)

    def test_failure_frees_the_place(self) -> None:
        """The next one begins when the first one fails."""
        self.begin_file("a")
        self.begin_file("b")
        self.pool.flying[0].end(Reason.DISK)
        self.clock.advance(0)
        self.assertEqual((self.flying_for("a"), self.flying_for("b")), (0, 7))

    def test_no_timer_without_need(self) -> None:
        """Nobody turns when nobody waits."""
        self.begin_file("a")
        timers = len(self.clock.getDelayedCalls())
        self.begin_file("b")
        self.assertEqual(len(self.clock.getDelayedCalls()), timers + 2)


class HostsTests(SharingCase):
    limits = {"most": 10, "per_host": 12}

    def test_shared(self) -> None:
        """The connections to a host are shared, and never exceeded; another host has its own."""
        self.begin_file("a", concurrency=20)
        self.assertEqual(self.flying_for("a"), 11)
        self.begin_file("b", concurrency=20)
        self.begin_file("c", "other.test", concurrency=20)
        self.assertEqual((self.flying_for("b"), self.flying_for("c")), (0, 11))
        for _ in range(5):
            self.flying("a")[0].bring(CONTENT)
            self.clock.advance(0)
        self.assertEqual((self.flying_for("a"), self.flying_for("b")), (6, 4))

    def test_streams_come_first(self) -> None:
        """A request that waits for a connection has the next one that becomes free."""
        self.begin_file("a", concurrency=20)
        waiting = Deferred.fromCoroutine(self.ledger.admit("files.test", 30))
        self.clock.advance(0)
        self.assertNoResult(waiting)
        self.flying("a")[0].bring(CONTENT)
        self.clock.advance(0)
        permit = self.successResultOf(waiting)
        self.assertEqual((self.flying_for("a"), self.ledger.connections("files.test")), (10, 12))
        permit.release()
        self.clock.advance(0)
        self.assertEqual(self.flying_for("a"), 11)

    def test_abandoned_streams_end(self) -> None:
        """A stream that nobody reads any more gives its connection to a request that waits."""
        rule = self.rule(strategy=Strategy.PROXY)
        left, read = whole(CONTENT), whole(CONTENT)
        for response, name in ((left, "left"), (read, "read")):
            response.url = f"http://files.test/{name}"
            arriving = self.begin(response, self.wanted(rule=rule, url=response.url))
            self.readers[name] = arriving.body.reader(0, None)
        self.readers["left"].close()
        self.clock.advance(LEFT_FOR)
        self.assertFalse(left.aborted)
        for _ in range(12):
            self.ledger.count("files.test")
        waiting = Deferred.fromCoroutine(self.ledger.admit("files.test", 30))
        self.clock.advance(0)
        self.assertNoResult(waiting)
        self.assertEqual((left.aborted, read.aborted), (True, False))

    def test_young_streams_end_later(self) -> None:
        """A stream whose first reader may be on the way still ends once that is not likely."""
        rule = self.rule(strategy=Strategy.PROXY)
        left = whole(CONTENT)
        left.url = "http://files.test/left"
        self.begin(left, self.wanted(rule=rule, url=left.url))
        for _ in range(12):
            self.ledger.count("files.test")
        waiting = Deferred.fromCoroutine(self.ledger.admit("files.test", 30))
        self.assertFalse(left.aborted)
        self.clock.pump([LEFT_FOR, 0])
        self.assertTrue(left.aborted)
        self.assertNoResult(waiting)

    def test_pieces_give_way(self) -> None:
        """What nobody waits for ends its connections for what somebody does, and goes on later."""
        self.begin_file("left", concurrency=20)
        self.assertEqual(self.flying_for("left"), 11)
        self.readers["left"].close()
        self.begin_file("read", concurrency=20, client="192.0.2.7")
        self.clock.pump([0] * 3)
        self.assertEqual((self.flying_for("left"), self.flying_for("read")), (0, 11))
        self.readers["read"].close()
        self.clock.pump([0] * 3)
        while self.flying_for("read"):
            self.flying("read")[0].bring(CONTENT)
            self.clock.advance(0)
        self.assertGreater(self.flying_for("left"), 0)

    def test_place_at_a_host(self) -> None:
        """As many abandoned files as a host bears connections keep no other from having one."""
        for n in range(12):
            self.begin_file(f"{n}")
        for n in range(12):
            self.readers[f"{n}"].close()
        self.begin_file("read", concurrency=20, client="192.0.2.7")
        self.clock.pump([0] * 3)
        self.assertGreater(self.flying_for("read"), 0)

    def test_first_pieces_give_way(self) -> None:
        """A request finds a connection where all are at the first pieces of abandoned files."""
        for n in range(12):
            self.begin_file(f"{n}")
        for n in range(12):
            self.readers[f"{n}"].close()
        waiting = Deferred.fromCoroutine(self.ledger.admit("files.test", 30, lambda: ("a",)))
        self.clock.pump([0] * 4)
        self.successResultOf(waiting)
        self.assertLessEqual(self.ledger.connections("files.test"), 12)

    def test_abandoned_requests_wait(self) -> None:
        """A request that nobody waits for begins when no awaited download lacks a connection."""
        for name in "ab":
            self.begin_file(name, concurrency=20)
        waiting = Deferred.fromCoroutine(self.ledger.admit("files.test", 300, lambda: ()))
        for _ in range(3):
            self.flying("a")[0].bring(CONTENT)
            self.clock.advance(0)
        self.assertNoResult(waiting)
        for name in "ab":
            while self.flying_for(name):
                self.flying(name)[0].bring(CONTENT)
                self.clock.advance(0)
        self.clock.pump([0] * 2)
        self.successResultOf(waiting)

    def test_clients_are_equal(self) -> None:
        """A client with one file gets as much as one with three, as connections become free."""
        for name in "abc":
            self.begin_file(name, concurrency=20)
        self.begin_file("d", concurrency=20, client="192.0.2.7")
        for _ in range(20):
            next(f for f in self.pool.flying if not f.task.url.endswith("d")).bring(CONTENT)
            self.clock.advance(0)
        self.assertGreaterEqual(self.flying_for("d"), 4)

    def test_those_that_begin_together(self) -> None:
        """What is free goes to the largest of those that come together, not to the first one."""
        starting = [self.ledger.count("files.test") for _ in range(4)]
        self.begin_file("first", concurrency=20, content=CONTENT[: 8 * MB])
        self.assertEqual(self.flying_for("first"), 0)
        starting.pop().release()
        self.clock.advance(AMONG_MANY / 2)
        self.begin_file("largest", concurrency=20)
        self.clock.advance(AMONG_MANY / 2)
        self.assertEqual((self.flying_for("first"), self.flying_for("largest")), (0, 0))
        self.clock.advance(AMONG_MANY / 2)
        self.assertEqual(self.flying_for("first"), 0)
        self.assertGreaterEqual(self.flying_for("largest"), 7)

    def test_one_that_never_answers(self) -> None:
        """A download waits for the first answers of others for a moment alone."""
        self.ledger.count("files.test")
        self.begin_file("a", concurrency=20)
        self.assertEqual(self.flying_for("a"), 0)
        self.clock.advance(AMONG_MANY)
        self.assertEqual(self.flying_for("a"), 10)
        self.begin_file("b", concurrency=20)
        self.downloads.stop()
        self.clock.advance(0)
        self.assertNotIn("Sharing._ripe", "".join(map(str, self.clock.getDelayedCalls())))

    def test_first_requests_are_connections(self) -> None:
        """A file that is at its first piece has its connection: none is kept free beside that."""
        for number in range(10):
            self.begin_file(f"f{number}", concurrency=1)
        waiting = Deferred.fromCoroutine(self.ledger.admit("files.test", 30))
        self.clock.advance(0)
        self.successResultOf(waiting)

    def test_first_requests_leave_a_part(self) -> None:
        """However many files are asked for, one that has begun has a third as others end."""
        asked = [self.ledger.count("files.test") for _ in range(11)]
        self.begin_file("largest", concurrency=20)
        waiting = [
            Deferred.fromCoroutine(self.ledger.admit("files.test", 30, lambda: ("a",)))
            for _ in range(20)
        ]
        self.clock.advance(AMONG_MANY)
        for permit in asked:
            permit.release()
            self.clock.advance(0)
        self.assertEqual(self.flying_for("largest"), 12 // PART_KEPT)
        self.assertEqual(sum(each.called for each in waiting), 7)

    def test_once_a_turn(self) -> None:
        """However many come and go in one turn of the reactor, it is shared out once."""
        self.begin_file("a", concurrency=20)
        hosts: list[str] = []
        sharing = self.downloads.sharing
        share_out = sharing.share_out

        def counted(host: str) -> None:
            hosts.append(host)
            share_out(host)

        self.patch(sharing, "share_out", counted)
        for name in "bcd":
            self.downloads.fetch(self.wanted(url=f"http://files.test/{name}"))
            answer = self.probe(CONTENT)
            answer.url = f"http://files.test/{name}"
            self.upstream.answer(answer, settle=False)
        self.clock.advance(0)
        self.assertEqual(hosts, ["files.test"])

    def test_no_more_than_that(self) -> None:
        """Never more downloads than connections."""
        self.limits = {"most": 100, "per_host": 2}
        self.setUp()
        for number in range(5):
            self.begin_file(f"f{number}")
        tasks = [f.task.url for f in self.pool.flying]
        self.assertLessEqual(len(tasks), 2)

    def test_small_files(self) -> None:
        """A file below min_size has one connection."""
        self.begin_file("a", min_size=100 * MB)
        self.assertEqual(len(self.pool.fetches), 0)


class RateTests(SharingCase):
    settings = {"rate_limit": 8_000_000}

    def test_shares(self) -> None:
        """Limits of the rule and of all are shared by downloads, and by their connections."""
        self.begin_file("a", concurrency=4, name="slow", rate_limit=2_000_000)
        self.assertEqual(self.rates(), {500_000})
        self.begin_file("b", concurrency=4)
        self.assertEqual(self.rates(), {500_000, 1_000_000})

    def test_plain_streams_count(self) -> None:
        """A plain stream takes its share, too."""
        rule = self.rule(strategy=Strategy.PROXY)
        response = whole(CONTENT)
        self.begin(response, self.wanted(rule=rule, url="http://files.test/p"))
        self.begin_file("a", concurrency=4)
        self.assertEqual(self.rates(), {1_000_000})
        response.flow(CONTENT[: 4 * MB])
        self.assertTrue(response.paused)

    def test_never_unlimited(self) -> None:
        """However small a share is, it is not the 0 that means no limit."""
        self.assertEqual([shared(5, 10), shared(0, 3), shared(7, 0)], [1, 0, 7])
        self.assertIsInstance(self.rule(), Rule)
