"""A worker process as its slot starts and hears it."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from aimirror.workers.pool.fetch import PoolFetch
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import Link

if TYPE_CHECKING:
    pass


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
