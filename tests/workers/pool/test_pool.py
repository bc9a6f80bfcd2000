import os
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import aimirror
from aimirror.download.tasks import FetchTask, HashTask, Reason, SendResult, SendTask
from aimirror.http.headers import Headers
from aimirror.interfaces import IPool
from aimirror.upstream.hosts import Hosts
from aimirror.workers.pool import pool as module
from aimirror.workers.pool.pool import HASH_ATTEMPTS, Pool, worker_environment
from aimirror.workers.wire import commands
from tests.workers.pool.fakes import FakeReactor

TASK = FetchTask(0, "http://h/f", Headers(), 10, 20, 100, "p")
HASH = HashTask("k", "p", ("md5",), 5)
SOON = 1.0


class PoolTests(SynchronousTestCase):
    def setUp(self):
        self.reactor = FakeReactor()
        self.pool = Pool(self.reactor, 2, {"A": "b"}, window=2)

    def up(self):
        self.pool.start()
        self.reactor.flush()

    def fetch(self, **fields):
        fetch = self.pool.fetch(evolve(TASK, **fields), lambda start, stop: None)
        self.reactor.flush()
        return fetch

    def hash(self, key="k", stop=5):
        asked = self.pool.hash(evolve(HASH, key=key, stop=stop))
        self.reactor.flush()
        return asked

    def loads(self):
        return [status.fetches for status in self.pool.states()]

    def finish_all(self):
        for worker in self.reactor.workers:
            for number in list(worker.tasks):
                worker.finish(number, 10, Reason.SHORT)
        self.reactor.flush()

    def kill(self, index):
        self.reactor.processes[index].exit(9)
        self.reactor.flush()

    def test_interface(self):
        """It is what the interface promises."""
        verifyObject(IPool, self.pool)

    def test_constructor_does_nothing(self):
        """Processes are spawned by start, not before twistd has daemonised."""
        self.assertEqual(self.reactor.processes, [])
        self.pool.start()
        self.assertEqual(len(self.reactor.processes), 2)

    def test_least_loaded(self):
        """Fetches spread evenly over the workers."""
        self.up()
        for _ in range(3):
            self.fetch()
        self.assertEqual(sorted(self.loads()), [1, 2])

    def test_window(self):
        """Beyond the windows fetches wait, and are run in order."""
        self.up()
        fetches = [self.fetch(start=n) for n in range(10, 18)]
        self.assertEqual(self.loads(), [2, 2])
        self.assertEqual([f.waiting for f in fetches], [False] * 4 + [True] * 4)
        self.finish_all()
        self.assertEqual([f.waiting for f in fetches], [False] * 8)
        started = [t.start for w in self.reactor.workers for t, _ in w.tasks.values()]
        self.assertEqual(sorted(started), [14, 15, 16, 17])

    def test_own_numbers(self):
        """Tasks of different downloads may carry equal ids."""
        self.up()
        first, second = self.fetch(id=1), self.fetch(id=1)
        self.assertNotEqual(first.task.id, second.task.id)

    def test_waits_for_workers(self):
        """Fetches that come before the workers are up wait for them."""
        self.pool.start()
        fetch = self.pool.fetch(TASK, lambda start, stop: None)
        self.assertTrue(fetch.waiting)
        self.reactor.flush()
        self.assertFalse(fetch.waiting)

    def test_cancelled_while_waiting(self):
        """A fetch that was cancelled in the queue never reaches a worker."""
        self.pool.start()
        fetch = self.pool.fetch(TASK, lambda start, stop: None)
        fetch.cancel()
        self.reactor.flush()
        self.assertIs(self.successResultOf(fetch.result).reason, Reason.CANCELLED)
        self.assertEqual(self.loads(), [0, 0])

    def test_one_idle_connection_for_several(self):
        """Of several fetches at once one takes the idle connection; others have room made."""
        hosts = Hosts(self.reactor, 3)
        pool = self.pool = Pool(self.reactor, 2, {}, hosts=hosts)
        self.up()
        pool._idle.keep(pool._slots[0], "h")
        closing = []

        def close():
            closing.append(Deferred())
            return closing[-1]

        for _ in range(2):
            hosts.keep("h", close)
        fetches = []
        for _ in range(3):
            hosts.take("h")
            fetches.append(pool.fetch(TASK, lambda start, stop: None))
        self.assertEqual([fetch.waiting for fetch in fetches], [False, True, True])
        for each in closing:
            each.callback(None)
        self.reactor.flush()
        self.assertEqual([fetch.waiting for fetch in fetches], [False] * 3)
        self.assertEqual((len(closing), hosts.connections("h")), (2, 3))

    def test_cancelled_while_room_is_made(self):
        """A fetch that was cancelled before its host had room leaves nothing in its book."""
        hosts = Hosts(self.reactor, 1)
        pool = self.pool = Pool(self.reactor, 2, {}, hosts=hosts)
        self.up()
        for _ in range(2):
            hosts.take("h")
        fetch = pool.fetch(TASK, lambda start, stop: None)
        fetch.result.addCallback(lambda _: left.append(hosts._host("h").unopened))
        left = []
        fetch.cancel()
        self.assertEqual(left, [0])

    def test_sending_is_counted(self):
        """What is sent has its connections in the host's book: no more than it may have."""
        hosts = Hosts(self.reactor, 2)
        pool = self.pool = Pool(self.reactor, 2, {}, hosts=hosts)
        self.up()
        sent = []

        def send(task):
            sent.append(Deferred())
            return sent[-1]

        for slot in pool._slots:
            slot.send = send
        task = SendTask("http://h/f", Headers(), "p", 0, 5)
        results = [pool.send(task) for _ in range(3)]
        self.assertEqual(len(sent), 2)
        self.assertTrue(hosts.shared("h"))
        sent[0].callback(SendResult(200))
        self.reactor.advance(0)
        self.reactor.flush()
        self.assertEqual(len(sent), 3)
        for each in sent[1:]:
            each.callback(SendResult(0))
        self.assertEqual([self.successResultOf(r).status for r in results], [200, 0, 0])
        self.assertFalse(hosts.shared("h"))

    def test_death_is_told(self):
        """A fetch of a dead worker is not repeated silently; a new one goes elsewhere."""
        self.up()
        fetch = self.fetch()
        again = []
        fetch.result.addCallback(lambda result: again.append((result, self.fetch())))
        self.kill(0)
        ((result, second),) = again
        self.assertIs(result.reason, Reason.WORKER_LOST)
        self.assertIn(second.task.id, self.reactor.workers[1].tasks)

    def test_hopeless(self):
        """If no worker ever stays alive, nobody waits for ever."""
        pool = Pool(self.reactor, 1, {})
        pool.start()
        fetch = pool.fetch(TASK, lambda start, stop: None)
        hashed = pool.hash(HASH)
        for _ in range(module.STILLBORN):
            self.assertTrue(fetch.waiting)
            self.reactor.processes[-1].exit(1)
            self.reactor.pump([SOON] * 8)
        self.assertIs(self.successResultOf(fetch.result).reason, Reason.CONNECT)
        self.failureResultOf(hashed, OSError)

    def test_killed_again_and_again(self):
        """Workers that get up and are killed are soon replaced; what waits for one goes on."""
        pool = Pool(self.reactor, 1, {})
        pool.start()
        for _ in range(12):
            self.reactor.flush()
            fetch = pool.fetch(TASK, lambda start, stop: None)
            self.reactor.flush()
            self.assertFalse(fetch.waiting)
            self.reactor.processes[-1].exit(9)
            self.assertIs(self.successResultOf(fetch.result).reason, Reason.WORKER_LOST)
            self.reactor.advance(SOON)
        self.assertEqual(len(self.reactor.processes), 13)

    def test_deadly_fetch(self):
        """If workers die of what they do, nobody waits for ever either."""
        pool = Pool(self.reactor, 1, {}, window=1)
        pool.start()
        for deaths in range(module.HOPELESS):
            self.reactor.flush()
            running, waiting = (pool.fetch(TASK, print) for _ in range(2))
            self.reactor.processes[-1].exit(9)
            self.assertEqual(waiting.waiting, deaths + 1 < module.HOPELESS)
            waiting.cancel()
            self.reactor.advance(SOON)
        self.assertIs(self.successResultOf(running.result).reason, Reason.WORKER_LOST)
        self.assertIs(self.successResultOf(waiting.result).reason, Reason.CONNECT)

    def test_bounded_queue(self):
        """The queue is bounded; fetches that gave up make room."""
        self.patch(module, "MOST_WAITING", 2)
        self.pool.start()
        first, second = (self.pool.fetch(TASK, print) for _ in range(2))
        third = self.pool.fetch(TASK, print)
        self.assertIs(self.successResultOf(third.result).reason, Reason.CONNECT)
        first.cancel()
        self.assertTrue(self.pool.fetch(TASK, print).waiting)
        self.assertTrue(second.waiting)

    def test_not_running(self):
        """Before start and after stop a fetch ends as if the upstream could not be reached."""
        fetch = self.pool.fetch(TASK, print)
        self.assertIs(self.successResultOf(fetch.result).reason, Reason.CONNECT)
        self.failureResultOf(self.pool.hash(HASH), OSError)

    def test_stop(self):
        """Stopped, what waits is refused and every process is waited for."""
        self.up()
        fetches = [self.fetch() for _ in range(5)]
        stopped = self.pool.stop()
        self.assertIs(self.successResultOf(fetches[4].result).reason, Reason.CONNECT)
        self.kill(0)
        self.assertNoResult(stopped)
        self.kill(1)
        self.successResultOf(stopped)
        for fetch in fetches:
            self.successResultOf(fetch.result)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_sticky_hashing(self):
        """A key is hashed where its running state is."""
        self.up()
        self.fetch()
        self.hash()
        self.fetch()
        self.fetch()
        self.hash(stop=6)
        self.assertEqual([len(w.hashes) for w in self.reactor.workers], [0, 2])
        self.pool.forget("k")
        self.pool.forget("unknown")
        self.reactor.flush()
        self.assertEqual(self.reactor.workers[1].heard, [("forget", "k")])

    def test_hashing_survives_a_death(self):
        """A hash task is asked again of another worker."""
        self.up()
        asked = self.hash()
        self.kill(0)
        self.reactor.workers[1].hashes[0][2].callback({"digests": [b"5"]})
        self.reactor.flush()
        self.assertEqual(self.successResultOf(asked), {"md5": "5"})

    def test_hashing_waits_for_a_worker(self):
        """With all workers down it waits for the next one."""
        self.up()
        self.kill(0)
        self.kill(1)
        asked = self.hash()
        self.reactor.advance(SOON)
        self.reactor.flush()
        self.reactor.workers[-2].hashes[0][2].callback({"digests": [b"5"]})
        self.reactor.flush()
        self.assertEqual(self.successResultOf(asked), {"md5": "5"})

    def test_deadly_hashing(self):
        """A task that kills every worker is given up."""
        self.up()
        asked = self.hash()
        for _ in range(HASH_ATTEMPTS):
            busy = next(n for n, w in enumerate(self.reactor.workers) if w.hashes)
            self.reactor.workers[busy].hashes.clear()
            self.kill(busy)
            self.reactor.advance(SOON)
            self.reactor.flush()
        self.failureResultOf(asked, OSError)

    def test_hash_fails(self):
        """An error of the disk arrives as it was; one of the worker as an OSError, too."""
        self.up()
        asked = self.hash()
        worker = self.reactor.workers[0]
        worker.hashes[0][2].errback(commands.HashFailed("2 No such file or directory"))
        self.reactor.flush()
        self.assertEqual(self.failureResultOf(asked, OSError).value.errno, 2)
        asked = self.hash()
        worker.hashes[1][2].errback(KeyError("x"))
        self.reactor.flush()
        self.failureResultOf(asked, OSError)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_bounded_keys(self):
        """Of too many keys the one used least recently is forgotten."""
        self.patch(module, "MOST_KEYS", 2)
        self.setUp()
        self.up()
        for key in ("a", "b", "c"):
            self.hash(key)
        self.pool.forget("a")
        self.pool.forget("c")
        self.reactor.flush()
        heard = [word for worker in self.reactor.workers for word in worker.heard]
        self.assertEqual(heard, [("forget", "c")])

    def test_states(self):
        """A status page sees each worker."""
        self.up()
        self.fetch()
        self.kill(1)
        first, second = self.pool.states()
        self.assertEqual((first.pid, first.state, first.fetches), (100, "ready", 1))
        self.assertEqual((second.pid, second.state, second.restarts), (None, "waiting", 0))
        self.reactor.advance(SOON)
        self.assertEqual(self.pool.states()[1].restarts, 1)


class EnvironmentTests(SynchronousTestCase):
    def test_complete(self):
        """A worker inherits everything, and finds this very package."""
        home = str(Path(aimirror.__file__).parent.parent)
        made = worker_environment({"SSL_CERT_FILE": "/c", "PYTHONPATH": "/x"})
        self.assertEqual(made["SSL_CERT_FILE"], "/c")
        self.assertEqual(made["PYTHONPATH"].split(os.pathsep), [home, "/x"])
        for path in ("", ".", ":", "here:"):  # each would be the current folder
            made = worker_environment({"PYTHONPATH": path})
            self.assertEqual(made["PYTHONPATH"], home, path)
        self.assertEqual(worker_environment({})["PYTHONPATH"], home)
