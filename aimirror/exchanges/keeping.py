"""How often the journal of a running download follows what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from aimirror.store.parts import Part

#: What is written is noted, which costs a line of text and survives the death of every process,
#: after this share of the file, or after these seconds.
NOTE_SHARE = 1 / 128
NOTE_SECONDS = 0.25
#: Seconds after which it is made durable: it survives the loss of power, which then costs no more
#: than these seconds.  Syncing more often has the disk work while bytes arrive: measured on 512 MB
#: at full speed, every 16th of the file took half as long again.
SYNC_SECONDS = 2.0
#: Bytes, and the share of the file, that are worth a line: many small files need no journal, and
#: it bounds that of a file that takes days.
LEAST_BYTES = 256 << 10
LEAST_SHARE = 1 / 65_536


class Keeping:
    """Notes and syncs one part as it grows to ``total`` bytes; ``now`` is in seconds."""

    log = Logger()

    def __init__(self, part: Part, total: int, now: float) -> None:
        self._part = part
        self._least = max(LEAST_BYTES, total * LEAST_SHARE)
        self._step = max(self._least, total * NOTE_SHARE)
        self._noted = self._synced = part.written.total()
        self._noted_at = self._synced_at = now
        self._warned = False

    def follow(self, written: int, now: float) -> None:
        """So many bytes are written now."""
        news = written - self._noted
        if news >= self._step or (news >= self._least and now - self._noted_at >= NOTE_SECONDS):
            self._noted, self._noted_at = written, now
            self._part.note().addErrback(self._failed)
        if written - self._synced >= self._least and now - self._synced_at >= SYNC_SECONDS:
            self._synced, self._synced_at = written, now
            self._part.checkpoint().addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """The download goes on: without a journal it can't be resumed, that is all."""
        if not self._warned:
            self._warned = True
            self.log.warn("a download can't be resumed later: {why}", why=failure.value)
