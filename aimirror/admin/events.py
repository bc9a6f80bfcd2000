"""The stream that feeds the dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.admin.overview import Overview
from aimirror.http.headers import Headers
from aimirror.server.errors import error_answer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.server.request import MirrorRequest

#: Seconds between two events.
EVENT_SECONDS = 1.0
#: Streams at one time; a page needs one.
MOST_STREAMS = 32


class Events:
    """Server-sent events: everything first, then once a second what has changed."""

    log = Logger()

    def __init__(self, overview: Overview, clock: IReactorTime) -> None:
        self._overview = overview
        self._clock = clock
        self._streams = 0
        self._stopped = False
        self._newest: tuple[float, bytes] = (0.0, b"")

    def stop(self) -> None:
        """Streams end with their next event."""
        self._stopped = True

    async def stream(self, request: MirrorRequest) -> None:
        """Send events until the client leaves or the service stops."""
        if self._streams >= MOST_STREAMS:
            busy = error_answer(503, "too many streams", retry_after=5)
            assert isinstance(busy.body, bytes)
            request.reply(busy.status, busy.headers, busy.body)
            return
        fields = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        request.start(200, Headers([*fields, ("X-Accel-Buffering", "no")]), None)
        self._streams += 1
        try:
            request.write(_event("all", await self._overview.all()))
            while not (request.gone or self._stopped):
                await self._pause()
                request.write(await self._now())
                room = request.channel.room()
                if room is not None:
                    await room
        finally:
            self._streams -= 1
        request.finish()

    async def _now(self) -> bytes:
        """One event for all streams of a moment."""
        now = self._clock.seconds()
        if now - self._newest[0] >= EVENT_SECONDS / 2:
            self._newest = now, _event("now", await self._overview.now())
        return self._newest[1]

    def _pause(self) -> Deferred[None]:
        call = self._clock.callLater(EVENT_SECONDS, lambda: pause.callback(None))
        pause: Deferred[None] = Deferred(lambda _: call.cancel())
        return pause


def _event(name: str, value: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()
