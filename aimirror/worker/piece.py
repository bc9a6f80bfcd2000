"""One piece: ask for it, judge the answer, let the body flow into the part file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from treq.client import HTTPClient
from twisted.internet import protocol as twisted_protocol
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers as WebHeaders
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent
from zope.interface import implementer

from aimirror.core.fetching import Egress, FetchResult, FetchTask, Reason, Timeouts
from aimirror.core.headers import Headers
from aimirror.core.piece import Accepted, Answer, Refused, judge, piece_headers
from aimirror.interfaces import UpstreamError
from aimirror.worker.body import PieceBody, Terms
from aimirror.worker.files import PartFile, PartFiles
from aimirror.worker.outcomes import Outcome, abort, disk_outcome, upstream_outcome

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.iweb import IBodyProducer, IResponse


class Agents(Protocol):
    """Where agents come from: ``aimirror.upstream.agent.Agents``."""

    def agent(self, egress: Egress, timeouts: Timeouts) -> IAgent:
        """An agent that leaves by ``egress``, with its connections pooled."""


class Piece:
    """Runs one FetchTask.  ``wrote(start, stop)`` is called as bytes get readable, in order."""

    def __init__(
        self,
        clock: IReactorTime,
        agents: Agents,
        files: PartFiles,
        task: FetchTask,
        wrote: Callable[[int, int], None],
    ) -> None:
        self._clock = clock
        self._agents = agents
        self._files = files
        self._task = task
        self._wrote = wrote
        self._stop = task.stop
        self._body: PieceBody | None = None
        self._pending: Deferred[Any] | None = None
        #: Set when the parent has ended the piece before its answer came.
        self._ended: Reason | None = None
        self._latency = 0.0

    async def run(self) -> FetchResult:
        """Fetch; whatever happens is told by the result."""
        try:
            with self._files.using(self._task.path) as part:
                return await self._fetch(part)
        except OSError as error:
            return self._result(disk_outcome(error))

    def trim(self, stop: int) -> None:
        """End at ``stop`` already; what is written beyond it stays."""
        self._stop = min(self._stop, stop)
        if self._body is not None:
            self._body.trim(stop)
        elif self._stop <= self._task.start:
            self._give_up(Reason.DONE)

    def cancel(self) -> None:
        """Drop the connection; the result says CANCELLED."""
        if self._body is not None:
            self._body.ended.cancel()
        else:
            self._give_up(Reason.CANCELLED)

    def _give_up(self, reason: Reason) -> None:
        self._ended = self._ended or reason
        if self._pending is not None:
            self._pending.cancel()

    async def _fetch(self, part: PartFile) -> FetchResult:
        exchange = _Exchange(self._clock, self._agents, self._task)
        try:
            self._pending = exchange.ask()
            response = await self._pending
        except _RefusedError as refusal:
            return self._refused(refusal.verdict, exchange.latency)
        except Exception:
            failure = Failure()
            if self._ended is not None:
                return self._result(Outcome(self._ended))
            return self._result(upstream_outcome(failure))
        self._latency = exchange.latency
        return self._result(await self._receive(response, exchange.accepted, part))

    async def _receive(self, response: IResponse, accepted: Accepted, part: PartFile) -> Outcome:
        task = self._task
        terms = Terms(accepted.stop, task.timeouts.silence, task.rate_limit)
        self._body = PieceBody(self._clock, part, task.start, self._stop, terms, self._wrote)
        response.deliverBody(self._body)
        return await self._body.ended

    def _refused(self, verdict: Refused, latency: float) -> FetchResult:
        return FetchResult(
            verdict.reason,
            self._task.start,
            verdict.status,
            verdict.retry_after,
            verdict.detail,
            latency,
        )

    def _result(self, outcome: Outcome) -> FetchResult:
        stop = self._task.start if self._body is None else self._body.written
        return FetchResult(outcome.reason, stop, detail=outcome.detail, latency=self._latency)


class _RefusedError(Exception):
    """The answer is not what was asked for."""

    def __init__(self, verdict: Refused) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict


@implementer(IAgent)
class _Exchange:
    """One request over treq, and the agent below treq that carries it.

    Below, since treq asks for gzip beside any Accept-Encoding, undoes a coding before its caller
    could see it, and respells some URLs; a signed URL must go out as it came.
    """

    def __init__(self, clock: IReactorTime, agents: Agents, task: FetchTask) -> None:
        self._clock = clock
        self._agents = agents
        self._task = task
        self._asked_at = 0.0
        #: Seconds from the request to the answer's header, the connecting included.
        self.latency = 0.0
        self.accepted = Accepted(task.stop)

    def ask(self) -> Deferred[IResponse]:
        """Fires with an accepted response, its body still to be delivered.

        Fails with _RefusedError, or what the agent fails with.  Cancelling closes the connection.
        """
        limits = self._task.timeouts
        # Its own client: a cookie that one task receives is none of another's business.
        asked: Deferred[Any] = HTTPClient(self).request(
            "GET",
            self._task.url,
            headers=_web_headers(piece_headers(self._task)),
            allow_redirects=False,
            unbuffered=True,
            reactor=self._clock,  # type: ignore[arg-type]
        )
        return asked.addTimeout(limits.connect + limits.header, self._clock, _too_late)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: WebHeaders | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """What treq calls."""
        fields = WebHeaders() if headers is None else headers.copy()
        fields.setRawHeaders(b"Accept-Encoding", [b"identity"])
        agent = self._agents.agent(self._task.egress, self._task.timeouts)
        self._asked_at = self._clock.seconds()
        sent = agent.request(method, self._task.url.encode("ascii"), fields, bodyProducer)
        return sent.addCallback(self._judge)

    def _judge(self, response: IResponse) -> IResponse:
        now = self._clock.seconds()  # a reactor's seconds are epoch seconds
        self.latency = now - self._asked_at
        length = None if response.length is UNKNOWN_LENGTH else response.length
        pairs = response.headers.getAllRawHeaders()
        headers = Headers.from_raw((name, value) for name, values in pairs for value in values)
        verdict = judge(self._task, Answer(response.code, headers, length), now)
        if isinstance(verdict, Refused):
            response.deliverBody(_Unwanted())
            raise _RefusedError(verdict)
        self.accepted = verdict
        return response


class _Unwanted(twisted_protocol.Protocol):
    """A body that nobody wants: its connection is closed instead of reading it."""

    def connectionMade(self) -> None:
        abort(self.transport)


def _too_late(result: object, seconds: float) -> NoReturn:
    """Wrapped or not, the cancellation was the time-out's."""
    raise UpstreamError(Reason.SILENT, f"no response header within {seconds:g} s")


def _web_headers(headers: Headers) -> WebHeaders:
    fields = WebHeaders()
    for name, value in headers.raw():
        fields.addRawHeader(name, value)
    return fields
