"""Hands tasks to worker processes."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger
from twisted.protocols.amp import RemoteAmpError
from twisted.python.failure import Failure
from zope.interface import implementer

import aimirror
from aimirror.bounded import LRU
from aimirror.download.tasks import (
    FetchResult,
    FetchTask,
    HashTask,
    Reason,
    SendResult,
    SendTask,
)
from aimirror.http.urls import authority
from aimirror.interfaces import IPool
from aimirror.upstream.hosts import UNLIMITED, Hosts
from aimirror.workers.pool.fetch import PoolFetch
from aimirror.workers.pool.idle import Idle
from aimirror.workers.pool.process import Recipe, State
from aimirror.workers.pool.slot import Slot
from aimirror.workers.wire.commands import Failed, HashFailed
from aimirror.workers.wire.tasks import TaskTooLarge

#: Fetches in one worker at a time; AMP has no flow control, so this bounds what it carries.
WINDOW = 128
#: Fetches that wait for a worker.
MOST_WAITING = 10_000
#: Files whose hashing worker is remembered; a forgotten one costs a second read.
MOST_KEYS = 4096
#: Workers that a hash task may see die.
HASH_ATTEMPTS = 10
#: Deaths in a row, before a worker was up and soon after it was, from which on nobody waits for
#: it any more.
STILLBORN = 5
HOPELESS = 30

log = Logger()


@frozen
class WorkerStatus:
    """One worker for a status page; ``state`` is one of ``slot.State``'s values."""

    number: int
    pid: int | None
    state: str
    fetches: int
    hashing: int
    restarts: int


