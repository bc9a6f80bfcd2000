"""Programs are started, found with all their descendants, and ended."""

import os
import re
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.testing import client, processes
from aimirror.testing.processes import (
    OriginProgram,
    Program,
    ProgramFailed,
    RelayProgram,
    cpu_seconds,
)

FORKS = """
import os, signal, sys, time
child = os.fork()
def end(*_):
    os.kill(child, signal.SIGTERM)
    os.wait()
    sys.exit()
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif child:
    signal.signal(signal.SIGTERM, end)
if child:
    print("ready", flush=True)
time.sleep(30)
"""
READY = re.compile("ready")


class ProgramTests(SynchronousTestCase):
    def start(self, *arguments: str) -> Program:
        program = Program([sys.executable, *arguments], Path(self.mktemp()))
        self.addCleanup(program.kill)
        return program

    def test_stop_takes_all(self) -> None:
        """A program that ends its child is stopped, and nothing of it is left."""
        program = self.start("-c", FORKS)
        program.wait_for(READY)
        self.assertEqual(len(program.children()), 1)
        program.stop()
        self.assertEqual(program.family(), [])

    def test_without_proc(self) -> None:
        """Where there is no /proc, ps tells the same."""
        self.patch(processes, "stats", processes._of_ps)
        program = self.start("-c", FORKS)
        program.wait_for(READY)
        (child,) = program.children()
        first, second = program.family()
        self.assertEqual((first.pid, second.pid), (program.pid, child))
        self.assertEqual((first.parent, second.parent), (os.getpid(), program.pid))
        self.assertEqual(first.session, program.pid)
        program.stop()
        self.assertEqual(program.family(), [])

    def test_cpu_seconds(self) -> None:
        """The times of ps, as Linux, macOS and the BSDs write them."""
        for text, seconds in (
            ("0:00.05", 0.05),
            ("1:02.50", 62.5),
            ("123:00.00", 7380),
            ("00:01:02", 62),
            ("2-01:00:00", 2 * 86_400 + 3600),
        ):
            self.assertAlmostEqual(cpu_seconds(text), seconds, msg=text)

    def test_left_behind(self) -> None:
        """A program that does not end in time fails the stop, and is killed all the same."""
        program = self.start("-c", FORKS, "stubborn")
        program.wait_for(READY)
        self.assertRaises(ProgramFailed, program.stop, 0.3)
        self.assertEqual(program.family(), [])

    def test_never_ready(self) -> None:
        """A program that ends without the expected line fails with what it logged."""
        program = self.start("-c", "import sys; sys.exit('broken')")
        failure = self.assertRaises(ProgramFailed, program.wait_for, READY)
        self.assertIn("broken", str(failure))

    def test_origin_behind_relay(self) -> None:
        """An origin is scripted, asked through a relay, and both count alike."""
        folder = Path(self.mktemp())
        folder.mkdir()
        origin = OriginProgram(folder / "origin.log")
        self.addCleanup(origin.program.kill)
        relay = RelayProgram(folder / "relay.log", origin.port, rate=10_000_000, round_trip=0.01)
        self.addCleanup(relay.program.kill)
        origin.script({"/x": {"size": 100_000}})
        reply = client.request(relay.port, "/x")
        self.assertGreater(reply.took, 0.02)
        self.assertEqual(origin.count("/x").body_bytes, 100_000)
        passed = relay.passed(restart=True)
        self.assertEqual(passed["connections"], 1)
        self.assertGreater(passed["to_clients"], 100_000)
        self.assertEqual(relay.passed(), {"connections": 0, "to_clients": 0})
