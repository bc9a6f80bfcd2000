"""Real processes for end-to-end tests: each has an origin of its own."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.testing import client
from aimirror.testing.behaviour import pattern
from aimirror.testing.processes import OriginProgram, ServiceProgram

#: Seconds for one test, whatever hangs.
LIMIT = 60

SIZE = 12_000_000
CONTENT = pattern(SIZE, 7)
#: Bytes of a piece of it, and the most that is sent of a file that is fetched once: on a busy
#: machine its last pieces are slow, and raced.  Fetched twice, it is 2 * SIZE.
PIECE = 1_000_000
ONCE = SIZE + 5 * PIECE


class InBackground:
    """A function call in a thread of its own; its failure is raised by ``result``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        self._value: Any = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(function, arguments, named), daemon=True
        )
        self._thread.start()

    def _run(self, function: Callable[..., Any], arguments: Any, named: Any) -> None:
        try:
            self._value = function(*arguments, **named)
        except BaseException as failure:
            self._failure = failure

    def result(self) -> Any:
        self._thread.join(LIMIT)
        if self._failure is not None:
            raise self._failure
        return self._value


class EndToEndTests(SynchronousTestCase):
    """Starts and ends programs; each test has a hard limit."""

    def setUp(self) -> None:
        def too_long(*_: object) -> None:
            raise TimeoutError(f"not over after {LIMIT} s")

        previous = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(LIMIT)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        self.addCleanup(signal.alarm, 0)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.origin = OriginProgram(self.folder / "origin.log")
        self.addCleanup(self.origin.program.kill)

    def rule(self, **more: Any) -> dict[str, Any]:
        """A parallel rule for all paths of the origin."""
        return {
            "name": "files",
            "pattern": "^/",
            "upstream": self.origin.url,
            "strategy": "parallel",
            "min_size": 1,
            "concurrency": 8,
            "chunk_size": PIECE,
            "immutable": True,
            **more,
        }

    def start(self, **more: Any) -> ServiceProgram:
        """The service with that rule."""
        service = ServiceProgram(self.folder, [self.rule(**more)])
        self.addCleanup(service.program.kill)
        return service

    def serve(self, path: str = "/file.bin", **behaviour: Any) -> str:
        """Have the origin serve CONTENT at a path."""
        self.origin.script({path: {"size": SIZE, "seed": 7, **behaviour}})
        return path

    def settle(self, service: ServiceProgram) -> None:
        """Wait until no download runs: the last byte is sent before a file is put away."""
        while service.get("/health").json()["active_downloads"]:
            time.sleep(0.02)

    def assertWhole(self, reply: client.Reply) -> None:
        """The reply is a complete, right file."""
        self.assertEqual(reply.status, 200)
        self.assertTrue(reply.body == CONTENT, f"{len(reply.body)} bytes, not those of the file")


def resumed(get: Callable[[tuple[str, str]], client.Reply], attempts: int) -> bytes:
    """A file as a client gets it that goes on where it was cut off; ``get`` takes its Range."""
    data = b""
    for _ in range(attempts):
        try:
            reply = get(("Range", f"bytes={len(data)}-"))
            if reply.status == 206:
                return data + reply.body
        except client.Broken as broken:
            data += broken.received
        except OSError:
            pass
        time.sleep(0.3)
    return data
