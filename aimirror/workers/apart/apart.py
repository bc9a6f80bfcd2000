"""The parent's half: children that read what others wrote, and the jobs that wait for one."""

from __future__ import annotations

import json
import struct
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import Factory, define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.interfaces import Unreadable
from aimirror.workers.apart import FAILED, LEAVING

log = Logger()

#: Children, and jobs that wait for one.
CHILDREN = 2
MOST_WAITING = 512
#: CPU seconds for a job, and further ones for each byte: several times what packed indexes take.
#: What is small and hostile makes a client wait no longer than that.
SECONDS = 1.0
SECONDS_PER_BYTE = 1.0 / (1 << 20)
#: CPU seconds for a child to be up.
START_SECONDS = 3.0
#: Seconds by the clock, as a multiple of these: a busy machine is no fault of an index.
PATIENCE = 10.0
#: Bytes of an answer.
MOST_ANSWER = 256 << 20
_HEAD = struct.Struct(">BQ")

#: The bytes of a job, or what brings them when its turn has come.
Source = bytes | Callable[[], Awaitable[bytes]]
Reader = Callable[..., bytes]


@define(eq=False)
class _Job:
    call: str
    source: Source
    texts: tuple[str, ...]
    done: Deferred[bytes] = Factory(Deferred)


@define(eq=False)
class Apart:
    """Runs functions of this package on bytes in other processes.

    ``environment`` is that of the children.
    """

    reactor: Any
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = (sys.executable, "-P", "-m", "aimirror.workers.apart")
    _waiting: deque[_Job] = Factory(deque)
    _children: list[_Child] = Factory(list)
    _stopped: Deferred[None] | None = None

    def __call__(self, function: Reader, source: Source, *texts: str) -> Deferred[bytes]:
        """``function(data, *texts)``, which is a module's own and returns bytes.

        Fails with Unreadable when it raises, takes too long or too much, and with what ``source``
        fails with.  Cancelling gives it up.
        """
        job = _Job(f"{function.__module__}:{function.__qualname__}", source, texts)
        job.done = Deferred(lambda _: self._give_up(job))
        if self._stopped is not None or len(self._waiting) >= MOST_WAITING:
            job.done.errback(Unreadable("too much is to be read already"))
        else:
            self._waiting.append(job)
            self._next()
        return job.done

    def stop(self) -> Deferred[None]:
        """Kill all children; fires when they are gone."""
        if self._stopped is None:
            self._stopped = Deferred()
            for job in self._waiting:
                job.done.errback(Unreadable("the service stops"))
            self._waiting.clear()
            for child in self._children:
                child.kill()
            self._gone_all()
        stopped: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda _: stopped.callback(None))
        return stopped

    def _give_up(self, job: _Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
        for child in self._children:
            if child.job is job:
                child.kill()

    def _next(self) -> None:
        while self._waiting:
            child = next((each for each in self._children if each.idle), None)
            if child is None and len(self._children) >= CHILDREN:
                return
            job = self._waiting.popleft()
            if child is None:
                child = _Child(self)
                try:
                    child.spawn(job)
                except OSError as error:
                    job.done.errback(Unreadable(f"no process for it: {error}"))
                    continue
                self._children.append(child)
            else:
                child.take(job)

    def free(self) -> None:
        """A child has done its job."""
        self._next()

    def gone(self, child: _Child) -> None:
        """A child has ended."""
        if child in self._children:
            self._children.remove(child)
        self._gone_all()
        if self._stopped is None:
            self._next()

    def _gone_all(self) -> None:
        if self._stopped is not None and not self._children and not self._stopped.called:
            self._stopped.callback(None)


@define(eq=False)
class _Child(ProcessProtocol):
    """One process and its job; owns both pipes."""

    _parent: Apart
    job: _Job | None = None
    _up: bool = False
    _received: bytearray = field(factory=bytearray)
    _timer: Any = None
    _killed: bool = False
    _fetching: Deferred[Any] | None = None

    @property
    def idle(self) -> bool:
        return self._up and self.job is None and not self._killed

    def spawn(self, job: _Job) -> None:
        """Start; the job is done as soon as the process is up.  Raises OSError."""
        self.job = job
        parent = self._parent
        parent.reactor.spawnProcess(
            self,
            parent.arguments[0],
            parent.arguments,
            env=dict(parent.environment),
            childFDs={0: "w", 1: "r", 2: 2},
        )
        self._allow(START_SECONDS)

    def take(self, job: _Job) -> None:
        """Bring the job's bytes, and hand them over."""
        self.job = job
        self._fetching = Deferred.fromCoroutine(self._send(job))
        self._fetching.addErrback(self._no_bytes, job)

    async def _send(self, job: _Job) -> None:
        data = job.source if isinstance(job.source, bytes) else await job.source()
        if self.job is not job or self._killed:
            return
        seconds = SECONDS + len(data) * SECONDS_PER_BYTE
        order = {"call": job.call, "texts": job.texts, "size": len(data), "seconds": seconds}
        head = json.dumps(order).encode()
        self._allow(seconds)
        assert self.transport is not None
        for part in (struct.pack(">I", len(head)), head, data):
            self.transport.write(part)

    def _no_bytes(self, failure: Failure, job: _Job) -> None:
        if self.job is job:
            self.job = None
            if not job.done.called:
                job.done.errback(failure)
            self._parent.free()

    def _allow(self, seconds: float) -> None:
        self._unset()
        self._timer = self._parent.reactor.callLater(seconds * PATIENCE, self.kill)

    def _unset(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def kill(self) -> None:
        """End the process now."""
        self._killed = True
        self._unset()
        try:
            if self.transport is not None:
                self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            pass

    # -- ProcessProtocol ---------------------------------------------------------------------

    def outReceived(self, data: bytes) -> None:
        """An answer, or a part of one."""
        self._received += data
        if len(self._received) < _HEAD.size:
            return
        status, length = _HEAD.unpack_from(self._received)
        if length > MOST_ANSWER:
            self.kill()
            return
        end = _HEAD.size + length
        if len(self._received) >= end:
            answer = bytes(self._received[_HEAD.size : end])
            del self._received[:end]
            self._answered(status, answer)

    def _answered(self, status: int, answer: bytes) -> None:
        self._unset()
        job = self.job
        if not self._up:
            self._up = True
            if job is not None:
                self.take(job)
            return
        self.job = None
        self._killed = bool(status & LEAVING)
        if job is not None and not job.done.called:
            if status & FAILED:
                job.done.errback(Unreadable(answer.decode("utf-8", "replace")))
            else:
                job.done.callback(answer)
        self._parent.free()

    def processExited(self, reason: Failure) -> None:
        """Judged by this: the pipes may outlive it."""
        self._unset()
        self._killed = True
        job, self.job = self.job, None
        if self._fetching is not None:
            self._fetching.addErrback(lambda failure: failure.trap(CancelledError) and None)
            self._fetching.cancel()
        if job is not None and not job.done.called:
            log.warn("reading by {call} was given up: {why}", call=job.call, why=reason.value)
            job.done.errback(Unreadable("it takes too much time or memory"))
        self._parent.gone(self)
