import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import FetchTask, HashTask, Reason
from aimirror.http.headers import Headers
from aimirror.workers.pool.fetch import PoolFetch
from aimirror.workers.pool.process import (
    ASK_PATIENCE,
    LOOK_EVERY,
    PING_EVERY,
    PING_PATIENCE,
    TERM_PATIENCE,
    WELL_AFTER,
    Recipe,
    State,
)
from aimirror.workers.pool.slot import Slot
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import WORKER_FD
from tests.workers.pool.fakes import FakeReactor

TASK = FetchTask(7, "http://h/f", Headers(), 10, 20, 100, "p")
SOON = 1.0


def open_descriptors():
    return len(list(Path("/dev/fd").iterdir()))


class Crew:
    def __init__(self):
        self.events = []

    def vacant(self):
        self.events.append("vacant")

    def down(self, slot):
        self.events.append(("down", slot.state))


class SlotTests(SynchronousTestCase):
    def setUp(self):
        self.reactor, self.crew = FakeReactor(), Crew()
        self.reap = lambda: None
        recipe = Recipe({"A": "b"}, ("python", "-m", "w"), lambda: self.reap())
        self.slot = Slot(self.reactor, 0, recipe, self.crew)

    @property
    def process(self):
        return self.reactor.processes[-1]

    @property
    def worker(self):
        return self.reactor.workers[-1]

    def up(self):
        self.slot.start()
        self.reactor.flush()
        self.assertIs(self.slot.state, State.READY)

    def fetch(self):
        fetch = PoolFetch(TASK, lambda start, stop: None)
        self.slot.fetch(fetch)
        self.reactor.flush()
        return fetch

    def test_spawn(self):
        """The process gets its environment, our stderr, one end of a socketpair and no more."""
        self.slot.start()
        self.assertEqual(self.process.arguments, ("python", "-m", "w"))
        self.assertEqual(self.process.env, {"A": "b"})
        self.assertEqual(set(self.process.childFDs), {0, 1, 2, WORKER_FD})
        self.assertEqual((self.process.childFDs[1], self.process.childFDs[2]), (2, 2))

    def test_no_descriptor_left(self):
        """What the child inherits is closed in the parent."""
        self.slot.start()
        for number in (0, WORKER_FD):
            self.assertRaises(OSError, os.fstat, self.process.childFDs[number])

    def test_ready_on_answer(self):
        """A process that runs is not yet a worker that answers."""
        self.slot.start()
        self.assertIs(self.slot.state, State.STARTING)
        self.reactor.flush()
        self.assertIs(self.slot.state, State.READY)
        self.assertEqual(self.crew.events, ["vacant"])
        self.assertEqual(self.slot.pid, self.process.pid)

    def test_wrote(self):
        """Progress reaches the fetch that it names; unknown ones are left alone."""
        self.up()
        fetch = self.fetch()
        self.worker.tell(commands.Wrote, spans=[(8, 10, 15), (7, 10, 12), (7, 12, 14)])
        self.reactor.flush()
        self.assertEqual(fetch.position, 14)

    def test_fetch_ends(self):
        """A fetch that ended makes room."""
        self.up()
        self.fetch()
        self.assertEqual(self.slot.load, 1)
        self.worker.finish(7, 10, Reason.SHORT)
        self.reactor.flush()
        self.assertEqual(self.slot.load, 0)
        self.assertEqual(self.crew.events, ["vacant", "vacant"])

    def test_death(self):
        """On any exit, a clean one too, it leaves the pool first, then its tasks fail."""
        self.up()
        fetch = self.fetch()
        seen = []
        fetch.result.addCallback(lambda result: seen.append((result.reason, self.slot.state)))
        self.process.exit(0)
        self.assertEqual(seen, [(Reason.WORKER_LOST, State.WAITING)])
        self.assertEqual(self.crew.events[1], ("down", State.WAITING))
        self.reactor.flush()
        self.assertEqual(self.slot.load, 0)

    def test_restart(self):
        """A dead worker is replaced."""
        self.up()
        self.process.exit(9)
        self.reactor.advance(SOON)
        self.reactor.flush()
        self.assertIs(self.slot.state, State.READY)
        self.assertEqual((self.slot.restarts, len(self.reactor.processes)), (1, 2))

    def test_back_off(self):
        """Early deaths in a row are further and further apart; a long life makes up for them."""
        self.slot.start()
        waits = []
        for _ in range(12):
            self.process.exit(1)
            before, count = self.reactor.seconds(), len(self.reactor.processes)
            while len(self.reactor.processes) == count:
                self.reactor.advance(0.0625)
            waits.append(self.reactor.seconds() - before)
        self.assertEqual(waits, sorted(waits))
        self.assertGreater(waits[-1], 10)
        self.assertLess(waits[-1], 60)
        self.reactor.advance(WELL_AFTER)
        self.process.exit(1)
        self.reactor.advance(waits[0])
        self.assertEqual(len(self.reactor.processes), 14)

    def test_cannot_spawn(self):
        """A process that can't be started is tried again, without leaking descriptors."""
        before = open_descriptors()
        self.reactor.broken = True
        self.slot.start()
        self.assertIs(self.slot.state, State.WAITING)
        self.assertEqual(open_descriptors(), before)
        self.reactor.broken = False
        self.reactor.advance(SOON)
        self.reactor.flush()
        self.assertIs(self.slot.state, State.READY)

    def test_stale_life(self):
        """What is left of a former life does not disturb the present one."""
        self.slot.start()
        self.process.exit(1)
        self.reactor.advance(SOON)
        self.reactor.pumps[0].flush()
        self.assertIs(self.slot.state, State.STARTING)

    def test_link_lost(self):
        """A worker without its link is out before its tasks fail, and is made to leave."""
        self.up()
        fetch = self.fetch()
        seen = []
        fetch.result.addCallback(lambda result: seen.append((result.reason, self.slot.ready)))
        self.worker.transport.loseConnection()
        self.reactor.flush()
        self.assertIs(self.slot.state, State.LEAVING)
        self.assertEqual(seen, [(Reason.WORKER_LOST, False)])
        self.reactor.advance(ASK_PATIENCE)
        self.reactor.advance(TERM_PATIENCE)
        self.assertEqual(self.process.signals, ["TERM", "KILL"])
        self.process.exit(9)
        self.assertIs(self.slot.state, State.WAITING)

    def test_hang(self):
        """A worker that does not answer any more is killed."""
        self.up()
        self.worker.deaf = True
        self.reactor.advance(PING_EVERY)
        self.reactor.flush()
        self.reactor.advance(PING_PATIENCE - 1)
        self.assertEqual(self.process.signals, [])
        self.reactor.advance(1)
        self.assertEqual(self.process.signals, ["KILL"])

    def test_well(self):
        """A worker that answers lives on."""
        self.up()
        for _ in range(100):
            self.reactor.advance(PING_EVERY / 2)
            self.reactor.flush()
        self.assertEqual(self.process.signals, [])
        self.assertEqual(len(self.reactor.processes), 1)

    def test_stop(self):
        """Asked to stop, it waits for the process, without a signal if that leaves."""
        self.up()
        stopped = self.slot.stop()
        self.reactor.flush()
        self.assertEqual(self.worker.heard, [("stop",)])
        self.assertNoResult(stopped)
        self.process.exit(0)
        self.successResultOf(stopped)
        self.assertEqual((self.slot.state, self.process.signals), (State.IDLE, []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop_by_force(self):
        """A worker that does not leave gets TERM, then KILL."""
        self.up()
        stopped, again = self.slot.stop(), self.slot.stop()
        self.reactor.advance(ASK_PATIENCE)
        self.assertEqual(self.process.signals, ["TERM"])
        self.reactor.advance(TERM_PATIENCE)
        self.assertEqual(self.process.signals, ["TERM", "KILL"])
        self.assertNoResult(stopped)
        self.process.exit(9)
        self.successResultOf(stopped)
        self.successResultOf(again)

    def test_end_not_told(self):
        """The end of a killed worker is noticed though no signal told of it."""
        self.up()
        stopped = self.slot.stop()
        self.reactor.advance(ASK_PATIENCE)
        self.reactor.advance(TERM_PATIENCE)
        self.reactor.advance(LOOK_EVERY)
        self.assertNoResult(stopped)
        self.reap = lambda: self.process.exit(9)
        self.reactor.advance(LOOK_EVERY)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop_while_waiting(self):
        """Stopped in the back-off there is no process to wait for, and none comes."""
        self.slot.start()
        self.process.exit(1)
        self.successResultOf(self.slot.stop())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop_answers_tasks(self):
        """When it is stopped, all its fetches have results."""
        self.up()
        fetch = self.fetch()
        stopped = self.slot.stop()
        self.process.exit(9)
        self.successResultOf(stopped)
        self.assertIs(self.successResultOf(fetch.result).reason, Reason.WORKER_LOST)

    def test_hash(self):
        """A hash task counts as load and comes back by algorithm."""
        self.up()
        task = HashTask("k", "p", ("md5", "sha1"), 5)
        asked = Deferred.fromCoroutine(self.slot.hash(task))
        self.reactor.flush()
        self.assertEqual(self.slot.load, 1)
        self.worker.hashes[0][2].callback({"digests": [b"5", b"1"]})
        self.reactor.flush()
        self.assertEqual(self.successResultOf(asked), {"md5": "5", "sha1": "1"})
        self.assertEqual(self.slot.load, 0)
