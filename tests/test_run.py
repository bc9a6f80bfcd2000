"""What ``make test`` makes of the logs of its targets."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import run
from tests.run import Outcome, after_repeat, read, total

RULE = "=" * 79
END = "-" * 79


def alive(pid: int) -> bool:
    """Whether a process is there and runs; one that nobody has waited for runs no more."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return shown.stdout.strip()[:1] not in ("", "Z")


def section(kind: str, text: str, *names: str) -> str:
    return "\n".join([RULE, f"[{kind}]", text, "", *names, ""])


def log(summary: str, *sections: str) -> str:
    return "".join(["tests.x\n  test_a ... [OK]\n", *sections, f"{END}\nRan 9\n\n{summary}\n"])


class ReadTests(SynchronousTestCase):
    def test_passed(self) -> None:
        """Successes and expected failures pass; skips are counted with their reasons."""
        skips = section("SKIPPED", "no npm", "tests.x.A.test_a", "tests.x.A.test_b")
        outcome = read(log("PASSED (skips=2, expectedFailures=1, successes=5)", skips), 0)
        self.assertEqual(outcome, Outcome(6, 0, 2, (), ("no npm", "no npm")))

    def test_several_summaries(self) -> None:
        """A target that runs trial twice has the sum of both."""
        text = log("PASSED (successes=5)") + log("PASSED (successes=7)")
        self.assertEqual(read(text, 0).passed, 12)

    def test_failed(self) -> None:
        """Failures and errors are counted, named once each, and reported; skips are not."""
        text = log(
            "FAILED (skips=1, failures=1, errors=2, successes=3)",
            section("SKIPPED", "no npm", "tests.x.A.test_c"),
            section("FAIL", "Traceback: it is 3", "tests.x.A.test_a"),
            section("ERROR", "Traceback: it broke", "tests.x.A.test_a", "tests.x.A.test_b"),
        )
        outcome = read(text, 1)
        self.assertEqual((outcome.passed, outcome.failed, outcome.skipped), (3, 3, 1))
        self.assertEqual(outcome.failures, ("tests.x.A.test_a", "tests.x.A.test_b"))
        self.assertIn("it is 3", outcome.report)
        self.assertNotIn("no npm", outcome.report)

    def test_as_a_whole(self) -> None:
        """A target that fails without a failing test is one failure, and its log's end is shown."""
        for text in ("mypy: error", log("PASSED (successes=5)") + "Killed"):
            outcome = read(text, 2)
            self.assertEqual((outcome.failed, outcome.failures), (1, ()))
            self.assertIn(text[-5:], outcome.report)


class RepeatTests(SynchronousTestCase):
    first = Outcome(3, 2, 1, ("tests.x.A.test_a",), (), "Traceback")

    def test_passed_then(self) -> None:
        """What passes when repeated counts as passed, and is still named and shown."""
        outcome = after_repeat(self.first, 0)
        self.assertEqual((outcome.passed, outcome.failed), (5, 0))
        self.assertEqual((outcome.failures, outcome.report), (self.first.failures, "Traceback"))

    def test_failed_again(self) -> None:
        """What fails again has failed."""
        self.assertEqual(after_repeat(self.first, 1), self.first)


class MainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.said: list[str] = []
        self.patch(run, "ROOT", self.folder)
        self.patch(run, "write", self.said.append)

    def make(self, **targets: str) -> None:
        """A Makefile with these commands."""
        lines = [f"{name}:\n\t@{command}\n" for name, command in targets.items()]
        (self.folder / "Makefile").write_text("".join(lines))

    def test_lanes(self) -> None:
        """All targets run, the last line has the sums, and one that fails makes the status 1."""
        self.make(
            check="echo fine",
            a="echo 'PASSED (successes=2)'",
            b="echo 'PASSED (skips=1, successes=3)'",
            c="echo 'FAILED (failures=1)'; exit 1",
        )
        self.assertEqual(run.main(["check", "a,b"]), 0)
        self.assertEqual(self.said[-1], "5 passed, 0 failed, 1 skipped")
        self.assertEqual(run.main(["check", "a,b", "c"]), 1)
        self.assertEqual(self.said[-1], "5 passed, 1 failed, 1 skipped")

    def test_check_first(self) -> None:
        """Nothing runs when format, lint or types are wrong."""
        self.make(check="echo wrong; exit 1", a="touch ran")
        self.assertEqual(run.main(["check", "a"]), 1)
        self.assertEqual(self.said[-1], "0 passed, 1 failed, 0 skipped")
        self.assertFalse((self.folder / "ran").exists())
        self.assertIn("wrong", "".join(self.said))

    def test_repeated(self) -> None:
        """A few failures are repeated by their names, in the target where they failed."""
        (self.folder / "log").write_text(
            log("FAILED (failures=1, successes=1)", section("FAIL", "no", "tests.x.A.test_a"))
        )
        self.make(a='if [ "$(TESTS)" = tests.x.A.test_a ]; then exit 0; fi; cat log; exit 1')
        self.assertEqual(run.main(["a"]), 0)
        self.assertEqual(self.said[-1], "2 passed, 0 failed, 0 skipped")
        self.assertIn("tests: a: passed when repeated alone: tests.x.A.test_a", self.said)

    def test_limit(self) -> None:
        """A target that hangs is killed with what it started, and has failed."""
        if shutil.which("ps") is None:
            raise SkipTest("there is no ps")
        self.patch(run, "LIMIT", 0.3)
        self.patch(run, "PATIENCE", 0.3)
        self.make(a="trap '' INT; sleep 60 & echo $$! > pid; sleep 60")
        self.assertEqual(run.main(["a"]), 1)
        self.assertIn("0 passed, 1 failed, 0 skipped", self.said)
        pid = int((self.folder / "pid").read_text())
        deadline = time.monotonic() + 10
        while alive(pid):
            self.assertLess(time.monotonic(), deadline)


class TotalTests(SynchronousTestCase):
    def test_sum(self) -> None:
        """The last line has the sums of all targets."""
        self.assertEqual(
            total([Outcome(1, 2, 3), Outcome(10, 20, 30)]), "11 passed, 22 failed, 33 skipped"
        )
