"""The count of connections to each host."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.interfaces import UpstreamError
from aimirror.upstream import host
from aimirror.upstream.bearing import REGAIN_EVERY, REMEMBERED
from aimirror.upstream.host import Permit
from aimirror.upstream.hosts import UNLIMITED, Hosts

HOST = "files.test"


class HostsCase(SynchronousTestCase):
    limit = 4

    def setUp(self) -> None:
        self.clock = Clock()
        self.hosts = Hosts(self.clock, self.limit)

    def ask(self, host: str = HOST) -> Deferred[Permit]:
        return Deferred.fromCoroutine(self.hosts.admit(host, 30.0))

    def had(self, host: str = HOST) -> Permit:
        return self.successResultOf(self.ask(host))

    def settle(self) -> None:
        self.clock.advance(0)


class QueueTests(HostsCase):
    """Requests wait for their turn."""

    def test_limit_and_order(self) -> None:
        """The fifth and sixth wait, and come in order; another host is another matter."""
        held = [self.had() for _ in range(4)]
        fifth, sixth = self.ask(), self.ask()
        self.had("other.test")
        self.assertNoResult(fifth)
        held[2].release()
        held[2].release()
        self.settle()
        self.successResultOf(fifth)
        self.assertNoResult(sixth)
        self.assertEqual(self.hosts.connections(HOST), 4)

    def test_others_first(self) -> None:
        """A client with one request does not wait for all of another's, nor for what was left."""
        held = [self.had_by("many") for _ in range(4)]
        queue = {name: [self.ask_by(name) for _ in range(3)] for name in ("", "many")}
        one = self.ask_by("one")
        self.assertEqual(self.hosts.queued(HOST), 4)
        held[0].release()
        self.settle()
        self.successResultOf(one)
        held[1].release()
        self.settle()
        self.successResultOf(queue["many"][0])
        self.assertNoResult(queue[""][0])

    def ask_by(self, name: str) -> Deferred[Permit]:
        clients = {name} - {""}
        return Deferred.fromCoroutine(self.hosts.admit(HOST, 30.0, lambda: clients))

    def had_by(self, name: str) -> Permit:
        return self.successResultOf(self.ask_by(name))

    def test_full(self) -> None:
        """A flood is refused by itself."""
        self.patch(host, "MOST_WAITING", 3)
        for _ in range(4):
            self.had_by("many")
        flood = [self.ask_by("many") for _ in range(3)]
        one = self.ask_by("one")
        self.failureResultOf(flood[-1], UpstreamError)
        self.assertNoResult(one)

    def test_cancelled(self) -> None:
        """Who leaves the queue takes nobody's place."""
        held = [self.had() for _ in range(4)]
        fifth, sixth = self.ask(), self.ask()
        fifth.addErrback(lambda _: None)
        fifth.cancel()
        held[0].release()
        self.settle()
        self.successResultOf(sixth)

    def test_patience(self) -> None:
        """Nobody waits for ever."""
        for _ in range(4):
            self.had()
        late = self.ask()
        self.clock.advance(30)
        self.failureResultOf(late, UpstreamError)
        self.assertEqual(self.hosts.connections(HOST), 4)

    def test_downloads_are_not_starved(self) -> None:
        """However many requests wait, downloads may have what these leave to them."""
        for _ in range(3):
            self.had()
        self.assertEqual(self.hosts.for_downloads(HOST, 2), 1)
        waiting = [self.ask() for _ in range(5)]
        self.assertEqual(self.hosts.for_downloads(HOST, 2), 1)
        self.assertNoResult(waiting[0])

    def test_a_third_for_requests(self) -> None:
        """However many downloads there are, a third of the connections is for first requests."""
        self.hosts.limit = 60
        for _ in range(60):
            self.hosts.take(HOST)
        for _ in range(30):
            self.ask().addErrback(lambda _: None)
        self.assertEqual(self.hosts.for_downloads(HOST, 50), 40)
        self.assertEqual(self.hosts.for_downloads(HOST, 35), 35)

    def test_waiting_requests_take_from_downloads(self) -> None:
        """Downloads leave to requests what becomes free, down to what these need."""
        pieces = [self.hosts.take(HOST) for _ in range(4)]
        self.assertEqual(self.hosts.for_downloads(HOST, 1), 4)
        changed: list[str] = []
        self.hosts.changed = changed.append
        first = self.ask()
        self.assertEqual(self.hosts.for_downloads(HOST, 1), 3)
        self.settle()
        self.assertEqual(changed, [HOST])
        pieces[0].release()
        self.settle()
        self.successResultOf(first)

    @given(st.lists(st.sampled_from(["ask", "piece", "end", "end piece", "settle"]), max_size=60))
    def test_never_more(self, steps: list[str]) -> None:
        """Whatever comes and goes, no more are at work than the limit, and none waits in vain."""
        self.setUp()
        asked: list[Deferred[Permit]] = []
        pieces: list[Permit] = []
        for step in steps:
            running = [d.result for d in asked if d.called]
            if step == "ask":
                asked.append(self.ask())
            elif step == "piece" and self.hosts.for_downloads(HOST, 1) > len(pieces):
                pieces.append(self.hosts.take(HOST))
            elif step == "end" and running:
                running[0].release()
                asked = [d for d in asked if not (d.called and d.result is running[0])]
            elif step == "end piece" and pieces:
                pieces.pop().release()
            else:
                self.settle()
            self.assertLessEqual(self.hosts.connections(HOST), self.limit)
        self.settle()
        if not pieces and any(not d.called for d in asked):
            self.assertGreaterEqual(self.hosts.connections(HOST), self.limit - 1)


