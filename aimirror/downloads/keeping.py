"""How often the journal of a running download follows what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from aimirror.cache.parts import Part

#: Seconds, or a share of the file, after which what is written is noted: it survives the death
#: of every process.  A note costs a line of text.
NOTE_SECONDS = 0.25
NOTE_SHARE = 1 / 64
#: Seconds, or a share of the file, after which it is made durable: it survives the loss of power.
#: That makes the disk work now instead of later.
SYNC_SECONDS = 2.0
SYNC_SHARE = 1 / 16


class Keeping:
    """Notes and syncs one part as it grows to ``total`` bytes; ``now`` is in seconds."""

    log = Logger()

    def __init__(self, part: Part, total: int, now: float) -> None:
        self._part = part
        self._total = total
        self._noted = self._synced = (now, part.written.total())
        self._told = False

    def follow(self, written: int, now: float) -> None:
        """So many bytes are written now."""
        if self._due(self._noted, written, now, NOTE_SECONDS, NOTE_SHARE):
            self._noted = now, written
            self._part.note().addErrback(self._failed)
        if self._due(self._synced, written, now, SYNC_SECONDS, SYNC_SHARE):
            self._synced = now, written
            self._part.checkpoint().addErrback(self._failed)

    def _due(
        self, last: tuple[float, int], written: int, now: float, seconds: float, share: float
    ) -> bool:
        at, before = last
        return now - at >= seconds or written - before >= share * self._total

    def _failed(self, failure: Failure) -> None:
        """The download goes on: without a journal it can't be resumed, that is all."""
        if not self._told:
            self._told = True
            self.log.warn("a download can't be resumed later: {why}", why=failure.value)
