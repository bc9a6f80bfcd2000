"""Runs make's test targets, says how far they are, and ends with ``N passed, M failed, K skipped``.

``python tests/run.py LANE...``: a lane is targets joined by commas, which run one after another;
lanes run side by side, since most of what real clients do is waiting.  What a target prints goes
to ``test-TARGET.log``; failures and reasons of skips are shown at the end.  A few failures, as a
noisy machine makes them, get one more chance by themselves, and are named all the same.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event, Thread

ROOT = Path(__file__).resolve().parent.parent
#: Seconds for one target, whatever hangs.
LIMIT = 4000
#: Seconds between two lines that say how far the tests are.
PULSE = 30
#: Failures of one target that are repeated; more of them are no noise.
REPEATED = 8
#: Seconds that an interrupted target has to end what it started.
PATIENCE = 10.0

#: The process groups of running targets.
_running: set[int] = set()

_DONE = re.compile(r" \.\.\.\s+\[\w+\]$", re.MULTILINE)
_SUMMARY = re.compile(r"^(?:PASSED|FAILED)(?: \((.*)\))?$", re.MULTILINE)
_NUMBER = re.compile(r"(\w+)=(\d+)")
_SECTION = re.compile(r"^={70,}\n\[(\w+)\]\n(.*?)(?=^={70,}$|^-{70,}$)", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"^tests(?:\.\w+)+$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What a target's log says; ``failures`` are names of tests, ``reasons`` those of skips."""

    passed: int
    failed: int
    skipped: int
    failures: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    report: str = ""


def read(log: str, status: int) -> Outcome:
    """The outcome of a target that printed ``log`` and ended with ``status``."""
    counts: Counter[str] = Counter()
    for summary in _SUMMARY.findall(log):
        counts.update({name: int(number) for name, number in _NUMBER.findall(summary)})
    failures: dict[str, None] = {}
    reasons: list[str] = []
    report: list[str] = []
    for kind, text in _SECTION.findall(log):
        names = _TEST.findall(text)
        if kind == "SKIPPED":
            reasons += [text.partition("\n")[0]] * len(names)
        elif kind in ("FAIL", "ERROR"):
            failures |= dict.fromkeys(names)
            report.append(f"[{kind}]\n{text}")
    failed = counts["failures"] + counts["errors"] + counts["unexpectedSuccesses"]
    if status and not failed:  # it is no matter of one test: the run as a whole, format, types
        failed, report = 1, [log[-3000:]]
    passed = counts["successes"] + counts["expectedFailures"]
    return Outcome(
        passed, failed, counts["skips"], tuple(failures), tuple(reasons), "\n".join(report)
    )


def after_repeat(first: Outcome, status: int) -> Outcome:
    """The outcome when the failures of ``first`` were repeated, and that ended with ``status``."""
    if status:
        return first
    return Outcome(
        first.passed + first.failed, 0, first.skipped, first.failures, first.reasons, first.report
    )


def total(outcomes: Sequence[Outcome]) -> str:
    """The last line."""
    passed, failed, skipped = (
        sum(getattr(outcome, name) for outcome in outcomes)
        for name in ("passed", "failed", "skipped")
    )
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def write(text: str) -> None:
    """A line, or several, on the standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for people."""
    write(f"tests: {text}")


def log_of(target: str) -> Path:
    return ROOT / f"test-{target}.log"


def run(target: str, log: Path, *words: str) -> int:
    """The exit status of a target, which is killed with all its processes at the limit."""
    command = ["make", "--no-print-directory", target, *words]
    with (
        log.open("wb") as file,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        _running.add(process.pid)
        try:
            return process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            say(f"{target} is not over after {LIMIT} s")
            end(process.pid)
            return 1
        finally:
            _running.discard(process.pid)


def end(group: int) -> None:
    """End a target with all its processes: tests that are interrupted end what they started."""
    for number, patience in ((signal.SIGINT, PATIENCE), (signal.SIGKILL, 0.0)):
        deadline = time.monotonic() + patience
        with suppress(ProcessLookupError):
            os.killpg(group, number)
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.1)


def end_all(number: int, _: object) -> None:
    """What a signal does: end all targets, which are in sessions of their own, and leave."""
    for group in tuple(_running):
        end(group)
    os._exit(128 + number)


def run_target(target: str) -> Outcome:
    """Run a target, and its few failures a second time."""
    say(f"{target} begins (log: {log_of(target).name})")
    started = time.monotonic()
    status = run(target, log_of(target))
    outcome = read(log_of(target).read_text("utf-8", "replace"), status)
    if 0 < len(outcome.failures) <= REPEATED:
        say(f"{target}: repeating {' '.join(outcome.failures)}")
        again = ROOT / f"test-{target}-again.log"
        outcome = after_repeat(outcome, run(target, again, f"TESTS={' '.join(outcome.failures)}"))
    say(f"{target} took {time.monotonic() - started:.0f} s: {total([outcome])}")
    return outcome


def run_lane(targets: Sequence[str]) -> dict[str, Outcome]:
    """Run targets one after another."""
    return {target: run_target(target) for target in targets}


def pulse(targets: Sequence[str], over: Event) -> None:
    """Say now and then how many tests are done."""
    while not over.wait(PULSE):
        logs = [(t, log_of(t)) for t in targets if log_of(t).exists()]
        done = [f"{t} {len(_DONE.findall(log.read_text('utf-8', 'replace')))}" for t, log in logs]
        say("done so far: " + ", ".join(done))


def show(outcomes: dict[str, Outcome]) -> None:
    """Why tests were skipped, which failed, and what they said."""
    for target, outcome in outcomes.items():
        for reason, count in Counter(outcome.reasons).most_common():
            say(f"{target}: {count} skipped: {reason}")
    for target, outcome in outcomes.items():
        if outcome.report:
            write(f"\n{target}:\n{outcome.report}")
        if outcome.failures and not outcome.failed:
            say(f"{target}: passed when repeated alone: {' '.join(outcome.failures)}")


def main(words: Sequence[str]) -> int:
    """Run all lanes, but nothing after a first lane of its own that fails, which is ``check``."""
    lanes = [word.split(",") for word in words]
    for target in chain(*lanes):
        log_of(target).unlink(missing_ok=True)
    outcomes: dict[str, Outcome] = {}
    if lanes[0] == ["check"]:
        outcomes = run_lane(lanes.pop(0))
    if not any(outcome.failed for outcome in outcomes.values()):
        over = Event()
        talk = Thread(target=pulse, args=([*chain(*lanes)], over), daemon=True)
        talk.start()
        with ThreadPoolExecutor(len(lanes) or 1) as threads:
            for some in threads.map(run_lane, lanes):
                outcomes |= some
        over.set()
    show(outcomes)
    write(total(list(outcomes.values())))
    return int(any(outcome.failed for outcome in outcomes.values()))


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, end_all)
    sys.exit(main(sys.argv[1:]))
