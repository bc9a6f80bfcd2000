"""Running digests of part files, in threads."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import DeferredLock, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool

from aimirror.bounded import LRU
from aimirror.download.tasks import HashTask
from aimirror.platform import preadv, read_in_order
from aimirror.routing.digests import new_hash

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads
    from twisted.python.threadpool import ThreadPool

#: Files hashed at a time in one worker: a thread hashes some 0.4 to 1.5 GB/s, the disk is shared.
HASH_THREADS = 2
#: Bytes read at a time.
BUFFER = 1 << 20
#: Running states kept; a state is about a kilobyte, a lost one costs a second read.
MOST_STATES = 1024


@define(eq=False)
class _Running:
    """Digests of ``[0, position)`` of one file."""

    algorithms: tuple[str, ...]
    position: int = 0
    states: tuple[Any, ...] = ()
    lock: DeferredLock = field(factory=DeferredLock)

    def restart(self, algorithms: tuple[str, ...]) -> None:
        self.algorithms = algorithms
        self.position = 0
        self.states = tuple(_new(name) for name in algorithms)


class Hasher:
    """Continues digests as files grow; each file by one thread at a time."""

    def __init__(self, reactor: IReactorFromThreads, threads: ThreadPool) -> None:
        self._reactor = reactor
        self._threads = threads
        self._slots = DeferredSemaphore(HASH_THREADS)
        self._buffers = [bytearray(BUFFER) for _ in range(HASH_THREADS)]
        self._running: LRU[str, _Running] = LRU(MOST_STATES)
        self._closing = False

    async def digests(self, task: HashTask) -> dict[str, str]:
        """Digests (algorithm -> hex) of ``[0, task.stop)``.

        Raises OSError, also for a file that is too short and for an unknown algorithm (EINVAL).
        """
        running = self._state(task.key)
        await running.lock.acquire()
        try:
            await self._slots.acquire()
            buffer = self._buffers.pop()
            try:
                return await deferToThreadPool(
                    self._reactor, self._threads, self._advance, running, task, buffer
                )
            finally:
                self._buffers.append(buffer)
                self._slots.release()
        finally:
            running.lock.release()

    def forget(self, key: str) -> None:
        """Drop the state of a key."""
        self._running.pop(key)

    def close(self) -> None:
        """Make running threads stop early, with an OSError (ECANCELED)."""
        self._closing = True

    def _state(self, key: str) -> _Running:
        running = self._running.get(key)
        if running is None:
            running = _Running(())
            self._running.put(key, running)
        return running

    def _advance(self, running: _Running, task: HashTask, buffer: bytearray) -> dict[str, str]:
        """In a thread: read on to ``task.stop``, from 0 where the state is of no use."""
        if running.algorithms != task.algorithms or task.stop < running.position:
            running.restart(task.algorithms)
        fd = os.open(task.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            length = task.stop - running.position
            read_in_order(fd, running.position, length)
            with memoryview(buffer) as view:
                while running.position < task.stop:
                    self._step(fd, view, running, task.stop)
        except BaseException:
            running.restart(())
            raise
        finally:
            os.close(fd)
        pairs = zip(task.algorithms, running.states, strict=True)
        return {name: state.hexdigest() for name, state in pairs}

    def _step(self, fd: int, view: memoryview, running: _Running, stop: int) -> None:
        if self._closing:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        wanted = min(len(view), stop - running.position)
        count = preadv(fd, [view[:wanted]], running.position)
        if count == 0:
            raise OSError(errno.EIO, f"the file ends at {running.position}, expected {stop} bytes")
        for state in running.states:
            state.update(view[:count])
        running.position += count


def _new(algorithm: str) -> Any:
    try:
        return new_hash(algorithm)
    except ValueError:
        raise OSError(errno.EINVAL, f"unknown digest algorithm {algorithm!r}") from None
