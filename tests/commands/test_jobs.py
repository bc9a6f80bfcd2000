"""How a command waits for a job, and lists jobs."""

from __future__ import annotations

import builtins
import contextlib
import io
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands import jobs
from aimirror.commands.jobs import followed, line

JOB = {
    "id": 3,
    "kind": "prefetch",
    "what": "2 URLs",
    "state": "running",
    "started": 100.0,
    "ended": None,
    "total": 4,
    "done": 1,
    "bytes": 5,
    "failed": 0,
    "message": "",
}


class Service:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, Any]] = []

    def post(self, name: str, **words: Any) -> dict[str, Any]:
        self.posted.append((name, words))
        return JOB


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class JobsTests(SynchronousTestCase):
    def interrupted(self, answer: str, terminal: bool = True) -> tuple[Service, int]:
        """Wait for a job, with ctrl-c each time; what was asked, and how often it was watched."""
        looks = []

        def follow(look: object) -> dict[str, Any]:
            looks.append(look)
            if len(looks) == 2:
                return {**JOB, "state": "done"}
            raise KeyboardInterrupt

        service = Service()
        self.patch(jobs, "follow", follow)
        self.patch(sys, "stdin", Terminal() if terminal else io.StringIO())
        self.patch(builtins, "input", lambda prompt: answer)
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                followed(service, 3)  # type: ignore[arg-type]
            except KeyboardInterrupt:
                return service, -len(looks)
        return service, len(looks)

    def test_asked(self) -> None:
        """Ctrl-c asks: the job goes on, is watched on, or is cancelled."""
        for answer, posted, looks in (
            ("", [], -1),
            ("r", [], -1),
            ("w", [], 2),
            ("c", [("cancel", {"id": 3})], -1),
        ):
            service, watched = self.interrupted(answer)
            self.assertEqual((service.posted, watched), (posted, looks), answer)

    def test_nobody_there(self) -> None:
        """Without a terminal nobody is asked, and the job goes on."""
        service, watched = self.interrupted("c", terminal=False)
        self.assertEqual((service.posted, watched), ([], -1))

    def test_line(self) -> None:
        """A job in one line: how far it is, since when, and what went wrong."""
        self.assertEqual(
            line(JOB, 160.0), "   3 prefetch  running         1/4      5 B  began 60 s ago   2 URLs"
        )
        ended = line(
            {**JOB, "state": "failed", "ended": 130.0, "failed": 2, "message": "why"}, 160.0
        )
        self.assertTrue(ended.endswith("ended 30 s ago   2 URLs, 2 failed why"), ended)
