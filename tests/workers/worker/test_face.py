from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import FetchTask, Reason
from aimirror.http.headers import Headers
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import Link
from aimirror.workers.wire.tasks import pack_task, unpack_result
from aimirror.workers.worker.face import Face
from tests.workers.worker.fakes import FakeAgents, partial


class FakeHasher:
    def __init__(self):
        self.asked = []
        self.forgotten = []
        self.answer = Deferred()

    async def digests(self, task):
        self.asked.append(task)
        return await self.answer

    def forget(self, key):
        self.forgotten.append(key)


class Parent(Link):
    def __init__(self):
        super().__init__(lambda: None)
        self.spans = []

    @commands.Wrote.responder
    def wrote(self, spans):
        self.spans.extend(spans)
        return {}


class FaceTests(SynchronousTestCase):
    def setUp(self):
        self.agents, self.hasher, self.left = FakeAgents(), FakeHasher(), []
        self.face = Face(Clock(), self.agents, self.hasher, lambda: self.left.append(1))
        self.parent = Parent()
        ends = [iosim.FakeTransport(p, isServer=False) for p in (self.parent, self.face)]
        self.pump = iosim.connect(self.parent, ends[0], self.face, ends[1])
        path = self.mktemp()
        with open(path, "wb") as file:
            file.truncate(100)
        self.task = FetchTask(7, "http://h/f", Headers(), 10, 20, 100, path)

    def fetch(self):
        asked = self.parent.ask(commands.Fetch, task=pack_task(self.task))
        self.pump.flush()
        return asked

    def tell(self, command, **fields):
        self.parent.tell(command, **fields)
        self.pump.flush()

    def result(self, asked):
        self.pump.flush()
        return unpack_result(self.successResultOf(asked)["result"])

    def test_fetch(self):
        """A fetch reports what it wrote before its result."""
        asked = self.fetch()
        reply = self.agents.answer(partial(10, 20, 100))
        reply.flow(bytes(10))
        self.pump.flush()
        self.assertEqual(self.parent.spans, [(7, 10, 20)])
        self.assertNoResult(asked)
        reply.end()
        result = self.result(asked)
        self.assertEqual((result.reason, result.stop), (Reason.DONE, 20))

    def test_trim_and_cancel(self):
        """Trim and cancel reach the fetch that they name and no other."""
        asked = self.fetch()
        reply = self.agents.answer(partial(10, 20, 100))
        self.tell(commands.Cancel, id=8)
        self.tell(commands.Trim, id=8, stop=10)
        self.tell(commands.Trim, id=7, stop=15)
        reply.flow(bytes(3))
        self.assertNoResult(asked)
        self.tell(commands.Cancel, id=7)
        result = self.result(asked)
        self.assertEqual((result.reason, result.stop), (Reason.CANCELLED, 13))
        self.tell(commands.Cancel, id=7)

    def test_unreadable_task(self):
        """A task that can't be read fails alone."""
        failures = []
        self.parent.ask(commands.Fetch, task=b"[]").addErrback(failures.append)
        self.pump.flush()
        self.assertEqual([failure.type for failure in failures], [commands.Failed])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertNoResult(self.fetch())

    def test_hash(self):
        """Digests come back in the order of the algorithms that were asked for."""
        fields = {"key": "\u20ac", "path": b"/a\xff", "algorithms": [b"md5", b"sha1"], "stop": 5}
        asked = self.parent.ask(commands.Hash, **fields)
        self.pump.flush()
        (task,) = self.hasher.asked
        self.assertEqual((task.key, task.path, task.stop), ("\u20ac", "/a\udcff", 5))
        self.hasher.answer.callback({"sha1": "1", "md5": "5"})
        self.pump.flush()
        self.assertEqual(self.successResultOf(asked), {"digests": [b"5", b"1"]})
        self.tell(commands.Forget, key="\u20ac")
        self.assertEqual(self.hasher.forgotten, ["\u20ac"])

    def test_hash_fails(self):
        """An error of the disk keeps its number."""
        failures = []
        fields = {"key": "k", "path": b"/a", "algorithms": [b"md5"], "stop": 5}
        self.parent.ask(commands.Hash, **fields).addErrback(failures.append)
        self.pump.flush()
        self.hasher.answer.errback(OSError(5, "Input/output error"))
        self.pump.flush()
        self.assertEqual(failures[0].value.error().errno, 5)

    def test_ping(self):
        """A worker that is there says so."""
        asked = self.parent.ask(commands.Ping)
        self.pump.flush()
        self.assertEqual(self.successResultOf(asked), {})

    def test_stop(self):
        """Told to stop, it cancels its fetches, still answers them, and leaves."""
        asked = self.fetch()
        self.parent.tell(commands.Stop)
        result = self.result(asked)
        self.assertEqual((result.reason, result.stop), (Reason.CANCELLED, 10))
        self.assertEqual(self.left, [1])

    def test_parent_is_gone(self):
        """Without its parent a worker drops its connections and leaves."""
        self.fetch().addErrback(lambda _: None)
        reply = self.agents.answer(partial(10, 20, 100))
        self.parent.transport.loseConnection()
        self.pump.flush()
        self.assertTrue(reply.aborted)
        self.assertEqual(self.left, [1])
