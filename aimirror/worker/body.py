"""The body of one accepted answer on its way to the part file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from aimirror.core.fetching import Reason
from aimirror.worker.files import PartFile
from aimirror.worker.outcomes import Outcome, abort, disk_outcome, upstream_outcome
from aimirror.worker.throttle import Throttle
from aimirror.worker.writer import SpanWriter

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime


@frozen
class Terms:
    """What a body must keep to: its announced end, seconds of silence, bytes per second."""

    announced: int
    silence: float
    rate_limit: int = 0


class PieceBody(Protocol):
    """Writes a body of ``[start, announced)``; ``ended`` fires with its Outcome, never fails.

    It ends at ``announced`` with the connection kept for the next piece, or earlier at a trimmed
    ``stop``, by cancelling ``ended``, by an error: then the connection is dropped.
    """

    def __init__(
        self,
        clock: IReactorTime,
        part: PartFile,
        start: int,
        stop: int,
        terms: Terms,
        wrote: Callable[[int, int], None],
    ) -> None:
        self._clock = clock
        self._terms = terms
        self._writer = SpanWriter(clock, part, start, wrote, self._disk_failed)
        self._stop = min(stop, terms.announced)
        self._asked = stop
        self._throttle = Throttle(terms.rate_limit)
        self._pause: IDelayedCall | None = None
        self._silence: IDelayedCall | None = None
        self._heard = clock.seconds()
        self._over = False
        self.ended: Deferred[Outcome] = Deferred(lambda _: self._cancelled())

    @property
    def written(self) -> int:
        """The end of what is on file."""
        return self._writer.written

    def trim(self, stop: int) -> None:
        """End at ``stop`` already; what is on file beyond it stays."""
        self._asked = min(self._asked, stop)
        if self._over or stop >= self._stop:
            return
        self._stop = max(stop, self._writer.written)
        self._writer.cut(self._stop)
        if self._writer.position >= self._stop:
            self._drop(Outcome(Reason.DONE))

    def connectionMade(self) -> None:
        """The body is about to flow."""
        self._heard = self._clock.seconds()
        self._silence = self._clock.callLater(self._terms.silence, self._check_silence)

    def dataReceived(self, data: bytes) -> None:
        """Some bytes, in order."""
        if self._over:
            return
        now = self._heard = self._clock.seconds()
        room = self._stop - self._writer.position
        try:
            if room > 0:
                self._writer.write(data if len(data) <= room else data[:room])
        except OSError as error:
            self._drop(disk_outcome(error))
            return
        if len(data) >= room and self._stop < self._terms.announced:
            self._drop(Outcome(Reason.DONE))
        elif len(data) > room:
            self._drop(Outcome(Reason.PROTOCOL, "more bytes than announced"))
        else:
            self._throttle_after(len(data), now)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end of the body, whole or not."""
        if self._writer.position >= self._stop:
            self._end(self._reached())
        elif reason.check(ResponseDone, PotentialDataLoss):
            self._end(Outcome(Reason.SHORT, "the body ended early"))
        else:
            self._end(upstream_outcome(reason))

    def _reached(self) -> Outcome:
        """All that was announced is here: is it all that was asked for?"""
        if self._stop < self._asked:
            return Outcome(Reason.SHORT, "a shorter range than asked for")
        return Outcome(Reason.DONE)

    def _throttle_after(self, count: int, now: float) -> None:
        wait = self._throttle.pause_after(count, now)
        if wait > 0 and self._pause is None and self._writer.position < self._stop:
            self.transport.pauseProducing()  # type: ignore[union-attr]
            self._pause = self._clock.callLater(wait, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._heard = self._clock.seconds()
        self.transport.resumeProducing()  # type: ignore[union-attr]

    def _check_silence(self) -> None:
        """Fires at the earliest moment at which it may have been silent for long enough."""
        now = self._clock.seconds()
        left = self._heard + self._terms.silence - now
        if self._pause is not None or left > 0:
            wait = left if left > 0 else self._terms.silence
            self._silence = self._clock.callLater(wait, self._check_silence)
            return
        self._silence = None
        if self._writer.position >= self._stop:
            self._drop(self._reached())
        else:
            self._drop(Outcome(Reason.SILENT, f"no byte for {self._terms.silence:g} s"))

    def _disk_failed(self, error: OSError) -> None:
        self._drop(disk_outcome(error))

    def _cancelled(self) -> None:
        self._drop(Outcome(Reason.CANCELLED))

    def _drop(self, outcome: Outcome) -> None:
        """End, and close the connection: the rest of the body is not wanted."""
        self._end(outcome)
        abort(self.transport)

    def _end(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        for timer in (self._silence, self._pause):
            if timer is not None and timer.active():
                timer.cancel()
        try:
            if outcome.reason not in (Reason.DISK, Reason.DISK_FULL):
                self._writer.flush()
        except OSError as error:
            outcome = disk_outcome(error)
        self._writer.close()
        self.ended.callback(outcome)
