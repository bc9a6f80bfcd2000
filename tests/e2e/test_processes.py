"""What becomes of files and processes when processes die or are ended."""

from __future__ import annotations

import os
import signal
import time

from aimirror.testing.client import Broken
from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import CONTENT, SIZE, EndToEndTests, InBackground

#: Seconds.
STOPS_WITHIN = 8.0


class DeathTests(EndToEndTests):
    def slow_download(self, service: ServiceProgram) -> tuple[str, InBackground]:
        """A client of a download of about three seconds, which has reached half of it."""
        path = self.serve(rate=500_000)
        running = InBackground(service.get, path)
        while self.origin.count(path).body_bytes < SIZE // 2:
            time.sleep(0.05)
        return path, running

    def test_worker_killed_midway(self) -> None:
        """kill -9 of a worker is not seen by the client, and the worker is replaced."""
        service = self.start()
        service.wait_for_workers()
        workers = service.program.children()
        path, running = self.slow_download(service)
        os.kill(workers[0], signal.SIGKILL)
        self.assertWhole(running.result())
        self.assertLess(self.origin.count(path).body_bytes, SIZE * 1.5)
        service.wait_for_workers()
        self.assertEqual(len(service.program.children()), len(workers))
        self.assertNotIn(workers[0], service.program.children())

    def test_all_killed_midway(self) -> None:
        """After kill -9 of everything at half, little more than the missing half is fetched."""
        service = self.start()
        path, running = self.slow_download(service)
        service.program.kill()
        broken = self.assertRaises(Broken, running.result)
        self.assertTrue(CONTENT.startswith(broken.received))
        before = self.origin.count(path).body_bytes
        self.assertWhole(self.start().get(path))
        total = self.origin.count(path).body_bytes
        self.assertLess(total, SIZE * 1.2, f"{before} bytes before, {total - before} after")

    def test_all_killed_after(self) -> None:
        """A finished file survives kill -9 and is served without asking upstream."""
        service, path = self.start(), self.serve()
        self.assertWhole(service.get(path))
        self.settle(service)
        service.program.kill()
        asked = self.origin.count(path)
        self.assertWhole(self.start().get(path))
        self.assertEqual(self.origin.count(path), asked)


class StopTests(EndToEndTests):
    def test_idle(self) -> None:
        """SIGTERM ends an idle service within seconds, all its processes included."""
        service = self.start()
        self.assertGreaterEqual(len(service.program.children()), 2)
        self.assertLess(service.program.stop(), STOPS_WITHIN)
        self.assertEqual(service.program.process.returncode, 0)

    def test_while_downloading(self) -> None:
        """SIGTERM in the middle of a download ends all processes, and the client is cut off."""
        service, path = self.start(), self.serve(rate=200_000)
        running = InBackground(service.get, path)
        while self.origin.count(path).body_bytes < 500_000:
            time.sleep(0.05)
        self.assertLess(service.program.stop(), STOPS_WITHIN)
        self.assertRaises(Broken, running.result)
