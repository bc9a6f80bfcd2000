"""Tests of how often the collector of cyclic garbage looks."""

import ast
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import aimirror
from aimirror.collector import THRESHOLDS

SETTLED = """
import gc
from aimirror.collector import collect_rarely
kept = [[] for _ in range(1000)]
collect_rarely()
print(gc.get_freeze_count() > 1000, gc.get_threshold())
"""
#: The programs that serve, and where each says that it is ready.
PROGRAMS = ("commands/serve.py", "tap.py", "workers/worker/__main__.py")


class CollectorTests(SynchronousTestCase):
    """``collect_rarely``."""

    def test_settled(self) -> None:
        """What is there is left alone, and new objects are looked at rarely."""
        code = [sys.executable, "-c", SETTLED]
        ended = subprocess.run(code, capture_output=True, text=True, check=True)
        self.assertEqual(ended.stdout.strip(), f"True {THRESHOLDS}")

    def test_programs(self) -> None:
        """Each program that serves sets it."""
        for program in PROGRAMS:
            tree = ast.parse((Path(aimirror.__file__).parent / program).read_text("utf-8"))
            calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
            names = [f.id for f in calls if isinstance(f, ast.Name)]
            self.assertIn("collect_rarely", names, program)
