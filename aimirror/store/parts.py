"""A body on its way: a file that is written in any order, and the journal beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.logger import Logger

from aimirror import platform
from aimirror.download.spans import Spans
from aimirror.platform import boot_id, reserve
from aimirror.store import journal
from aimirror.store.errors import disk_errors
from aimirror.store.journal import PartMeta
from aimirror.store.journalfile import JournalFile

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Runs a blocking call in a thread, as ``twisted.internet.threads.deferToThread`` does.
DeferToThread = Callable[..., "Deferred[Any]"]


class PartOwner(Protocol):
    """Whoever accounts for the bytes of parts."""

    def reserve(self, count: int) -> None:
        """Make sure that ``count`` more bytes may be used; raises DiskFull."""

    def resized(self, part: Part, change: int) -> None:
        """A part grew (or shrank) by so many bytes."""

    def closed(self, part: Part) -> None:
        """A part was closed, neither committed nor discarded."""


class Part:
    """One file being filled; made by the store alone.

    The part owns ``fd`` (read-write) and closes it in ``close()``, which whoever asked for the
    part calls exactly once, after its last reader has left, whatever else became of the part.
    Offsets and sizes are bytes.  Methods that write raise DiskFull or DiskError.
    """

    log = Logger()

    def __init__(
        self,
        id: str,
        meta: PartMeta,
        folder: Path,
        fd: int,
        owner: PartOwner,
        clock: IReactorTime,
        defer_to_thread: DeferToThread,
    ) -> None:
        self.id = id
        self.meta = meta
        self.path = folder / f"{id}.part"
        self.journal_path = folder / f"{id}.journal"
        self.fd = fd
        #: Bytes that the file takes: allocated, or up to the last byte written.
        self.size = 0
        #: Bytes that can be read; those of them that survive the death of this process; and
        #: those that survive the loss of power.
        self.written = Spans()
        self.noted = Spans()
        self.durable = Spans()
        #: Committed, quarantined or discarded: its files are no longer this part's.
        self.settled = False
        self._owner = owner
        self._clock = clock
        self._defer_to_thread = defer_to_thread
        self._journal = JournalFile(self.journal_path, meta)
        self._closed = False
        #: Held while a thread uses the descriptors, so that none is closed under it; a note need
        #: not wait for a sync, which may take seconds.
        self._syncing = DeferredLock()

    @classmethod
    def reopen(cls, fresh: Part, recorded: journal.Journal, journal_fd: int) -> Part:
        """Go on with what a journal says; a torn tail is cut off before more is appended."""
        fresh._journal.adopt(journal_fd, recorded.length)
        fresh.written = fresh.noted = recorded.written
        fresh.durable = recorded.durable
        fresh.size = os.fstat(fresh.fd).st_size
        return fresh

    # -- writing ---------------------------------------------------------------------------

    def allocate(self, total: int) -> None:
        """Reserve ``total`` bytes, so that a full disk shows now; on DiskFull nothing is kept."""
        if total <= self.size:
            return
        self._owner.reserve(total - self.size)
        with disk_errors("cannot reserve space for a download"):
            try:
                reserve(self.fd, total)
            except OSError:
                os.ftruncate(self.fd, self.size)
                raise
        self._resize(total)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write here and now, and make it readable."""
        left, position = memoryview(data), offset
        self._extend(offset + len(left))
        with disk_errors("cannot write a download"):
            while left:
                count = os.pwrite(self.fd, left, position)
                position += count
                left = left[count:]
        self.written = self.written.add(offset, position)

    def wrote(self, start: int, stop: int) -> None:
        """Somebody else (a worker) wrote ``[start, stop)`` into ``path``.

        Raises DiskFull when that is beyond what was allocated and the cache cannot hold it: the
        bytes are not readable then, and the part should be discarded.
        """
        if self.settled:
            return
        self._extend(stop)
        self.written = self.written.add(start, stop)

    def _extend(self, stop: int) -> None:
        """Count the growth of a part whose size was not known."""
        if stop > self.size:
            self._owner.reserve(stop - self.size)
            self._resize(stop)

    def _resize(self, size: int) -> None:
        change, self.size = size - self.size, size
        self._owner.resized(self, change)

    # -- surviving a crash -----------------------------------------------------------------

    def note(self) -> Deferred[None]:
        """Have all that is written by now survive the death of every process, but no power loss.

        Cheap: one line of text, not synced.  Fires when done; fails with DiskError.
        """
        try:
            self._note()
        except OSError as error:
            return fail(error)
        return succeed(None)

    def _note(self) -> None:
        snapshot, boot, now = self.written, boot_id(), self._clock.seconds()
        news = snapshot.minus(self.noted)
        if self.fd < 0 or self.settled or not news or not boot:
            return
        line = journal.note(news, boot, now)
        self._journal.append(line, now)  # here: a thread costs ten times the line
        self.noted = snapshot

    def checkpoint(self) -> Deferred[None]:
        """Make all that is written by now durable.

        One runs at a time; one asked for meanwhile waits and then does what is still to do, if
        anything.  Fires when done; fails with DiskError.  Cancelling does not stop it.
        """
        return _in_turn(self._syncing, lambda: self._checkpoint(""))

    def seal(self, blob: str) -> Deferred[None]:
        """A checkpoint that also announces in the journal which blob the file becomes."""
        return _in_turn(self._syncing, lambda: self._checkpoint(blob))

    async def _checkpoint(self, blob: str) -> None:
        snapshot = self.written
        news = snapshot.minus(self.durable)
        if self._closed or not (news or blob):
            return
        await self._defer_to_thread(self._sync, news, blob, self._clock.seconds())
        self.durable = snapshot

    def _sync(self, news: Spans, blob: str, now: float) -> None:
        """In a thread: first the bytes, then the word that they are there.

        The order is the point: ``news`` was taken before ``fdatasync`` began, and the journal
        learns of it only after ``fdatasync`` has returned.  So whatever is lost, a torn line or
        the whole journal, it never claims bytes that a power loss could have taken.  A body that
        is complete before its first checkpoint needs no journal at all.
        """
        with disk_errors("cannot sync a download"):
            if news:
                platform.datasync(self.fd)
        if not blob:
            self._journal.append(journal.progress(news, now), now)
            self._journal.sync()
        elif self._journal.begun:
            self._journal.append(journal.completion(blob, news, now), now)

    # -- the end ---------------------------------------------------------------------------

    def discard(self) -> None:
        """Give the bytes up and unlink the files; readers of ``fd`` go on until ``close()``."""
        if self.settled:
            return
        self.settle()
        self._after_sync(self._unlink)

    def settle(self) -> None:
        """The files are no longer this part's; its bytes are accounted for elsewhere from now."""
        self.settled = True
        self._owner.resized(self, -self.size)

    def close(self) -> Deferred[None]:
        """Close the descriptors.  Fires, never fails, when that is done.

        A part that is neither committed nor discarded stays on the disk for ``resumable``, with
        what is written by now; without a journal, it is discarded.
        """
        if self._closed:
            return self._after_sync(lambda: None)
        if not self.settled and self._journal.begun:
            self.note().addErrback(
                lambda failure: self.log.warn("part {id}: {why}", id=self.id, why=failure.value)
            )
        self._closed = True
        return self._after_sync(self._close)

    def _after_sync(self, act: Callable[[], None]) -> Deferred[None]:
        """Do something to the files when no thread uses them."""
        acting: Deferred[None] = self._syncing.run(act)
        return acting.addErrback(
            lambda failure: self.log.failure("part {id}: cannot tidy up", failure, id=self.id)
        )

    def _unlink(self) -> None:
        self.path.unlink(missing_ok=True)
        self.journal_path.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            if not self.settled and not self._journal.begun:
                self.settle()
                self._unlink()
        finally:
            os.close(self.fd)
            self.fd = -1
            self._journal.close()
        if not self.settled:
            self._owner.closed(self)


def _in_turn(lock: DeferredLock, act: Callable[[], Coroutine[Any, Any, None]]) -> Deferred[None]:
    """Run alone; cancelling gives up the result, never the lock while a thread runs."""
    given: Deferred[None] = Deferred()
    turn: Deferred[None] = lock.run(lambda: Deferred.fromCoroutine(act()))
    turn.chainDeferred(given)
    return given
