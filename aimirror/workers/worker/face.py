"""The worker's end of the link: commands in, progress and answers out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from aimirror.bounded import LRU
from aimirror.download.tasks import FetchResult, FetchTask, HashTask
from aimirror.upstream.gathering import Pace
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import Link
from aimirror.workers.wire.tasks import pack_result, pack_sent, unpack_send, unpack_task
from aimirror.workers.worker.files import PartFiles
from aimirror.workers.worker.piece import Agents, Piece
from aimirror.workers.worker.reports import Reports
from aimirror.workers.worker.sending import send

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.workers.worker.hashing import Hasher

#: Hosts whose pace is remembered.
MOST_PACES = 256

log = Logger()


class Face(Link):
    """Runs what the parent commands; ``leave`` is called once the link is closed."""

    def __init__(
        self, clock: IReactorTime, agents: Agents, hasher: Hasher, leave: Callable[[], None]
    ) -> None:
        super().__init__(self._parent_gone)
        self._clock = clock
        self._agents = agents
        self._hasher = hasher
        self._leave = leave
        self._files = PartFiles()
        self._pieces: dict[int, Piece] = {}
        self._reports = Reports(clock, lambda spans: self.tell(commands.Wrote, spans=spans))
        #: By origin, as tasks spell it.
        self._paces: LRU[str, Pace] = LRU(MOST_PACES)

    @commands.Fetch.responder
    async def _fetch(self, task: bytes) -> dict[str, object]:
        result = await self._run(unpack_task(task))
        return {"result": pack_result(result)}

    @commands.Trim.responder
    def _trim(self, id: int, stop: int) -> dict[str, object]:
        if id in self._pieces:
            self._pieces[id].trim(stop)
        return {}

    @commands.Limit.responder
    def _limit(self, id: int, rate: int) -> dict[str, object]:
        if id in self._pieces:
            self._pieces[id].limit(rate)
        return {}

    @commands.Cancel.responder
    def _cancel(self, id: int) -> dict[str, object]:
        if id in self._pieces:
            self._pieces[id].cancel()
        return {}

    @commands.Hash.responder
    async def _hash(
        self, key: str, path: bytes, algorithms: list[bytes], stop: int
    ) -> dict[str, object]:
        names = tuple(name.decode("ascii") for name in algorithms)
        task = HashTask(key, os.fsdecode(path), names, stop)
        try:
            digests = await self._hasher.digests(task)
        except OSError as error:
            raise commands.HashFailed.of(error) from error
        return {"digests": [digests[name].encode("ascii") for name in names]}

    @commands.Forget.responder
    def _forget(self, key: str) -> dict[str, object]:
        self._hasher.forget(key)
        return {}

    @commands.CloseIdle.responder
    async def _close_idle(self, host: str) -> dict[str, object]:
        await self._agents.close_idle(host)
        return {}

    @commands.Send.responder
    async def _send(self, task: bytes) -> dict[str, object]:
        result = await send(unpack_send(task), self._agents, self._clock)
        return {"result": pack_sent(result)}

    @commands.Ping.responder
    def _ping(self) -> dict[str, object]:
        return {}

    @commands.Stop.responder
    def _stop(self) -> dict[str, object]:
        self._cancel_all()
        # An orderly close: the answers of what was just cancelled go out before.
        assert self.transport is not None
        self.transport.loseConnection()
        return {}

    async def _run(self, task: FetchTask) -> FetchResult:
        pace = self._pace_at("/".join(task.url.split("/", 3)[:3]))
        piece = Piece(self._clock, self._agents, self._files, task, self._reports, pace)
        self._pieces[task.id] = piece
        try:
            result = await piece.run()
        finally:
            del self._pieces[task.id]
        log.debug("Piece {id} ended: {result}", id=task.id, result=result)
        return result

    def _pace_at(self, host: str) -> Pace:
        pace = self._paces.get(host)
        if pace is None:
            pace = Pace()
            self._paces.put(host, pace)
        return pace

    def _parent_gone(self) -> None:
        self._cancel_all()
        self._leave()

    def _cancel_all(self) -> None:
        for piece in list(self._pieces.values()):
            piece.cancel()
