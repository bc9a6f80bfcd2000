"""The real service in a Python without what Linux alone has, its workers included."""

from __future__ import annotations

import os
from pathlib import Path

from aimirror.testing.processes import ServiceProgram, own_environment
from tests.e2e.support import CONTENT, SIZE, EndToEndTests

ELSEWHERE = Path(__file__).resolve().parent.parent / "elsewhere"


class ElsewhereTests(EndToEndTests):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.folder / "elsewhere.log"
        own = own_environment()
        path = os.pathsep.join([own["PYTHONPATH"], str(ELSEWHERE)])
        self.environment = {**own, "PYTHONPATH": path, "AIMIRROR_ELSEWHERE_LOG": str(self.log)}

    def serve_there(self) -> ServiceProgram:
        service = ServiceProgram(self.folder, [self.rule()], environment=self.environment)
        self.addCleanup(service.program.kill)
        return service

    def test_file(self) -> None:
        """A file comes by ranges, again from the cache, in part, and whole after a restart."""
        service, path = self.serve_there(), self.serve()
        self.assertWhole(service.get(path))
        self.settle(service)
        self.assertGreater(self.origin.count(path).ranged, 1)
        again = service.get(path)
        self.assertWhole(again)
        self.assertEqual(again.headers.get("X-Cache"), "HIT")
        part = service.get(path, ("Range", f"bytes=123456-{SIZE - 2}"))
        self.assertEqual((part.status, part.body == CONTENT[123456:-1]), (206, True))
        service.program.stop()
        asked = self.origin.count(path)
        self.assertWhole(self.serve_there().get(path))
        self.assertEqual(self.origin.count(path), asked)

    def test_reactor(self) -> None:
        """Where there is kqueue, the service and its workers take it before any other reactor."""
        self.environment["AIMIRROR_ELSEWHERE_KQUEUE"] = "1"
        service, path = self.serve_there(), self.serve()
        self.assertWhole(service.get(path))
        service.wait_for_workers()
        lines = self.log.read_text("utf-8").splitlines()
        installed = [line for line in lines if line.startswith("kqueue for ")]
        self.assertEqual(sum("-m aimirror --config" in line for line in installed), 1)
        workers = sum("aimirror.workers.worker" in line for line in installed)
        self.assertEqual(workers, len(service.program.children()))

    def test_everywhere(self) -> None:
        """The service and each of its workers run there."""
        service = self.serve_there()
        service.wait_for_workers()
        began = self.log.read_text("utf-8").splitlines()
        self.assertEqual(sum("-m aimirror --config" in line for line in began), 1)
        workers = sum("aimirror.workers.worker" in line for line in began)
        self.assertEqual(workers, len(service.program.children()))
