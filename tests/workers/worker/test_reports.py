"""What a worker tells its parent of the progress of its pieces."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.workers.worker.reports import REPORT_BYTES, REPORT_EVERY, Reports


class ReportsTests(SynchronousTestCase):
    def setUp(self):
        self.clock, self.messages = Clock(), []
        self.reports = Reports(self.clock, self.messages.append)

    def test_many_pieces_in_one_message(self):
        """Twenty pieces that move five times a second take ten messages a second, not a hundred."""
        places = dict.fromkeys(range(20), 0)
        for step in range(100):
            piece = step % 20
            self.reports.wrote(piece, places[piece], places[piece] + 200_000)
            places[piece] += 200_000
            self.clock.advance(0.01)
        self.reports.flush()
        self.assertLessEqual(len(self.messages), 10)
        spans = [span for message in self.messages for span in message]
        for piece, place in places.items():
            mine = [(start, stop) for number, start, stop in spans if number == piece]
            self.assertEqual([start for start, _ in mine], [0, *(stop for _, stop in mine[:-1])])
            self.assertEqual(mine[-1][1], place)

    def test_at_once(self):
        """What somebody waits for takes along what is there of all others."""
        self.reports.wrote(1, 0, 10)
        self.reports.wrote(2, 5, 6, at_once=True)
        self.assertEqual(self.messages, [[(1, 0, 10), (2, 5, 6)]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_by_size(self):
        """On a fast line the parent hears of each REPORT_BYTES."""
        for start in range(0, 4 * REPORT_BYTES, 1 << 20):
            self.reports.wrote(1, start, start + (1 << 20))
        self.assertEqual(len(self.messages), 4)

    def test_by_time(self):
        """What trickles in is reported soon, one piece's writes as one span."""
        self.reports.wrote(1, 0, 1)
        self.reports.wrote(1, 1, 3)
        self.assertEqual(self.messages, [])
        self.clock.advance(REPORT_EVERY)
        self.assertEqual(self.messages, [[(1, 0, 3)]])

    def test_nothing_new(self):
        """Without news there is no message and no timer."""
        self.reports.flush()
        self.assertEqual((self.messages, self.clock.getDelayedCalls()), ([], []))
