"""What it means that a host leaves connections unanswered."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.silence import (
    MOST_TURNS,
    SLOW_FOR,
    SUSPECT_AFTER,
    YOUNG,
    Pending,
    Silence,
    Verdict,
)


class SilenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.silence = Silence(self.clock.seconds)

    def begin(self, count: int = 1, turns: int = 0) -> list[Pending]:
        """New connections that can be asked again."""
        begun = [self.silence.begins() for _ in range(count)]
        for each in begun:
            each.turns, each.give_up = turns, lambda: None
        return begun

    def judged(self, accepted: int = 1, *, limited: bool = False) -> Verdict | None:
        return self.silence.judge(accepted, limited)

    def test_one_too_many(self) -> None:
        """Two that are silent beside one that was answered: it bears one."""
        two = self.begin(2)
        self.clock.advance(SUSPECT_AFTER)
        self.assertEqual(self.judged(), Verdict(1, tuple(two)))

    def test_one_that_ended(self) -> None:
        """So it is where the one that was answered is closed by now, but not if it was before."""
        before = self.begin()[0]
        self.silence.answered(before)
        self.clock.advance(1)
        self.begin(2)
        self.clock.advance(SUSPECT_AFTER)
        self.assertIsNone(self.judged(0))
        self.silence.answered(self.begin()[0])
        self.assertEqual(self.judged(0).borne, 1)

    def test_young(self) -> None:
        """Those that wait for a moment only wait on, and tell nothing by themselves."""
        two = self.begin(2)
        self.clock.advance(SUSPECT_AFTER - YOUNG)
        self.assertIsNone(self.judged())
        younger = self.begin()
        self.clock.advance(YOUNG)
        self.begin()
        self.assertEqual(self.judged().over, (*two, *younger))

    def test_accidents(self) -> None:
        """One alone tells nothing, unless the host is known to bear few."""
        self.begin()
        self.clock.advance(SUSPECT_AFTER)
        self.assertIsNone(self.judged())
        self.assertEqual(self.judged(3, limited=True).borne, 3)

    def test_not_asked_again(self) -> None:
        """What would do harm twice is left alone, and so is a host at which nothing else waits."""
        for each in self.begin(2):
            each.give_up = None
        self.clock.advance(SUSPECT_AFTER)
        self.assertIsNone(self.judged())

    def test_asked_again_once(self) -> None:
        """What has been told to end is not told again, and tells nothing any more."""
        for each in self.begin(2):
            each.end()
        self.clock.advance(SUSPECT_AFTER)
        self.assertIsNone(self.judged())

    def test_slow(self) -> None:
        """What is silent again where it is alone is slow, and nothing is made of silence then."""
        self.begin(turns=1)
        self.clock.advance(SUSPECT_AFTER)
        self.assertEqual(self.judged(0, limited=True), Verdict(None))
        self.begin(2)
        self.clock.advance(SUSPECT_AFTER)
        self.assertIsNone(self.judged())
        self.clock.advance(SLOW_FOR)
        self.assertIsNotNone(self.judged())

    def test_too_many_still(self) -> None:
        """What is silent again beside others was still one too many, but not for ever."""
        (again,) = self.begin(turns=1)
        self.clock.advance(SUSPECT_AFTER)
        self.assertEqual(self.judged(2, limited=True), Verdict(2, (again,)))
        again.turns = MOST_TURNS
        self.assertEqual(self.judged(2, limited=True), Verdict(None))

    def test_late(self) -> None:
        """A late answer that no end of another brought is one of a slow host."""
        (late,) = self.begin()
        self.clock.advance(SUSPECT_AFTER)
        self.silence.answered(late)
        self.assertTrue(self.silence.slow)

    def test_late_after_an_end(self) -> None:
        """A late answer after another one's end says that this one waited for it."""
        (late,) = self.begin()
        self.clock.advance(SUSPECT_AFTER)
        self.silence.ended()
        self.silence.answered(late)
        self.assertFalse(self.silence.slow)

    def test_left(self) -> None:
        """What is over, or goes by a connection that was accepted, is not looked at."""
        for each in self.begin(2):
            self.silence.leave(each)
        self.assertEqual((len(self.silence), self.silence.wait()), (0, None))
