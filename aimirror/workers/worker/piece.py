"""One piece: ask for it, judge the answer, let the body flow into the part file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from attrs import evolve
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers as WebHeaders
from twisted.web.iweb import IAgent
from zope.interface import implementer

from aimirror.download.piece import Accepted, Answer, Refused, judge, piece_headers
from aimirror.download.tasks import FetchResult, FetchTask, Reason
from aimirror.http.egress import Outgoing
from aimirror.http.targets import parse_target
from aimirror.upstream.gathering import Pace
from aimirror.workers.worker.body import PieceBody
from aimirror.workers.worker.files import PartFile, PartFiles
from aimirror.workers.worker.outcomes import Outcome, disk_outcome, upstream_outcome
from aimirror.workers.worker.reports import Reports

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.iweb import IBodyProducer, IResponse

    from aimirror.upstream.reply import Reply


class Agents(Protocol):
    """Who sends requests: ``aimirror.upstream.agent.Agents``."""

    def send(self, outgoing: Outgoing, body: IBodyProducer | None = None) -> Deferred[Reply]:
        """Fires with the response once its header is there; fails with UpstreamError.

        Cancelling closes the connection.
        """

    def close_idle(self, host: str) -> Deferred[None]:
        """Close one idle connection to a host, if there is any; fires when it is gone."""


class Piece:
    """Runs one FetchTask, and reports what gets readable, in order.

    ``pace`` is what other pieces from the host have measured.
    """

    def __init__(
        self,
        clock: IReactorTime,
        agents: Agents,
        files: PartFiles,
        task: FetchTask,
        reports: Reports,
        pace: Pace | None = None,
    ) -> None:
        self._clock = clock
        self._pace = pace
        self._agents = agents
        self._files = files
        self._task = task
        self._reports = reports
        self._stop = task.stop
        self._rate = task.rate_limit
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

    def limit(self, rate: int) -> None:
        """Another rate limit, in bytes per second; 0 is none."""
        self._rate = rate
        if self._body is not None:
            self._body.limit(rate)

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
        except Exception as error:
            if self._ended is not None:
                return self._result(Outcome(self._ended))
            return self._result(upstream_outcome(error))
        self._latency = exchange.latency
        reply = exchange.reply
        assert reply is not None
        outcome = await self._receive(response, reply, exchange.accepted, part)
        return evolve(self._result(outcome), kept=reply.kept)

    async def _receive(
        self, response: IResponse, reply: Reply, accepted: Accepted, part: PartFile
    ) -> Outcome:
        body = PieceBody(self._clock, part, self._task, accepted.stop, self._reports)
        body.trim(self._stop)
        body.limit(self._rate)
        self._body = body
        reply.gather(min(accepted.stop, self._stop) - self._task.start, self._pace)
        response.deliverBody(body)
        reply.pour()
        return await body.ended

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


#: What treq is told: it refuses names that IDNA does not have, such as ``my_repo`` or ``[::1]``,
#: which everybody else dials.
_ANYWHERE = "http://upstream.invalid/"


class _RefusedError(Exception):
    """The answer is not what was asked for."""

    def __init__(self, verdict: Refused) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict


@implementer(IAgent)
class _Exchange:
    """One request over treq, and the agent below treq that carries it.

    Below, the request goes out to the letter and the answer is judged before treq's decoder
    sees it: treq respells some URLs, asks for gzip beside any Accept-Encoding, and takes a
    Content-Encoding away.
    """

    def __init__(self, clock: IReactorTime, agents: Agents, task: FetchTask) -> None:
        self._clock = clock
        self._agents = agents
        self._task = task
        self._asked_at = 0.0
        #: Seconds from the request to the answer's header, the connecting included.
        self.latency = 0.0
        self.accepted = Accepted(task.stop)
        self.reply: Reply | None = None

    def ask(self) -> Deferred[Any]:
        """Fires with an accepted response, its body still to be delivered.

        Fails with _RefusedError or UpstreamError.  Cancelling closes the connection.
        """
        parse_target(self._task.url)  # BadTarget for what can't be sent
        # Its own client: a cookie that one task receives is none of another's business.
        return HTTPClient(self).request(
            "GET",
            _ANYWHERE,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._clock,  # type: ignore[arg-type]
        )

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: WebHeaders | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """What treq calls (IAgent); the request is the task's, whatever treq made of it."""
        task = self._task
        outgoing = Outgoing("GET", task.url, piece_headers(task), task.egress, task.timeouts)
        self._asked_at = self._clock.seconds()
        sent = self._agents.send(outgoing).addCallback(self._judge)
        return cast("Deferred[IResponse]", sent)

    def _judge(self, reply: Reply) -> Reply:
        now = self._clock.seconds()  # a reactor's seconds are epoch seconds
        self.latency = now - self._asked_at
        answer = Answer(reply.code, reply.head.headers, reply.head.length)
        verdict = judge(self._task, answer, now)
        if isinstance(verdict, Refused):
            reply.abortConnection()
            raise _RefusedError(verdict)
        self.accepted, self.reply = verdict, reply
        return reply
