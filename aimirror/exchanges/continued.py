"""Going on with a plain body that broke off, so that its readers notice nothing."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aimirror.download.backoff import wait_before
from aimirror.download.tasks import Reason
from aimirror.exchanges.answering import UNABLE
from aimirror.exchanges.versions import BROKEN, MOST_IDLE, MOST_REQUESTS, Version, skipped
from aimirror.exchanges.wrapped import WrappedResponse
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError

#: Seconds after which it is looked whether anything has come: an answer is silent after that, or
#: after twice as long.  Clients give up after 15.
LOOK_EVERY = 3.0
#: Requests for the rest of a body after which a silent one is not hedged any more.
MOST_HEDGES = 10


class ContinuedResponse(WrappedResponse):
    """A response of a known version, whose rest is asked for again when its body breaks off.

    When it falls silent, the rest is asked for beside it, and the first that brings it goes on.

    ``ask(start, stop)`` fires with an answer to a request for those bytes of that version;
    ``wait(seconds)`` with None.  Both can be cancelled.
    """

    log = Logger()

    def __init__(
        self,
        response: IUpstreamResponse,
        version: Version,
        *,
        ask: Callable[[int, int], Deferred[IUpstreamResponse]],
        wait: Callable[[float], Deferred[None]],
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(response)
        self._version = version
        self._ask = ask
        self._wait = wait
        self._jitter = jitter
        self._receiver: IReceiver | None = None
        self._position = 0
        self._skip = 0
        self._held = False
        self._aborted = False
        #: Requests for the rest so far, and those in a row that brought nothing.
        self._requests = self._idle = 0
        self._asking: Deferred[None] | None = None
        self._leg: _Leg | None = None
        self._watching: Deferred[None] | None = None
        self._hedging: Deferred[None] | None = None

    # -- IUpstreamResponse -----------------------------------------------------------------

    def deliver(self, receiver: IReceiver) -> None:
        """Start the flow of the body."""
        self._receiver = receiver
        self._watch()
        self._take(self._response, 0)

    def pause(self) -> None:
        """Stop reading from the socket, this one or the next."""
        self._held = True
        self._response.pause()

    def resume(self) -> None:
        """Read on."""
        self._held = False
        self._response.resume()

    def abort(self) -> None:
        """Close the connection at once, or ask for no other one."""
        self._aborted = True
        self._stop_watching()
        if self._hedging is not None:
            self._hedging.cancel()
        if self._asking is not None:
            self._asking.cancel()
        else:
            self._response.abort()

    # -- what comes ------------------------------------------------------------------------

    def _take(self, response: IUpstreamResponse, skip: int) -> None:
        """From now on this answer brings the body, its first ``skip`` bytes apart."""
        self._response, self._skip = response, skip
        leg = self._leg = _Leg(self._data, self._finished)
        response.deliver(leg)
        if self._held and self._leg is leg and self._asking is None:
            response.pause()

    def _data(self, chunk: bytes) -> None:
        """Bytes of the first answer, or of a later one."""
        if self._skip:
            dropped = min(self._skip, len(chunk))
            self._skip -= dropped
            chunk = chunk[dropped:]
        if chunk:
            self._idle = 0
            self._position += len(chunk)
            self._told().data(chunk)

    def _finished(self, error: UpstreamError | None) -> None:
        """An answer is over."""
        if error is None and self._position < self._version.length:
            error = UpstreamError(Reason.SHORT)  # a 206 may bring less than was asked for
        # Who is silent again and again has its clients wait: once is enough.
        mute = error is not None and error.reason is Reason.SILENT and self._idle > 0
        if error is None or mute or self._aborted or error.reason not in BROKEN:
            self._end(error)
            return
        self._asking = Deferred.fromCoroutine(self._go_on(error))
        self._asking.addErrback(lambda f: self.log.failure("a body could not be gone on with", f))

    def _end(self, error: UpstreamError | None) -> None:
        self._stop_watching()
        if self._hedging is not None:
            self._hedging.cancel()
        self._told().finished(error)

    # -- silence ---------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look again in a while whether anything has come."""
        before = self._position

        def look(_: object) -> None:
            busy = self._asking is not None or self._hedging is not None or self._held
            self._watch()
            if self._position == before and not busy and self._requests < MOST_HEDGES:
                self._hedging = Deferred.fromCoroutine(self._hedge())
                self._hedging.addErrback(self._not_hedged)

        self._watching = self._wait(LOOK_EVERY)
        self._watching.addCallbacks(look, lambda failure: failure.trap(CancelledError) and None)

    def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()

    async def _hedge(self) -> None:
        """Ask for the rest while the answer is silent; whoever brings bytes first goes on."""
        position, leg = self._position, self._leg
        self._requests += 1
        try:
            response = await self._ask(position, self._version.length)
        except UpstreamError:
            return
        finally:
            self._hedging = None
        skip = skipped(self._version, position, response.status, response.headers, response.length)
        if skip is None or self._position != position or self._leg is not leg or self._asking:
            response.abort()
            return
        silent = self._response
        if leg is not None:
            leg.leave()
        self.log.info("a silent answer is left for another")
        self._take(response, skip)
        silent.abort()

    def _not_hedged(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("a silent answer could not be hedged", failure)

    # -- the rest --------------------------------------------------------------------------

    async def _go_on(self, error: UpstreamError) -> None:
        skip = 0
        try:
            response, skip = await self._rest()
        except CancelledError:
            error, response = UpstreamError(Reason.CANCELLED), None
        except UpstreamError as again:
            self.log.info("not gone on with: {why}", why=str(again))
            response = None
        finally:
            self._asking = None
        if response is None:
            self._end(error)
        else:
            self._take(response, skip)

    async def _rest(self) -> tuple[IUpstreamResponse | None, int]:
        """An answer that goes on where it broke off, and its bytes to drop; None for none."""
        while self._idle < MOST_IDLE and self._requests < MOST_REQUESTS:
            self._idle += 1
            self._requests += 1
            await self._wait(wait_before(self._idle, self._jitter()))
            try:
                response = await self._ask(self._position, self._version.length)
            except UpstreamError as error:
                if error.reason in (Reason.FORBIDDEN, Reason.REDIRECTS, Reason.CANCELLED):
                    raise
                continue
            skip = skipped(
                self._version, self._position, response.status, response.headers, response.length
            )
            if skip is not None:
                return response, skip
            response.abort()
            if response.status not in UNABLE:
                return None, 0
        return None, 0

    def _told(self) -> IReceiver:
        assert self._receiver is not None
        return self._receiver


@implementer(IReceiver)
class _Leg:
    """Takes what one answer brings, until it is left."""

    def __init__(
        self,
        data: Callable[[bytes], None],
        finished: Callable[[UpstreamError | None], None],
    ) -> None:
        self._data = data
        self._finished = finished
        self._left = False

    def leave(self) -> None:
        """What still comes is of no account."""
        self._left = True

    def data(self, chunk: bytes) -> None:
        """See IReceiver."""
        if not self._left:
            self._data(chunk)

    def finished(self, error: UpstreamError | None) -> None:
        """See IReceiver."""
        if not self._left:
            self._finished(error)