class IdleTests(HostsCase):
    """Idle connections count."""

    def test_closed_for_a_new_one(self) -> None:
        """A new connection is opened once an idle one elsewhere is gone, the oldest first."""
        gone: list[str] = []

        def close(name: str) -> Deferred[None]:
            gone.append(name)
            return succeed(None)

        for name in ("old", "new"):
            self.hosts.keep(HOST, lambda name=name: close(name))
        for _ in range(3):
            self.had()
        self.assertEqual(self.hosts.connections(HOST), 5)
        self.successResultOf(Deferred.fromCoroutine(self.hosts.make_room(HOST)))
        self.assertEqual((gone, self.hosts.connections(HOST)), (["old"], 4))

    def test_counted_until_it_is_gone(self) -> None:
        """One that is being closed counts, though who wanted its place has left."""
        gone: Deferred[None] = Deferred()
        self.hosts.keep(HOST, lambda: gone)
        *_, last = [self.had() for _ in range(4)]
        left = Deferred.fromCoroutine(self.hosts.make_room(HOST))
        left.addErrback(lambda _: None)
        left.cancel()
        last.release()
        self.had()
        other = Deferred.fromCoroutine(self.hosts.make_room(HOST))
        self.settle()
        self.assertNoResult(other)
        gone.callback(None)
        self.successResultOf(other)

    def test_used_again(self) -> None:
        """What is used again is idle no more."""
        spare = self.hosts.keep(HOST, lambda: self.fail("closed"))
        spare.drop()
        spare.drop()
        self.assertEqual(self.hosts.connections(HOST), 0)


class BearingTests(HostsCase):
    """What a host bears is learned, for a while."""

    limit = 20

    def working(self, count: int) -> list[Permit]:
        held = [self.had() for _ in range(count)]
        for permit in held:
            permit.works()
        return held

    def test_refused(self) -> None:
        """Refusals beside four say four; it is remembered when all are gone, then tried again."""
        held = self.working(4)
        self.hosts.refused(HOST)
        self.assertFalse(self.hosts.limited(HOST))
        self.hosts.refused(HOST)
        for permit in held:
            permit.release()
        self.assertEqual((self.hosts.most(HOST), self.hosts.working(HOST)), (4, 0))
        self.clock.advance(REGAIN_EVERY)
        self.assertEqual(self.hosts.most(HOST), 5)
        self.clock.advance(REMEMBERED)
        self.assertFalse(self.hosts.limited(HOST))

    def test_accidents(self) -> None:
        """A refusal now and then, or by a host at which nothing works, teaches nothing."""
        for _ in range(10):
            self.hosts.refused(HOST)
        for _ in range(5):
            self.working(1)
            self.hosts.refused(HOST)
        self.assertFalse(self.hosts.limited(HOST))

    def test_at_least_one(self) -> None:
        """However often it refuses, one connection may be tried."""
        self.working(1)
        for _ in range(30):
            self.hosts.refused(HOST)
        self.assertEqual(self.hosts.most(HOST), 1)

    def test_freed(self) -> None:
        """Who was turned away is told when one has ended, or after a while."""
        (permit,) = self.working(1)
        first, late = self.hosts.freed(HOST, 5), self.hosts.freed(HOST, 5)
        permit.release()
        self.settle()
        self.successResultOf(first)
        self.successResultOf(late)
        late = self.hosts.freed(HOST, 5)
        self.clock.advance(5)
        self.successResultOf(late)


class SilentTests(HostsCase):
    """Hosts that leave unanswered what they do not bear."""

    limit = 20

    def hang(self, count: int) -> list[Permit]:
        """Connections that are asked again when they are given up."""
        held = [self.had() for _ in range(count)]
        for permit in held:
            permit.pending.give_up = permit.release
        return held

    def test_asked_again(self) -> None:
        """Those that hang end, and come back in turn; the others know before."""
        self.had().works()
        changed: list[int] = []
        self.hosts.changed = lambda host: changed.append(self.hosts.most(host))
        self.hang(3)
        self.clock.pump([0.1] * 50)
        self.assertEqual((self.hosts.connections(HOST), self.hosts.most(HOST)), (1, 1))
        self.assertEqual(changed[0], 1)
        waiting = self.ask()
        self.clock.advance(5)
        self.assertNoResult(waiting)

    def test_pieces(self) -> None:
        """It is the same for pieces; idle connections count as accepted."""
        self.hosts.keep(HOST, lambda: succeed(None))
        self.hosts.keep(HOST, lambda: succeed(None))
        pieces = [self.hosts.take(HOST) for _ in range(3)]
        for piece in pieces:
            piece.pending.give_up = piece.release
        self.clock.pump([0.1] * 50)
        self.assertEqual((self.hosts.connections(HOST), self.hosts.most(HOST)), (2, 2))

    def test_slow(self) -> None:
        """A slow one has all its connections again."""
        (first,) = self.hang(1)
        first.works()
        self.hang(2)
        self.clock.pump([0.1] * 50)
        self.assertTrue(self.hosts.limited(HOST))
        first.release()
        again = self.had()
        again.pending.turns = 1
        self.clock.pump([0.1] * 50)
        self.assertFalse(self.hosts.limited(HOST))

    def test_accepted(self) -> None:
        """What was accepted, and whatever is refused by a status, is not silent."""
        self.had().works()
        for permit in self.hang(2):
            permit.reuses()
        for permit in self.hang(2):
            permit.answered()
        self.clock.pump([0.1] * 50)
        self.assertFalse(self.hosts.limited(HOST))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_limit(self) -> None:
        """Where there is no limit, as in workers, nothing is looked at."""
        self.hosts = Hosts(self.clock, UNLIMITED)
        self.hang(2)
        self.assertEqual(self.clock.getDelayedCalls(), [])
