"""What the kernel is asked to gather."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.gathering import (
    FIRST_PART,
    GATHER_SECONDS,
    LEAST_GATHERED,
    MEASURED_OVER,
    MOST_GATHERED,
    UNGATHERED,
    Gathering,
    Pace,
)

MB = 1_000_000


class GatheringTests(SynchronousTestCase):
    def flow(self, rate, seconds, room=100 * MB):
        """What is asked for after so many seconds at a rate."""
        gathering, wanted = Gathering(0.0), 1
        for step in range(1, int(seconds * 100) + 1):
            wanted = gathering.took(int(rate / 100), room, step / 100)
        return gathering, wanted

    def test_follows_the_rate(self):
        """Some tenths of a second's worth, within bounds; nothing for a trickle."""
        _, wanted = self.flow(MB, 1)
        self.assertLess(abs(wanted - MB * GATHER_SECONDS), 0.1 * MB * GATHER_SECONDS)
        self.assertEqual(self.flow(100 * MB, 1)[1], MOST_GATHERED)
        self.assertEqual(self.flow(LEAST_GATHERED / GATHER_SECONDS / 2, 5)[1], 1)

    def test_first_bytes(self):
        """The first bytes come as they are, whatever is known of the host."""
        for pace in (Pace(), Pace(50 * MB)):
            gathering = Gathering(0.0, pace)
            self.assertEqual(gathering.took(UNGATHERED, 100 * MB, MEASURED_OVER), 1)

    def test_before_a_rate_is_known(self):
        """What is gathered is some part of what has come: few wakes, and no long wait."""
        gathering, came, wakes = Gathering(0.0), 0, 0
        while came < 200_000:
            wanted = gathering.took(8000, 100 * MB, came / MB)
            came += 8000 * max(1, -(-wanted // 8000))
            self.assertLessEqual(wanted, max(1, came // FIRST_PART))
            wakes += 1
        self.assertLess(wakes, 15)

    def test_steady(self):
        """A rate that wavers a little is no reason for another call of the kernel."""
        gathering, asked = self.flow(MB, 1)[0], set()
        for step in range(1, 300):
            asked.add(
                gathering.took(MB // 90 if step % 40 < 20 else MB // 110, 100 * MB, 1 + step / 100)
            )
        self.assertEqual(len(asked), 1)

    def test_silence(self):
        """What is there is wanted at once when nothing more came, until the rate is known anew."""
        gathering, wanted = self.flow(MB, 1)
        self.assertGreater(wanted, 1)
        self.assertEqual(gathering.silent(), 1)
        self.assertEqual(gathering.took(1000, 100 * MB, 1.01), 1)

    def test_pace_of_the_host(self):
        """A piece begins at the pace of those before it, soon after its first bytes."""
        pace = Pace()
        first, second = Gathering(0.0, pace), Gathering(1.0, pace)
        self.assertLess(second.took(UNGATHERED + 1, 100 * MB, 1.01), UNGATHERED)
        for step in range(1, 40):
            first.took(MB // 100, 100 * MB, step / 100)
        later = Gathering(1.0, pace)
        self.assertEqual(later.took(UNGATHERED, 100 * MB, 1.01), 1)
        wanted = later.took(1000, 100 * MB, 1.02)
        self.assertLess(abs(wanted - MB * GATHER_SECONDS), 0.1 * MB * GATHER_SECONDS)
        self.assertEqual(later.silent(), 1)
        self.assertEqual(later.took(1000, 100 * MB, 1.03), 1)

    @given(st.lists(st.tuples(st.integers(1, 1 << 18), st.floats(0.0, 0.5)), max_size=60))
    def test_the_end_is_never_waited_for(self, chunks):
        """However it flows, no more is asked for than is still to come."""
        total = sum(count for count, _ in chunks)
        gathering, came, now = Gathering(0.0), 0, 0.0
        for count, pause in chunks:
            came, now = came + count, now + pause
            wanted = gathering.took(count, total - came, now)
            self.assertTrue(wanted == 1 or wanted * 2 <= total - came)
