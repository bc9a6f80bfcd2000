"""The charts' numbers over a restart."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import evolve
from twisted.logger import LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin import history
from aimirror.server.tally import Series, Totals

NOW = 1_000_000.0


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.series = [Series(10.0, 5), Series(300.0, 3)]
        for step in range(8):
            self.series[0].sample(NOW + 10 * step, Totals(hits=step, errors=2 * step))
        self.series[1].sample(NOW + 70, Totals(1, 2, 3, 4, 5, 6))

    def reread(self, now: float = NOW + 70) -> list[Series]:
        series = [Series(10.0, 5), Series(300.0, 3)]
        history.read(self.folder, series, now)
        return series

    def test_restart(self) -> None:
        """What was written is there after a restart, and new steps follow."""
        history.write(self.folder, history.dumped(self.series))
        again = self.reread()
        self.assertEqual([each.steps() for each in again], [each.steps() for each in self.series])
        again[0].sample(NOW + 80, Totals(hits=7))
        self.assertEqual(again[0].steps()[-1], (NOW + 80, Totals(hits=7)))
        self.assertEqual(len(again[0].steps()), 5)
        self.assertEqual([path.name for path in self.folder.iterdir()], [history.NAME])

    def test_old_and_future(self) -> None:
        """What is older than a chart shows, or lies in the future, is left out."""
        history.write(self.folder, history.dumped(self.series))
        self.assertEqual([len(each.steps()) for each in self.reread(NOW + 100)], [2, 1])
        self.assertEqual([len(each.steps()) for each in self.reread(NOW + 50)], [3, 0])
        self.assertEqual([len(each.steps()) for each in self.reread(NOW + 1e6)], [0, 0])

    def test_none(self) -> None:
        """A first start has no file, and says nothing of it."""
        self.assertEqual([each.steps() for each in self.reread()], [(), ()])

    def test_damaged(self) -> None:
        """A file that is damaged, or of another form, begins the charts anew with a line."""
        lines: list[LogEvent] = []
        self.patch(history, "_log", Logger(observer=lines.append))
        whole = history.dumped(self.series)
        document = json.loads(whole)
        step = document["series"][0]["points"][0]
        for data in (
            b"",
            whole[:-20],
            b"\0" * 100,
            b"[" * 100_000,
            b"[]",
            json.dumps({**document, "form": 0}).encode(),
            json.dumps({**document, "series": 1}).encode(),
            json.dumps({**document, "series": [3]}).encode(),
            *(
                json.dumps({**document, "series": [{"step": 10.0, "points": [point]}]}).encode()
                for point in (step[:-1], [*step, 1], [*step[:-1], "1"], [*step[:-1], -1], None)
            ),
            json.dumps({**document, "series": [{"step": [], "points": []}]}).encode(),
        ):
            (self.folder / history.NAME).write_bytes(data)
            self.assertEqual([each.steps() for each in self.reread()], [(), ()], data[:50])
            self.assertIn("the charts begin anew: ", formatEvent(lines.pop()))

    def test_bound(self) -> None:
        """A full file has less than what is read of one."""
        full = [Series(10.0, 360), Series(300.0, 288)]
        huge = Totals(*[10**15] * 6)
        for each in full:
            for step in range(each.length):
                each.sample(NOW + step, evolve(huge, hits=10**15 * (step + 2)))
        self.assertLess(len(history.dumped(full)), history.MOST / 4)
