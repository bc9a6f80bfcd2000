from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aimirror.download.tasks import FetchTask, Reason
from aimirror.http.headers import Headers
from aimirror.interfaces import IFetch
from aimirror.workers.pool.fetch import PoolFetch
from aimirror.workers.wire.link import Link
from tests.workers.pool.fakes import FakeWorker

TASK = FetchTask(7, "http://h/f", Headers(), 10, 20, 100, "p")


class Scene:
    """A fetch and a worker that could run it."""

    def __init__(self, task=TASK):
        self.reports = []
        self.fetch = PoolFetch(task, lambda start, stop: self.reports.append((start, stop)))
        self.results = []
        self.fetch.result.addCallback(self.results.append)
        self.link, self.worker = Link(lambda: None), FakeWorker()
        ends = [iosim.FakeTransport(p, isServer=False) for p in (self.link, self.worker)]
        self.pump = iosim.connect(self.link, ends[0], self.worker, ends[1])

    def run(self):
        over = self.fetch.run(self.link)
        self.pump.flush()
        return over

    def finish(self, stop, reason=Reason.DONE):
        self.worker.finish(7, stop, reason)
        self.pump.flush()

    @property
    def result(self):
        (result,) = self.results
        return result.reason, result.stop


class PoolFetchTests(SynchronousTestCase):
    def test_interface(self):
        """It is what the interface promises."""
        verifyObject(IFetch, Scene().fetch)

    def test_done(self):
        """What the worker wrote and how it ended arrive."""
        scene = Scene()
        over = scene.run()
        scene.fetch.wrote(10, 15)
        scene.fetch.wrote(15, 20)
        scene.finish(20)
        self.assertEqual(scene.reports, [(10, 15), (15, 20)])
        self.assertEqual(scene.result, (Reason.DONE, 20))
        self.successResultOf(over)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))))
    def test_confused_worker(self, claims):
        """Whatever a worker claims, only spans of the task count, each byte once and in order."""
        scene = Scene()
        scene.run()
        for start, stop in claims:
            scene.fetch.wrote(start, stop)
        position = 10
        for start, stop in scene.reports:
            self.assertEqual(start, position)
            self.assertTrue(start < stop <= 20)
            position = stop
        self.assertEqual(scene.fetch.position, position)

    def test_unreported_end(self):
        """A result that claims more than was reported is not believed."""
        scene = Scene()
        scene.run()
        scene.fetch.wrote(10, 12)
        scene.finish(20)
        self.assertEqual(scene.result, (Reason.WORKER_LOST, 12))

    def test_worker_dies(self):
        """When the link is lost, the result says what was reported."""
        scene = Scene()
        over = scene.run()
        scene.fetch.wrote(10, 12)
        scene.worker.transport.loseConnection()
        scene.pump.flush()
        self.assertEqual(scene.result, (Reason.WORKER_LOST, 12))
        self.successResultOf(over)
        scene.fetch.wrote(12, 13)
        self.assertEqual(scene.fetch.position, 12)
        self.assertEqual(scene.reports, [(10, 12)])

    def test_trim_and_cancel_while_running(self):
        """Both are handed to the worker, whose answer counts."""
        scene = Scene()
        scene.run()
        scene.fetch.trim(15)
        scene.fetch.cancel()
        scene.pump.flush()
        self.assertEqual(scene.worker.heard, [("trim", 7, 15), ("cancel", 7)])
        self.assertEqual(scene.results, [])
        scene.finish(10, Reason.CANCELLED)
        self.assertEqual(scene.result, (Reason.CANCELLED, 10))

    def test_trim_while_waiting(self):
        """Trimmed before it ran, less is asked for."""
        scene = Scene()
        scene.fetch.trim(15)
        scene.fetch.trim(17)
        scene.run()
        self.assertEqual(scene.worker.tasks[7][0].stop, 15)

    def test_trimmed_to_nothing_while_waiting(self):
        """Of nothing left, nothing is asked."""
        scene = Scene()
        scene.fetch.trim(10)
        self.assertEqual(scene.result, (Reason.DONE, 10))
        self.assertFalse(scene.fetch.waiting)

    def test_cancel_while_waiting(self):
        """Cancelled before it ran it ends at once, and only once."""
        scene = Scene()
        scene.fetch.cancel()
        scene.fetch.cancel()
        self.assertEqual(scene.result, (Reason.CANCELLED, 10))

    def test_too_large(self):
        """A task that does not fit into a message ends with a result that says so."""
        task = FetchTask(7, "http://h/" + "x" * 70000, Headers(), 10, 20, 100, "p")
        scene = Scene(task)
        self.successResultOf(scene.run())
        self.assertEqual(scene.result, (Reason.PROTOCOL, 10))
        self.assertIn("bytes", scene.results[0].detail)
