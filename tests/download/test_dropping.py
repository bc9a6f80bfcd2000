"""Which connections of a download are dropped."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.assignment import PROBE
from aimirror.download.commands import Cancel, Fetch
from aimirror.download.download import Download
from aimirror.download.tasks import FetchResult, Reason
from tests.download.simulation import MB, machine


class SilentTests(SynchronousTestCase):
    """Requests that nothing answers, after a first one that came fast."""

    def setUp(self) -> None:
        self.download = machine(total=40 * MB, slots=4)
        commands = self.download.begin(0.0, (0, 1 << 20))
        self.pieces = [c for c in commands if isinstance(c, Fetch)]
        self.download.wrote(PROBE, 0, 1 << 20, 0.1)
        self.download.ended(PROBE, FetchResult(Reason.DONE, 1 << 20, latency=0.03), 0.1)

    def dropped(self, download: Download, seconds: float) -> set[int]:
        commands = [c for n in range(round(4 * seconds)) for c in download.tick(0.2 + n / 4)]
        return {c.id for c in commands if isinstance(c, Cancel)}

    def test_all(self) -> None:
        """All of several are kept: another one would fare no better, and they tell of a limit."""
        self.assertEqual(self.dropped(self.download, 3.5), set())

    def test_beside_one_that_works(self) -> None:
        """Beside one that works the others are soon dropped."""
        first, *others = self.pieces
        for n in range(8):
            start = first.start + n * 65536
            self.download.wrote(first.id, start, start + 65536, 0.1 + n / 100)
        self.assertLessEqual({other.id for other in others}, self.dropped(self.download, 3.5))