def worker_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment for a worker: ours, and where this very package was imported from.

    Folders of PYTHONPATH that are relative, an empty one included, would be the current one's.
    """
    home = str(Path(aimirror.__file__).parent.parent)
    given = inherited.get("PYTHONPATH", "").split(os.pathsep)
    path = [home, *(folder for folder in given if Path(folder).is_absolute())]
    return {**inherited, "PYTHONPATH": os.pathsep.join(path)}


@implementer(IPool)
class Pool:
    """``size`` worker processes, kept alive between ``start()`` and ``stop()``.

    A fetch goes to the worker with the fewest tasks; while none is up or all windows are full,
    fetches wait in order.  A fetch that can't be run at all ends as CONNECT, so that the download
    backs off as for an upstream that can't be reached.
    """

    def __init__(
        self,
        reactor: Any,
        size: int,
        environment: Mapping[str, str] | None = None,
        window: int = WINDOW,
        hosts: Hosts | None = None,
    ) -> None:
        self._hosts = hosts if hosts is not None else Hosts(reactor, UNLIMITED)
        self._idle = Idle(self._hosts, reactor.seconds)
        recipe = Recipe(worker_environment(os.environ if environment is None else environment))
        self._slots = tuple(Slot(reactor, number, recipe, self) for number in range(size))
        self._window = window
        self._running = False
        self._serial = 0
        self._waiting: deque[PoolFetch] = deque()
        self._hashers: LRU[str, Slot] = LRU(MOST_KEYS)
        self._awaiting: deque[Deferred[None]] = deque()

    def start(self) -> None:
        """Spawn the workers; after daemonising, never before."""
        self._running = True
        for slot in self._slots:
            slot.start()

    def stop(self) -> Deferred[None]:
        """End all tasks and workers; fires when the last process is gone."""
        self._running = False
        self._refuse_all("the workers are stopped")
        stopped = gatherResults([slot.stop() for slot in self._slots])
        return stopped.addCallback(lambda _: None)

    def fetch(self, task: FetchTask, wrote: Callable[[int, int], None]) -> PoolFetch:
        """Have a piece fetched; ``wrote(start, stop)`` is called as its bytes get readable."""
        self._serial += 1
        fetch = PoolFetch(evolve(task, id=self._serial), wrote)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting = deque(other for other in self._waiting if other.waiting)
        if not self._running:
            fetch.end(Reason.CONNECT, "the workers are stopped")
        elif len(self._waiting) >= MOST_WAITING:
            fetch.end(Reason.CONNECT, "too many pieces wait for a worker")
        else:
            self._begin(fetch, anew=not self._idle.at(fetch.host))
        return fetch

    def _begin(self, fetch: PoolFetch, *, anew: bool) -> None:
        enqueuing = Deferred.fromCoroutine(self._enqueue(fetch, anew))
        fetch.leave = enqueuing.cancel
        enqueuing.addErrback(lambda failure: failure.trap(CancelledError) and None)
        enqueuing.addErrback(_log_failure)

    async def _enqueue(self, fetch: PoolFetch, anew: bool) -> None:
        """Let it wait for a worker; for one more connection, once the host may have that."""
        if anew:
            await self._hosts.make_room(fetch.host)
            fetch.has_room = True
        if not self._running:
            fetch.end(Reason.CONNECT, "the workers are stopped")
        elif fetch.waiting:
            self._waiting.append(fetch)
            self._dispatch()

    def hash(self, task: HashTask) -> Deferred[dict[str, str]]:
        """Digests (algorithm -> hex) of ``[0, stop)``; fails with OSError."""
        return Deferred.fromCoroutine(self._hash(task))

    def forget(self, key: str) -> None:
        """Drop the hashing state of a key."""
        slot = self._hashers.pop(key)
        if slot is not None:
            slot.forget(key)

    def send(self, task: SendTask) -> Deferred[SendResult]:
        """Have part of a file PUT somewhere; never fails."""
        return Deferred.fromCoroutine(self._send(task))

    async def _send(self, task: SendTask) -> SendResult:
        host = authority(task.url)
        permit = self._hosts.count(host)
        permit.answered()  # it is answered when all is sent: until then silence tells nothing
        try:
            if not self._idle.at(host):
                await self._hosts.make_room(host)
            slot = self._fitting(host)
            if slot is None:
                return SendResult(0, detail="no worker is up")
            self._idle.use(slot, host)
            result = await slot.send(task)
        except (Failed, RemoteAmpError, ConnectionClosed, TaskTooLarge) as error:
            return SendResult(0, detail=f"{type(error).__name__}: {error}")
        finally:
            permit.release()
        if result.status and slot.ready:
            self._idle.keep(slot, host)
        return result

    def states(self) -> tuple[WorkerStatus, ...]:
        """All workers as they are now."""
        return tuple(
            WorkerStatus(s.number, s.pid, s.state.value, len(s.fetches), s.hashing, s.restarts)
            for s in self._slots
        )

    @property
    def queued(self) -> int:
        """Fetches that wait for a worker."""
        return sum(fetch.waiting for fetch in self._waiting)

    def crewed(self) -> bool:
        """Whether every worker is up."""
        return all(slot.state is State.READY for slot in self._slots)

    def vacant(self) -> None:
        """A slot got ready or finished a fetch."""
        waiting, self._awaiting = self._awaiting, deque()
        for waiter in waiting:
            waiter.callback(None)
        self._dispatch()

    def down(self, slot: Slot) -> None:
        """A slot takes no more tasks."""
        for key in [key for key, hasher in self._hashers.items() if hasher is slot]:
            self._hashers.pop(key)
        if all(_hopeless(slot) for slot in self._slots):
            self._refuse_all("no worker process stays alive")

    def _dispatch(self) -> None:
        while self._waiting:
            if not self._waiting[0].waiting:
                self._waiting.popleft()
                continue
            slot = self._fitting(self._waiting[0].host)
            if slot is None or len(slot.fetches) >= self._window:
                return
            fetch = self._waiting.popleft()
            if fetch.has_room or slot in self._idle.at(fetch.host):
                self._run(fetch, slot)
            else:  # another one has taken the idle connection that it was to have
                self._begin(fetch, anew=True)

    def _run(self, fetch: PoolFetch, slot: Slot) -> None:
        self._idle.use(slot, fetch.host)

        def kept(result: FetchResult) -> FetchResult:
            if result.kept and slot.ready:
                self._idle.keep(slot, fetch.host)
            return result

        fetch.ending = kept
        slot.fetch(fetch)

    def _fitting(self, host: str) -> Slot | None:
        """A worker that has an idle connection to the host, else the one with the least to do."""
        for slot in reversed(self._idle.at(host)):
            if slot.ready and len(slot.fetches) < self._window:
                return slot
        return self._idlest()

    def _idlest(self) -> Slot | None:
        return min((s for s in self._slots if s.ready), key=lambda s: s.load, default=None)

    def _refuse_all(self, detail: str) -> None:
        fetches, self._waiting = self._waiting, deque()
        awaiting, self._awaiting = self._awaiting, deque()
        for fetch in fetches:
            if fetch.waiting:
                fetch.end(Reason.CONNECT, detail)
        for waiter in awaiting:
            waiter.errback(OSError(errno.ECHILD, detail))

    async def _hash(self, task: HashTask) -> dict[str, str]:
        for _ in range(HASH_ATTEMPTS):
            slot = await self._hasher(task.key)
            try:
                return await slot.hash(task)
            except HashFailed as failed:
                raise failed.error() from None
            except (Failed, RemoteAmpError) as failed:
                raise OSError(errno.EIO, f"hashing failed: {failed}") from None
            except ConnectionClosed:
                continue
        raise OSError(errno.ECHILD, f"{HASH_ATTEMPTS} workers died hashing {task.path}")

    async def _hasher(self, key: str) -> Slot:
        """The slot that hashes this key; waits for one.  Raises OSError when there will be none."""
        slot = self._hashers.get(key) or self._idlest()
        while slot is None:
            if not self._running:
                raise OSError(errno.ECHILD, "the workers are stopped")
            ready: Deferred[None] = Deferred()
            self._awaiting.append(ready)
            await ready
            slot = self._idlest()
        self._hashers.put(key, slot)
        return slot


def _log_failure(failure: Failure) -> None:
    log.failure("A fetch could not be given to a worker", failure)


def _hopeless(slot: Slot) -> bool:
    dying = slot.stillborn >= STILLBORN or slot.early_deaths >= HOPELESS
    return dying and slot.state is State.WAITING
