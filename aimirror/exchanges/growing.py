"""A body that clients read while it is being written."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from aimirror.download.proof import waits_for_proof
from aimirror.download.tasks import Reason
from aimirror.interfaces import BodyFailed, IArrivingBody, IBodyReader
from aimirror.store.inuse import InUse, Pace, hollow

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds for which a complete body that is stored nowhere waits for readers still to come.
LINGER = 30.0

#: With more waiting readers than this, each is woken for STEP bytes or after PATIENCE seconds:
#: a wake costs each of a crowd a system call, and every byte that it takes is sent once for each.
#: It comes when all that has arrived is taken in: the end of a piece should not wait for it.
FEW = 4
STEP = 512 << 10
PATIENCE = 0.05

#: Called with (reader, position, stop): a reader came or jumped; and with (reader): it left.
Joined = Callable[[int, int, int | None], None]
Left = Callable[[int], None]


@implementer(IBodyReader)
class GrowingReader:
    """One client's place in a growing body."""

    fd: int
    position: int

    def __init__(self, body: GrowingBody, number: int, start: int, stop: int | None) -> None:
        self.fd = body.fd
        self._body = body
        self._number = number
        self.position = self._start = start
        self._stop = stop
        size = body.size
        #: Whether the bytes that are held back until the digest is right are held back from it.
        self.held = size is None or waits_for_proof(start, stop, size)
        #: The end of what could be read when that was looked up, in which turn of the body.
        self._end, self._turn = start, -1
        self._waiting: Deferred[None] | None = None
        self._closed = False
        self.pace = Pace(start, body.now())

    @property
    def stop(self) -> int | None:
        """Where this reader ends; None while nobody knows."""
        size = self._body.size
        if self._stop is None:
            return size
        return self._stop if size is None else min(self._stop, size)

    def ready(self) -> int:
        """Bytes that can be read at ``position`` now."""
        body = self._body
        if body.failed is not None:
            return 0
        if self.position >= self._end and self._turn != body.turn:
            self._may_read_to(body.end_for(self))
        return max(0, self._end - self.position)

    def _may_read_to(self, end: int) -> None:
        stop, self._turn = self.stop, self._body.turn
        self._end = end if stop is None else min(end, stop)

    def ended(self) -> bool:
        """Whether all bytes up to ``stop`` were sent."""
        stop = self.stop
        return stop is not None and self.position >= stop

    def wait(self) -> Deferred[None]:
        """Fires when there is something to read or the end is reached; fails with BodyFailed."""
        if self.ready() or self.ended():
            return succeed(None)
        if self._body.failed is not None:
            return fail(BodyFailed(*self._body.failed))
        self._waiting = Deferred(lambda _: self._rest())
        self._body.waiting[self._number] = self
        return self._waiting

    def wake(self, end: int, least: int) -> bool:
        """Go on if ``least`` bytes are readable, the first ones, or all that are still to come.

        ``end`` is that of the readable run here.  Whether it goes on waiting beside some bytes.
        """
        waiting = self._waiting
        if waiting is None:
            return False
        stop, failed = self.stop, self._body.failed
        last = stop is not None and end >= stop
        enough = end - self.position >= least or self.position == self._start
        if last or (end > self.position and enough):
            self._rest()
            self._may_read_to(end)
            waiting.callback(None)
        elif failed is not None:
            self._rest()
            waiting.errback(BodyFailed(*failed))
        return self._waiting is not None and end > self.position

    def _rest(self) -> None:
        """It does not wait any more."""
        self._waiting = None
        self._body.waiting.pop(self._number, None)

    def advance(self, count: int) -> None:
        """``count`` bytes were sent."""
        self.position += count
        self.pace.moved(self.position, self._body.now())
        self._body.advanced(self._number, self.position)

    def close(self) -> None:
        """Leave; idempotent."""
        if not self._closed:
            self._closed = True
            self._rest()
            self._body.closed(self._number)


