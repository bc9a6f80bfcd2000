"""Part of a file, sent to a server that stores it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from aimirror.download.tasks import SendResult, SendTask
from aimirror.http.egress import Outgoing
from aimirror.interfaces import UpstreamError
from aimirror.workers.worker.piece import Agents

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Bytes that are read and written at a time.
STEP = 1 << 20
#: Bytes of an answer that are read to keep its connection.
MOST_ANSWER = 64 << 10


async def send(task: SendTask, agents: Agents, clock: IReactorTime) -> SendResult:
    """PUT it; whatever happens is told by the result."""
    try:
        body = FileBody(task, clock)
    except OSError as error:
        return SendResult(0, detail=error.strerror or str(error))
    outgoing = Outgoing("PUT", task.url, task.headers, task.egress, task.timeouts)
    try:
        reply = await agents.send(outgoing, body)
    except UpstreamError as error:
        return SendResult(0, detail=str(error))
    finally:
        body.close()
    length = reply.head.length
    if length is not None and length <= MOST_ANSWER:
        reply.deliverBody(Protocol())
    else:
        reply.abortConnection()
    return SendResult(reply.code, reply.head.headers.get("etag", "") or "", body.failed)


@implementer(IBodyProducer)
class FileBody:
    """``[start, stop)`` of a file as the body of a request.  Owns its descriptor until ``close``.

    Raises OSError when the file can't be opened.
    """

    def __init__(self, task: SendTask, clock: IReactorTime) -> None:
        self._clock = clock
        self._rate = task.rate_limit
        self._position, self._stop = task.start, task.stop
        self.length = task.stop - task.start
        #: Why the file could not be read to the end.
        self.failed = ""
        self._consumer: IConsumer | None = None
        self._paused = False
        self._waiting = False
        self._done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._fd = os.open(task.path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Read no more."""
        self._consumer = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write into ``consumer``; fires at the end, fails with OSError."""
        self._consumer = consumer
        self._go_on()
        return self._done

    def pauseProducing(self) -> None:
        """The server reads too slowly."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has caught up."""
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """Nobody takes the rest."""
        self._consumer = None

    def _go_on(self) -> None:
        if self._consumer is None or self._paused or self._waiting:
            return
        count = min(STEP, self._stop - self._position)
        if count == 0:
            self._end(None)
            return
        try:
            data = os.pread(self._fd, count, self._position)
            if not data:
                raise OSError(0, "the file is shorter than it was")
        except OSError as error:
            self._end(error)
            return
        self._position += len(data)
        self._waiting = True
        self._clock.callLater(len(data) / self._rate if self._rate else 0, self._waited)
        self._consumer.write(data)

    def _waited(self) -> None:
        self._waiting = False
        self._go_on()

    def _end(self, error: OSError | None) -> None:
        self._consumer = None
        if error is None:
            self._done.callback(None)
        else:
            self.failed = error.strerror or str(error)
            self._done.errback(error)
