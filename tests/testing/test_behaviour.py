"""The words of the scripted origin."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.testing.behaviour import Behaviour, pattern, scripted


class PatternTests(SynchronousTestCase):
    def test_reproducible_and_distinct(self) -> None:
        """The same size and seed give the same bytes; no MiB equals another, no seed another."""
        content = pattern(3 << 20, 1)
        blocks = {content[i << 20 : (i + 1) << 20] for i in range(3)}
        self.assertEqual(len(blocks), 3)
        self.assertEqual(content[: 1 << 20], pattern(1 << 20, 1))
        self.assertNotEqual(content, pattern(3 << 20, 2))

    def test_any_size(self) -> None:
        """The size is exact, at and beside block borders."""
        for size in (0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1):
            self.assertEqual(len(pattern(size)), size)


class ScriptTests(SynchronousTestCase):
    def test_from_json(self) -> None:
        """A script gives content, its next version, fields and behaviour."""
        told = {"size": 5, "next_text": "ab", "headers": [["A", "b"]], "short": 2, "changes_at": 3}
        made = scripted("/x", told)
        self.assertEqual(made.body(0, "").content, pattern(5))
        self.assertEqual(made.body(1, "").content, b"ab")
        self.assertEqual(made.behaviour, Behaviour(headers=(("A", "b"),), short=2, changes_at=3))

    def test_unknown_words_are_refused(self) -> None:
        """A misspelt behaviour is an error, not an honest origin."""
        self.assertRaises(TypeError, scripted, "/x", {"size": 5, "shorter": 2})

    def test_faults_end_but_nature_stays(self) -> None:
        """After ``times`` requests the faults are gone and the rest is as before."""
        told = Behaviour(rate=5, ranges=False, times=1, status=503, short=9, silent_after=1)
        self.assertEqual(told.without_faults(), Behaviour(rate=5, ranges=False))
