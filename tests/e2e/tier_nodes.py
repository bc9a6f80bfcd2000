"""What tests of the second tier with real processes share: a scripted store, nodes before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from aimirror.testing.processes import ServiceProgram
from aimirror.testing.s3 import ACCESS, SECRET, Script, Served
from tests.e2e.support import EndToEndTests

CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}


class TierCase(EndToEndTests):
    """``script`` says what the store does; ``sections`` lead nodes to it."""

    if find_spec("botocore") is None:
        skip = "botocore is not installed"

    def setUp(self) -> None:
        super().setUp()
        self.script = Script()
        self.store = Served(self.script)
        self.addCleanup(self.store.close)
        self.key = self.folder / "key"
        self.key.write_text("k" * 32)
        self.sections: dict[str, Any] = {
            "cluster": {"key_file": str(self.key)},
            "tier": {"url": "s3://bucket/p", "endpoint": f"http://127.0.0.1:{self.store.port}"},
        }


class NodesCase(TierCase):
    """Nodes with disks of their own before one origin and one store."""

    def node(self, name: str, store: bool = True, **more: Any) -> ServiceProgram:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        sections = self.sections if store else {}
        service = ServiceProgram(folder, [self.rule(**more)], environment=CREDENTIALS, **sections)
        self.addCleanup(service.program.kill)
        if store:
            self.wait(lambda: service.get("/health").json()["tier"] == "closed")
        return service

    def wait(self, ready: Callable[[], bool]) -> None:
        while not ready():
            time.sleep(0.05)

    def number(self, service: ServiceProgram, name: str) -> float:
        """The sum of a metric."""
        lines = service.get("/metrics").body.decode().splitlines()
        values = (line.rpartition(" ")[2] for line in lines if line.startswith(name))
        return sum(map(float, values))

    def sent(self, service: ServiceProgram) -> None:
        """Wait until all that a node has stored is in the store."""
        self.settle(service)
        self.wait(lambda: self.number(service, "aimirror_tier_queue ") == 0)

    def filled(self, **behaviour: Any) -> str:
        """A path whose file one node has brought into the store, before it died."""
        path = self.serve(**behaviour)
        first = self.node("first")
        self.assertWhole(first.get(path))
        self.sent(first)
        first.program.kill()
        self.serve(**behaviour)  # counts anew
        return path
