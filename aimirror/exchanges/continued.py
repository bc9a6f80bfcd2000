"""Going on with a plain body that broke off, so that its readers notice nothing."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from aimirror.download.backoff import wait_before
from aimirror.download.tasks import Reason
from aimirror.exchanges.answering import UNABLE
from aimirror.exchanges.versions import BROKEN, MOST_IDLE, MOST_REQUESTS, Version, skipped
from aimirror.http.egress import Reach, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop, IReceiver, IUpstreamResponse, UpstreamError


@implementer(IUpstreamResponse, IReceiver)
class ContinuedResponse:
    """A response of a known version, whose rest is asked for again when its body breaks off.

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
        self._response = response
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
        self.status: int = response.status
        self.phrase: str = response.phrase
        self.headers: Headers = response.headers
        self.url: str = response.url
        self.hops: tuple[Hop, ...] = response.hops
        self.length: int | None = response.length
        self.reach: Reach = response.reach
        self.zone: Zone = response.zone
        self.framed: bool = response.framed

    # -- IUpstreamResponse -----------------------------------------------------------------

    def deliver(self, receiver: IReceiver) -> None:
        """Start the flow of the body."""
        self._receiver = receiver
        self._response.deliver(self)

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
        if self._asking is not None:
            self._asking.cancel()
        else:
            self._response.abort()

    # -- IReceiver -------------------------------------------------------------------------

    def data(self, chunk: bytes) -> None:
        """Bytes of the first answer, or of a later one."""
        if self._skip:
            dropped = min(self._skip, len(chunk))
            self._skip -= dropped
            chunk = chunk[dropped:]
        if chunk:
            self._idle = 0
            self._position += len(chunk)
            self._told().data(chunk)

    def finished(self, error: UpstreamError | None) -> None:
        """An answer is over."""
        if error is None and self._position < self._version.length:
            error = UpstreamError(Reason.SHORT)  # a 206 may bring less than was asked for
        # Who is silent again and again has its clients wait: once is enough.
        mute = error is not None and error.reason is Reason.SILENT and self._idle > 0
        if error is None or mute or self._aborted or error.reason not in BROKEN:
            self._told().finished(error)
            return
        self._asking = Deferred.fromCoroutine(self._go_on(error))
        self._asking.addErrback(lambda f: self.log.failure("a body could not be gone on with", f))

    # -- the rest --------------------------------------------------------------------------

    async def _go_on(self, error: UpstreamError) -> None:
        try:
            found = await self._rest()
        except CancelledError:
            error, found = UpstreamError(Reason.CANCELLED), None
        except UpstreamError as again:
            self.log.info("not gone on with: {why}", why=str(again))
            found = None
        finally:
            self._asking = None
        if found is None:
            self._told().finished(error)
            return
        self._response = found
        found.deliver(self)
        if self._held and self._asking is None:
            found.pause()

    async def _rest(self) -> IUpstreamResponse | None:
        """An answer that goes on where it broke off; None when there is none to be had."""
        while self._idle < MOST_IDLE and self._requests < MOST_REQUESTS:
            self._idle += 1
            self._requests += 1
            await self._wait(wait_before(self._idle, self._jitter()))
            try:
                found = await self._ask(self._position, self._version.length)
            except UpstreamError as error:
                if error.reason in (Reason.FORBIDDEN, Reason.REDIRECTS, Reason.CANCELLED):
                    raise
                continue
            skip = skipped(self._version, self._position, found.status, found.headers, found.length)
            if skip is not None:
                self._skip = skip
                return found
            found.abort()
            if found.status not in UNABLE:
                return None
        return None

    def _told(self) -> IReceiver:
        assert self._receiver is not None
        return self._receiver