@implementer(IArrivingBody)
class GrowingBody:
    """A part file with readable spans.

    Owns one read-only descriptor, closed when the writing is over and the last reader has left,
    and opened again for a reader that comes later.
    ``readable(position)`` gives the end of the readable run there, ``arrived`` that for readers who
    need not wait for the file's proof; ``joined``, ``advanced`` and
    ``left`` tell the writer about demand.  With a ``clock``, a crowd of readers is woken in steps.
    """

    size: int | None
    complete: bool

    def __init__(
        self,
        path: str,
        size: int | None,
        readable: Callable[[int], int],
        *,
        arrived: Callable[[int], int] | None = None,
        joined: Joined = lambda reader, position, stop: None,
        advanced: Callable[[int, int], None] = lambda reader, position: None,
        left: Left = lambda reader: None,
        clock: IReactorTime | None = None,
    ) -> None:
        self._path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = size
        self.complete = False
        #: Why the body can't be completed, once that is known.
        self.failed: tuple[str, Reason] | None = None
        self.readable = readable
        #: Counts the times at which more may have become readable.
        self.turn = 0
        self._arrived = readable if arrived is None else arrived
        self.advanced = advanced
        self._joined = joined
        self._left = left
        self._clock = clock
        self._soon: IDelayedCall | None = None
        self._later: IDelayedCall | None = None
        self._readers: dict[int, GrowingReader] = {}
        #: Of them, by number, those that have all that is readable.
        self.waiting: dict[int, GrowingReader] = {}
        self._numbers = itertools.count(1)
        self._over = False
        #: Where its readers count once all is written, and the blob that its file is then.
        self._in_use = InUse()
        self._blob = ""
        self._cut = False

    def reader(self, start: int, stop: int | None) -> GrowingReader:
        """A reader of ``[start, stop)``; its demand is known to the writer at once.

        Raises BodyFailed when the stored file has been evicted meanwhile.
        """
        if self._cut:
            raise BodyFailed("the stored file had to make room")
        if self.fd < 0 and self.failed is None:
            try:
                self.fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise BodyFailed("the stored file is gone") from error
            self._in_use.opened(self, self.size or 0, self._blob)
        number = next(self._numbers)
        made = self._readers[number] = GrowingReader(self, number, start, stop)
        if not self._over:
            self._joined(number, start, stop)
        return made

    def end_for(self, reader: GrowingReader) -> int:
        """The end of the run that a reader may read where it is."""
        end = self.readable(reader.position)
        return end if reader.held else max(end, self._arrived(reader.position))

    @property
    def whole(self) -> bool:
        """Whether every byte can be read, though the last sync may still be under way."""
        return self.size is not None and self.readable(0) >= self.size

    @property
    def sound(self) -> bool:
        """Whether it is whole, and no reader of it will be cut off."""
        return self.whole and self.failed is None

    @property
    def readers(self) -> int:
        """How many are reading."""
        return len(self._readers)

    def wake(self) -> None:
        """Something became readable: those that wait go on, a crowd of them soon."""
        self.turn += 1
        if self._clock is None or len(self.waiting) <= FEW:
            self._wake(1)
        elif self._soon is None:
            self._soon = self._clock.callLater(0, self._wake_crowd)

    def _wake_crowd(self) -> None:
        self._soon = None
        if self._wake(STEP) and self._later is None and self._clock is not None:
            self._later = self._clock.callLater(PATIENCE, self._wake_late)

    def _wake_late(self) -> None:
        self._later = None
        self._wake(1)

    def _wake(self, least: int) -> bool:
        """Wake those for whom that many bytes are there; whether somebody waits beside fewer."""
        place: tuple[int, bool] | None = None
        end = -1
        left_waiting = False
        for reader in list(self.waiting.values()):
            if (reader.position, reader.held) != place:  # most of them are at the frontier
                place = reader.position, reader.held
                end = self.end_for(reader)
            left_waiting |= reader.wake(end, least)
        return left_waiting

    def proven(self, size: int) -> None:
        """All bytes are there and what they should be; nobody needs to wait for the disk's sync."""
        self.size, self.complete = size, True
        self.turn += 1
        self._wake(1)

    def finish(self, size: int, path: str, blob: str, in_use: InUse) -> None:
        """All bytes are there and proven; from now on the file of the blob is at ``path``."""
        self._path, self._blob = path, blob
        self.proven(size)
        self._read_on(size, blob if self._is_at(path) else "", in_use)
        self._writing_over()

    def _is_at(self, path: str) -> bool:
        """Whether that is the very file; another one with the same bytes may be there."""
        try:
            return os.path.samestat(os.fstat(self.fd), Path(path).stat())
        except OSError:
            return False

    def finish_unstored(self, size: int, clock: IReactorTime, in_use: InUse) -> None:
        """All bytes are there, but the file has no name any more: it ends with its readers.

        The descriptor stays open for a while, for clients that are about to read.
        """
        self.proven(size)
        self._read_on(size, "", in_use)
        clock.callLater(LINGER, self._writing_over)

    def _read_on(self, size: int, blob: str, in_use: InUse) -> None:
        """From now on the readers' pace is their own, not that of the upstream."""
        self._in_use = in_use
        if self.fd >= 0:
            in_use.opened(self, size, blob)
        for reader in self._readers.values():
            reader.pace = Pace(reader.position, self.now())

    def now(self) -> float:
        """Seconds."""
        return 0.0 if self._clock is None else self._clock.seconds()

    def slow(self) -> bool:
        """Whether it has readers, and all of them are slow."""
        now = self.now()
        return bool(self._readers) and all(r.pace.slow(now) for r in self._readers.values())

    def cut(self) -> None:
        """Give the stored file up under its readers."""
        self._cut = True
        hollow(self.fd)
        self._in_use.closed(self)

    def fail(self, detail: str, reason: Reason) -> None:
        """The body can't be completed: readers are cut off where they are."""
        if not self.complete and self.failed is None:
            self.failed = detail, reason
            self.readable = self._arrived = lambda position: position
            self._wake(1)
            self._writing_over()

    def _writing_over(self) -> None:
        """No more bytes will come; the descriptor closes with the last reader."""
        self._over = True
        calls = (self._soon, self._later)
        self._soon = self._later = None
        for call in calls:
            if call is not None:
                call.cancel()
        self._close_if_unused()

    def closed(self, number: int) -> None:
        """A reader has left."""
        if self._readers.pop(number, None) is not None and not self._over:
            self._left(number)
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._over and not self._readers and self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._in_use.closed(self)
