"""A worker process as its slot starts and hears it."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from aimirror.workers.pool.fetch import PoolFetch
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import Link

#: Seconds between a worker's answer and the next question whether it is there.
PING_EVERY = 10.0
#: Seconds without an answer after which it is killed; a full disk cache can block it for long.
PING_PATIENCE = 60.0
#: Seconds that a worker gets to leave after it was asked, and after SIGTERM.
ASK_PATIENCE = 5.0
TERM_PATIENCE = 3.0
#: Seconds between looks whether a killed worker is gone: the signal that tells may be lost.
LOOK_EVERY = 1.0
#: Seconds: a worker that lived this long was well, its end does not lengthen the back-off.
WELL_AFTER = 30.0
#: Seconds at most until one that was up is started again: it was killed, or a task was too much
#: for it, but the next one will get up, too.
SOON_AGAIN = 1.0


@frozen
class Recipe:
    """What to run."""

    environment: Mapping[str, str]
    arguments: tuple[str, ...] = (
        sys.executable,
        "-P",  # nothing is imported from the folder in which the service happens to run
        "-m",
        "aimirror.workers.worker",
    )
    #: Tells of children that are gone.
    reap: Callable[[], object] = reapAllProcesses


class Watch(ProcessProtocol):
    """Tells when the process has exited."""

    def __init__(self, exited: Callable[[Failure], None]) -> None:
        self._exited = exited

    def processExited(self, reason: Failure) -> None:
        """See ProcessProtocol."""
        self._exited(reason)


class ParentLink(Link):
    """The parent's end: hears of progress."""

    def __init__(self, lost: Callable[[], None], fetches: Mapping[int, PoolFetch]) -> None:
        super().__init__(lost)
        self._fetches = fetches

    @commands.Wrote.responder
    def _wrote(self, spans: Sequence[tuple[int, int, int]]) -> dict[str, object]:
        for id, start, stop in spans:
            if id in self._fetches:
                self._fetches[id].wrote(start, stop)
        return {}


class State(enum.Enum):
    """Where a slot is in its life; the table is in the docstring of ``slot``."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"
    WAITING = "waiting"
