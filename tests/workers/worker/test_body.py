import errno

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import PotentialDataLoss

from aimirror.download.tasks import FetchTask, Reason
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.workers.worker.body import PieceBody
from aimirror.workers.worker.reports import Reports
from tests.workers.worker.fakes import partial
from tests.workers.worker.test_writer import FakePart

TASK = FetchTask(1, "http://h/f", Headers(), 10, 20, 100, "p")
FILE = bytes(range(100))


class Scene:
    """A body under way."""

    def __init__(self, task=TASK, announced=None):
        self.clock, self.part = Clock(), FakePart()
        self.part.data = bytearray(100)
        self.reports = []
        stop = task.stop if announced is None else announced
        reports = Reports(self.clock, lambda spans: self.reports.extend(s[1:] for s in spans))
        self.body = PieceBody(self.clock, self.part, task, stop, reports)
        self.outcomes = []
        self.body.ended.addCallback(self.outcomes.append)
        self.reply = partial(task.start, stop, task.total)
        self.reply.deliverBody(self.body)

    @property
    def reason(self):
        (outcome,) = self.outcomes
        return outcome.reason


class PieceBodyTests(SynchronousTestCase):
    def test_whole(self):
        """A body that ends where it was announced is DONE, and its connection lives on."""
        scene = Scene()
        scene.reply.flow(FILE[10:15])
        scene.reply.flow(FILE[15:20])
        scene.reply.end()
        self.assertIs(scene.reason, Reason.DONE)
        self.assertFalse(scene.reply.aborted)
        self.assertEqual(scene.part.data[10:20], FILE[10:20])
        self.assertEqual(scene.reports, [(10, 15), (15, 20)])
        self.assertEqual(scene.clock.getDelayedCalls(), [])

    def test_trimmed_end_is_not_waited_for(self):
        """Told to end earlier, it has the kernel gather for no more than that."""
        scene = Scene()
        scene.reply.flow(FILE[10:12])
        scene.body.trim(15)
        self.assertEqual(scene.reply.gathered, [3])

    def test_views(self):
        """What is lent for the time of the call is on file after it."""
        scene = Scene()
        buffer = bytearray(FILE[10:20])
        scene.reply.flow(memoryview(buffer))
        buffer[:] = bytes(10)
        scene.reply.end()
        self.assertIs(scene.reason, Reason.DONE)
        self.assertEqual(scene.part.data[10:20], FILE[10:20])

    def test_shorter_range(self):
        """An announced end before the one asked for is SHORT, on a good connection."""
        scene = Scene(announced=15)
        scene.reply.flow(FILE[10:15])
        scene.reply.end()
        self.assertIs(scene.reason, Reason.SHORT)
        self.assertEqual(scene.body.written, 15)
        self.assertFalse(scene.reply.aborted)

    def test_shorter_range_that_suffices(self):
        """An announced end at which the piece was trimmed is all that is wanted."""
        scene = Scene(announced=15)
        scene.body.trim(15)
        scene.reply.flow(FILE[10:15])
        scene.reply.end()
        self.assertIs(scene.reason, Reason.DONE)
        self.assertFalse(scene.reply.aborted)

    def test_cut_short(self):
        """A body without its end is SHORT or what the upstream layer calls it; bytes are kept."""
        ends = [
            (None, Reason.SHORT),
            (PotentialDataLoss(), Reason.SHORT),
            (UpstreamError(Reason.RESET), Reason.RESET),
            (UpstreamError(Reason.SILENT), Reason.SILENT),
        ]
        for end, reason in ends:
            scene = Scene()
            scene.reply.flow(FILE[10:13])
            scene.reply.flow(FILE[13:14])
            scene.reply.end(end)
            self.assertIs(scene.reason, reason)
            self.assertEqual(scene.reports, [(10, 13), (13, 14)])

    def test_complete_without_an_end(self):
        """When all bytes are there, an end that is missing does not matter."""
        scene = Scene()
        scene.reply.flow(FILE[10:20])
        scene.reply.end(UpstreamError(Reason.SILENT))
        self.assertIs(scene.reason, Reason.DONE)

    def test_too_long(self):
        """Bytes beyond what was announced are PROTOCOL, never written, and end the connection."""
        scene = Scene()
        scene.reply.flow(FILE[10:25])
        self.assertIs(scene.reason, Reason.PROTOCOL)
        self.assertTrue(scene.reply.aborted)
        self.assertEqual(scene.part.data[20:], bytes(80))
        self.assertEqual(scene.body.written, 20)

    def test_trimmed(self):
        """A trimmed body stops at the trimmed end, DONE, and drops its connection."""
        scene = Scene()
        scene.reply.flow(FILE[10:12])
        scene.body.trim(15)
        scene.reply.flow(FILE[12:20])
        self.assertIs(scene.reason, Reason.DONE)
        self.assertTrue(scene.reply.aborted)
        self.assertEqual(scene.reports[-1][1], 15)
        self.assertEqual(scene.part.data[15:], bytes(85))

    def test_trimmed_to_the_past(self):
        """Trimmed below what is written it ends at once, and says what is written."""
        scene = Scene()
        scene.reply.flow(FILE[10:14])
        scene.body.trim(12)
        self.assertIs(scene.reason, Reason.DONE)
        self.assertEqual(scene.body.written, 14)

    def test_trimmed_beyond(self):
        """A trim beyond the end changes nothing."""
        scene = Scene()
        scene.body.trim(50)
        scene.reply.flow(FILE[10:20])
        scene.reply.end()
        self.assertIs(scene.reason, Reason.DONE)

    def test_cancelled(self):
        """Cancelled, what came is written and reported, and the connection is dropped."""
        scene = Scene()
        scene.reply.flow(FILE[10:12])
        scene.reply.flow(FILE[12:14])
        scene.body.ended.cancel()
        self.assertIs(scene.reason, Reason.CANCELLED)
        self.assertTrue(scene.reply.aborted)
        self.assertEqual(scene.reports, [(10, 12), (12, 14)])
        self.assertEqual(scene.clock.getDelayedCalls(), [])

    def test_disk_full(self):
        """A full disk ends it with what was written; another error of the disk is DISK."""
        scene = Scene()
        scene.part.full = 13
        scene.reply.flow(FILE[10:18])
        self.assertIs(scene.reason, Reason.DISK_FULL)
        self.assertTrue(scene.reply.aborted)
        self.assertEqual(scene.reports, [(10, 13)])
        scene = Scene()
        self.patch(scene.part, "write", _broken)
        scene.reply.flow(FILE[10:18])
        self.assertIs(scene.reason, Reason.DISK)
        self.assertEqual(scene.body.written, 10)

    def test_disk_full_at_the_end(self):
        """A write that fails at the very end is not DONE."""
        scene = Scene()
        scene.reply.flow(FILE[10:12])
        scene.part.full = 12
        scene.reply.flow(FILE[12:20])
        scene.reply.end()
        self.assertIs(scene.reason, Reason.DISK_FULL)
        self.assertEqual(scene.body.written, 12)

    def test_rate_limit(self):
        """A limited body pauses its connection for as long as the rate asks for."""
        scene = Scene(evolve(TASK, rate_limit=1))
        scene.reply.flow(FILE[10:14])
        self.assertTrue(scene.reply.paused)
        scene.clock.advance(3)
        self.assertTrue(scene.reply.paused)
        scene.clock.advance(1)
        self.assertFalse(scene.reply.paused)
        scene.body.ended.cancel()
        self.assertEqual(scene.clock.getDelayedCalls(), [])

    _step = st.one_of(
        st.tuples(st.just("flow"), st.integers(1, 7)),
        st.tuples(st.just("trim"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.just(1)),
        st.tuples(st.sampled_from(["end", "reset", "cancel"]), st.just(0)),
    )

    @settings(max_examples=200, deadline=None)
    @given(st.lists(_step, max_size=12), st.integers(11, 20), st.integers(10, 30))
    def test_never_a_wrong_byte(self, steps, announced, full):
        """Whatever happens: right bytes at their offsets, none past the stop of the moment,
        reports without gaps, all that is written reported before the outcome."""
        scene = Scene(announced=announced)
        scene.part.full = full
        sent, stop = 10, announced
        for step, value in [*steps, ("end", 0)]:
            if scene.outcomes:
                break
            before = scene.body.written
            if step == "flow":
                scene.reply.flow(FILE[sent : sent + value])
                sent += value
            elif step == "trim":
                scene.body.trim(value)
                stop = min(stop, max(value, before))
            elif step == "wait":
                scene.clock.advance(value)
            elif step == "cancel":
                scene.body.ended.cancel()
            else:
                scene.reply.end(UpstreamError(Reason.RESET) if step == "reset" else None)
            written = scene.body.written
            self.assertLessEqual(written, stop)
            self.assertEqual(scene.part.data[10:written], FILE[10:written])
            self.assertEqual(bytes(scene.part.data[written:]), bytes(100 - written))
        self.assertEqual(len(scene.outcomes), 1)
        ends = [10, *(b for _, b in scene.reports)]
        self.assertEqual([a for a, _ in scene.reports], ends[:-1])
        self.assertEqual(ends[-1], scene.body.written)
        if scene.reason is Reason.DONE:
            self.assertGreaterEqual(scene.body.written, stop)
        self.assertEqual(scene.clock.getDelayedCalls(), [])


def _broken(data, offset):
    raise OSError(errno.EIO, "Input/output error")
