"""What many connections bring, as one response to the client that it belongs to."""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from aimirror.download.tasks import Reason
from aimirror.exchanges.wrapped import WrappedResponse
from aimirror.http.headers import Headers
from aimirror.interfaces import (
    BodyFailed,
    IArrivingBody,
    IReceiver,
    IUpstreamResponse,
    UpstreamError,
)

#: Bytes that are handed on at a time.
STEP = 256 << 10


class WholeResponse(WrappedResponse):
    """A response to a range that has turned out to be all of the file, as one without a range."""

    def __init__(self, response: IUpstreamResponse, headers: Headers) -> None:
        super().__init__(response)
        self.status, self.phrase = 200, "OK"
        self.headers = headers
        self.length = int(headers.get("content-length") or 0)


class GatheredResponse(WholeResponse):
    """A body that is kept nowhere, while ranges of it arrive; ``cancel`` ends its download."""

    log = Logger()

    def __init__(
        self,
        response: IUpstreamResponse,
        headers: Headers,
        body: IArrivingBody,
        cancel: Callable[[], None],
    ) -> None:
        super().__init__(response, headers)
        self._body = body
        self._cancel = cancel
        self._running: Deferred[None] | None = None
        self._held: Deferred[None] | None = None
        self._aborted = False

    def deliver(self, receiver: IReceiver) -> None:
        """Start the flow of the body."""
        self._running = Deferred.fromCoroutine(self._run(receiver))
        self._running.addErrback(lambda f: self.log.failure("a body could not be passed on", f))

    async def _run(self, receiver: IReceiver) -> None:
        error: UpstreamError | None = None
        try:
            await self._hand_on(receiver)
        except BodyFailed as failed:
            error = UpstreamError(failed.reason, str(failed))
        except CancelledError:
            error = UpstreamError(Reason.CANCELLED)
        except OSError as failed:
            error = UpstreamError(Reason.DISK, str(failed))
        receiver.finished(error)

    async def _hand_on(self, receiver: IReceiver) -> None:
        reader = self._body.reader(0, None)
        try:
            while not reader.ended():
                if self._held is not None:
                    await self._held
                count = min(STEP, reader.ready())
                if not count:
                    await reader.wait()
                    continue
                data = os.pread(reader.fd, count, reader.position)
                if not data:
                    raise BodyFailed("the file is too short")
                reader.advance(len(data))
                receiver.data(data)
        finally:
            reader.close()

    def pause(self) -> None:
        """Hand on no more for now; it arrives all the same."""
        if self._held is None:
            self._held = Deferred()

    def resume(self) -> None:
        """Go on."""
        held, self._held = self._held, None
        if held is not None:
            held.callback(None)

    def abort(self) -> None:
        """It is not wanted any more."""
        if self._aborted:
            return
        self._aborted = True
        if self._running is not None:
            self._running.cancel()
        self._cancel()
