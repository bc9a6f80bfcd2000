"""The life of one worker process: spawn, watch, restart, stop.

    IDLE --start--> STARTING --first pong--> READY
    STARTING, READY --process exits--> WAITING --back-off is over--> STARTING
    STARTING, READY --link lost or stop()--> LEAVING --process exits--> WAITING, or IDLE if stopped
    WAITING --stop()--> IDLE

Tasks are given in READY only.  Death is judged by ``processExited``: ``processEnded`` would wait
for every grandchild that holds a descriptor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionClosed, ProcessExitedAlready
from twisted.logger import Logger
from twisted.protocols.amp import RemoteAmpError
from twisted.python.failure import Failure

from aimirror.download.backoff import wait_before
from aimirror.download.tasks import HashTask, Reason, SendResult, SendTask
from aimirror.workers.pool.fetch import PoolFetch
from aimirror.workers.pool.process import (
    ASK_PATIENCE,
    LOOK_EVERY,
    PING_EVERY,
    PING_PATIENCE,
    SOON_AGAIN,
    TERM_PATIENCE,
    WELL_AFTER,
    ParentLink,
    Recipe,
    State,
    Watch,
)
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import WORKER_FD, Link, adopt, socket_pair
from aimirror.workers.wire.tasks import pack_send, unpack_sent

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IProcessTransport

log = Logger()


class Crew(Protocol):
    """What a slot tells its pool."""

    def vacant(self) -> None:
        """A slot got ready or finished a fetch."""

    def down(self, slot: Slot) -> None:
        """A slot takes no more tasks; those it has are about to fail."""


class Slot:
    """One place for a worker process.

    Owns the parent's end of the socketpair (through the link's transport) and the process.
    """

    def __init__(self, reactor: Any, number: int, recipe: Recipe, crew: Crew) -> None:
        self._reactor = reactor
        self._recipe = recipe
        self._crew = crew
        self._link: Link | None = None
        self._process: IProcessTransport | None = None
        self._timer: IDelayedCall | None = None
        self._born = 0.0
        self._was_up = False
        self._pid = 0
        self._stopped: Deferred[None] | None = None
        self.number = number
        self.state = State.IDLE
        self.fetches: dict[int, PoolFetch] = {}
        self.hashing = self.sending = 0
        self.restarts = 0
        #: How often in a row it died young, and how often before it was up.
        self.early_deaths = self.stillborn = 0

    @property
    def ready(self) -> bool:
        """Whether it takes tasks."""
        return self.state is State.READY

    @property
    def load(self) -> int:
        """Tasks in the worker."""
        return len(self.fetches) + self.hashing + self.sending

    @property
    def pid(self) -> int | None:
        """Of the worker process, None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Spawn the first process."""
        if self.state is State.IDLE:
            self._spawn()

    def stop(self) -> Deferred[None]:
        """Ask the worker to leave, then SIGTERM, then SIGKILL; fires when the process is gone."""
        if self._process is None:
            self._await_nothing()
            self.state = State.IDLE
            return succeed(None)
        if self._stopped is None:
            self._stopped = Deferred()
            self._leave()
            if self._link is not None:
                self._link.tell(commands.Stop)
        stopped: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda _: stopped.callback(None))
        return stopped

    def fetch(self, fetch: PoolFetch) -> None:
        """Run a fetch in the worker; the slot must be ready."""
        assert self._link is not None
        self.fetches[fetch.task.id] = fetch

        def over(_: None) -> None:
            del self.fetches[fetch.task.id]
            self._crew.vacant()

        fetch.run(self._link).addCallback(over).addErrback(_log_failure)

    async def hash(self, task: HashTask) -> dict[str, str]:
        """Run a hash task in the worker; raises what the link's ``ask`` fails with."""
        assert self._link is not None
        self.hashing += 1
        try:
            answer = await self._link.ask(
                commands.Hash,
                key=task.key,
                path=os.fsencode(task.path),
                algorithms=[name.encode("ascii") for name in task.algorithms],
                stop=task.stop,
            )
        finally:
            self.hashing -= 1
        values = (value.decode("ascii") for value in answer["digests"])
        return dict(zip(task.algorithms, values, strict=True))

    async def close_idle(self, host: str) -> None:
        """Have the worker close an idle connection; nothing happens when it is gone."""
        if self._link is not None and self.ready:
            try:
                await self._link.ask(commands.CloseIdle, host=host)
            except (commands.Failed, RemoteAmpError, ConnectionClosed) as error:
                log.debug("Worker {number}: {error}", number=self.number, error=str(error))

    async def send(self, task: SendTask) -> SendResult:
        """Run a task that sends in the worker; raises what the link's ``ask`` fails with."""
        assert self._link is not None
        self.sending += 1
        try:
            answer = await self._link.ask(commands.Send, task=pack_send(task))
        finally:
            self.sending -= 1
        return unpack_sent(answer["result"])

    def forget(self, key: str) -> None:
        """Drop the worker's hashing state of a key."""
        if self._link is not None:
            self._link.tell(commands.Forget, key=key)

    def _spawn(self) -> None:
        self._timer = None
        self._born = self._reactor.seconds()
        self._was_up = False
        self.state = State.STARTING
        ours, theirs = socket_pair()
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            self._link = link = ParentLink(lambda: self._link_lost(link), self.fetches)
            adopt(self._reactor, ours, link)
            self._process = self._reactor.spawnProcess(
                Watch(self._exited),
                self._recipe.arguments[0],
                self._recipe.arguments,
                env=dict(self._recipe.environment),
                # Its output goes where our errors go; stdin is no business of a worker.
                childFDs={0: nothing, 1: 2, 2: 2, WORKER_FD: theirs},
            )
        except OSError as error:
            log.error("Worker {number} can't be started: {error}", number=self.number, error=error)
            self._gone()
            return
        finally:
            for fd in (ours, theirs, nothing):
                os.close(fd)
        self._pid = self._process.pid
        self._ping()

    def _ping(self) -> None:
        assert self._link is not None
        self._after(PING_PATIENCE, self._hang)
        link = self._link
        link.ask(commands.Ping).addCallbacks(lambda _: self._pong(link), lambda _: None)

    def _pong(self, link: Link) -> None:
        if link is not self._link or self.state not in (State.STARTING, State.READY):
            return
        self._after(PING_EVERY, self._ping)
        if self.state is State.STARTING:
            self.state = State.READY
            self._was_up = True
            log.info("Worker {number} is up, pid {pid}", number=self.number, pid=self.pid)
            self._crew.vacant()

    def _hang(self) -> None:
        log.error("Worker {number} hangs, pid {pid}", number=self.number, pid=self.pid)
        self._leave()
        self._kill()

    def _link_lost(self, link: Link) -> None:
        """A worker whose link is gone leaves by itself; if not, it is made to."""
        if link is self._link and self.state in (State.STARTING, State.READY):
            self._leave()

    def _leave(self) -> None:
        """Give it no more tasks, and TERM it if it is not gone soon."""
        self.state = State.LEAVING
        self._after(ASK_PATIENCE, self._terminate)
        self._crew.down(self)

    def _terminate(self) -> None:
        self._after(TERM_PATIENCE, self._kill)
        self._signal("TERM")

    def _kill(self) -> None:
        self._signal("KILL")
        self._look()

    def _look(self) -> None:
        self._after(LOOK_EVERY, self._look)
        self._recipe.reap()

    def _signal(self, name: str) -> None:
        if self._process is not None:
            try:
                self._process.signalProcess(name)
            except ProcessExitedAlready:
                log.debug("Worker {number} is gone already", number=self.number)

    def _exited(self, reason: Failure) -> None:
        if self._stopped is None:
            log.warn(
                "Worker {number}, pid {pid}, is gone: {why}",
                number=self.number,
                pid=self._pid,
                why=reason.getErrorMessage(),
            )
        self._process = None
        self._gone()

    def _gone(self) -> None:
        """There is no process any more, or it could not be started."""
        young = self._reactor.seconds() - self._born < WELL_AFTER
        self.early_deaths = self.early_deaths + 1 if young else 1
        self.stillborn = 0 if self._was_up else self.stillborn + 1
        link, self._link = self._link, None
        if self._stopped is not None:
            self.state = State.IDLE
            self._await_nothing()
        else:
            self.state = State.WAITING
            wait = wait_before(self.early_deaths, 0.0)
            self._after(min(wait, SOON_AGAIN) if self._was_up else wait, self._restart)
        # Out of the pool before its tasks fail: their owners come back with new ones at once.
        self._crew.down(self)
        if link is not None:
            link.drop()
        for fetch in list(self.fetches.values()):
            fetch.end(Reason.WORKER_LOST)
        if self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)

    def _restart(self) -> None:
        self.restarts += 1
        self._spawn()

    def _after(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Wait for this, and for nothing else any more."""
        self._await_nothing()
        self._timer = self._reactor.callLater(seconds, call, *args)

    def _await_nothing(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def _log_failure(failure: Failure) -> None:
    log.failure("A fetch's end was not taken well", failure)
