"""Hosts that ask to be left alone are, by every request: for files, indexes, tags and tokens."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from aimirror.download.piece import retry_after
from aimirror.download.tasks import Reason
from aimirror.interfaces import IUpstreamResponse, UpstreamError
from aimirror.upstream.health import Health

#: Seconds that a request waits for an upstream that wants to be left alone.
SHORT_PAUSE = 2.0
#: Answers that may ask for it; 429 is about who asks.
TOO_MANY = 429
_ASKING = frozenset({TOO_MANY, 503})
#: Those without a credential, who are not everybody.
_ANONYMOUS = "anonymous"


class Wishes:
    """Obeys and notes Retry-After; ``scope`` is the credential of the request, as a hash."""

    def __init__(self, health: Health, clock: IReactorTime) -> None:
        self._health = health
        self._clock = clock

    async def obey(self, url: str, scope: str) -> None:
        """Wait a little, where that is enough.

        Raises UpstreamError that tells what the host would answer.
        """
        pause = self._health.paused(url, scope or _ANONYMOUS, self._clock.seconds())
        if pause is None:
            return
        if pause.seconds > SHORT_PAUSE:
            detail = f"the upstream wants to be left alone for {pause.seconds:.0f} s"
            raise UpstreamError(
                Reason.STATUS, detail, retry_after=pause.seconds, status=pause.status
            )
        await waited(self._clock, pause.seconds)

    def heed(self, url: str, scope: str, response: IUpstreamResponse) -> None:
        """Note what an answer asks for."""
        if response.status not in _ASKING:
            return
        now = self._clock.seconds()
        seconds = retry_after(response.headers.get("retry-after"), now)
        if seconds:
            whose = (scope or _ANONYMOUS) if response.status == TOO_MANY else ""
            self._health.pause(url, whose, seconds, now, response.status)


def waited(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """Fires after some seconds; can be cancelled."""
    done: Deferred[None] = Deferred(lambda _: later.cancel())
    later = clock.callLater(seconds, done.callback, None)
    return done
