"""``aimirror prefetch -r``: what requirements need in turn comes, too, as uv or pip resolves it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aimirror.admin.own_token import read_token
from aimirror.testing import client
from aimirror.testing.pypi import wheel
from tests.clients.python_support import PythonTests
from tests.clients.worlds import ROOT, find_client


class PrefetchTests(PythonTests):
    def check(self, resolver: str) -> None:
        """By a resolver of this name; a client then needs no upstream."""
        self.publish()
        self.index.add(wheel("demo-lib", "2.0"))
        service = self.serve()
        folder = self.fresh(f"lists-{resolver}")
        (folder / "requirements.txt").write_text("-r more.txt\n-c limits.txt\n")
        (folder / "more.txt").write_text("demo.app  # the application\n")
        (folder / "limits.txt").write_text("demo-lib<2\n")
        path = str(Path(find_client("uv", "uv")).parent) if resolver == "uv" else "/usr/bin:/bin"
        command = [sys.executable, "-m", "aimirror", "prefetch", "--config", str(service.config)]
        command += ["--url", self.mirror, "requirements.txt"]
        said = self.assertRuns(command, folder, PYTHONPATH=str(ROOT), PATH=path)
        self.assertIn("done: ", said)
        self.assertIn(" 0 failed", said)
        self.settle()
        listed = self.assertRuns(
            [*command[:3], "ls", *command[4:8]], folder, PYTHONPATH=str(ROOT), PATH=path
        )
        self.assertIn("demo_lib-1.5", listed)
        self.assertNotIn("demo_lib-2.0", listed)
        self.index.stop()
        limits = str(folder / "limits.txt")
        self.assertInstalled(self.pip("pip", "dead", "-c", limits, "demo.app")[0])

    def test_service(self) -> None:
        """The service itself, where neither is: by the newest version that fits all."""
        self.publish()
        self.index.add(wheel("other", "1.0", ["demo-lib<2"]))
        self.index.add(wheel("demo-lib", "2.0", ["nothing-more; extra == 'x'"]))
        service = self.serve()
        body = json.dumps({"requirements": "demo.app\nother\n", "dependencies": True}).encode()
        token = ("X-Aimirror-Token", read_token(service.cache))
        answer = client.request(
            service.port, "/aimirror/api/prefetch", [token], method="POST", body=body
        )
        command = [sys.executable, "-m", "aimirror", "jobs", "--config", str(service.config)]
        command += ["--url", self.mirror, "--follow", str(answer.json()["id"])]
        self.assertIn("done", self.assertRuns(command, PYTHONPATH=str(ROOT)))
        self.settle()
        self.index.stop()
        self.assertInstalled(self.pip("pip", "dead", "demo.app", "other")[0])

    def test_pip(self) -> None:
        """pip."""
        self.check("pip")

    def test_uv(self) -> None:
        """uv."""
        self.check("uv")
