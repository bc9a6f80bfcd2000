"""The commands of a machine, carried out one after the other, and its one alarm."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from aimirror.download.commands import Command

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime


class InOrder:
    """Carries out commands; what is caused on the way comes after what was decided before.

    ``failed(error)`` says what follows from an error.
    """

    log = Logger()

    def __init__(
        self,
        carry_out: Callable[[Command], None],
        failed: Callable[[Exception], Sequence[Command]],
    ) -> None:
        self._carry_out_one = carry_out
        self._failed = failed
        self._pending: deque[Command] = deque()
        self._at_it = False

    def __call__(self, commands: Sequence[Command]) -> None:
        """Do them after those that are pending."""
        self._pending.extend(commands)
        if self._at_it:
            return
        self._at_it = True
        try:
            while self._pending:
                command = self._pending.popleft()
                try:
                    self._carry_out_one(command)
                except Exception as error:
                    if not isinstance(error, OSError):
                        self.log.failure("a download could not go on")
                    self._pending.extend(self._failed(error))
        finally:
            self._at_it = False


class Alarm:
    """Calls ``then`` at the earliest time that was set, until it is put off for good."""

    def __init__(self, clock: IReactorTime, then: Callable[[], None]) -> None:
        self._clock = clock
        self._then = then
        self._call: IDelayedCall | None = None
        self._off = False

    def set(self, at: float) -> None:
        """At the latest then: however much happens meanwhile, connections are looked at."""
        if self._call is not None and self._call.active():
            if self._call.getTime() <= at:
                return
            self._call.cancel()
        if not self._off:
            wait = max(0.0, at - self._clock.seconds())
            self._call = self._clock.callLater(wait, self._then)

    def off(self) -> None:
        """Never again."""
        self._off = True
        if self._call is not None and self._call.active():
            self._call.cancel()
