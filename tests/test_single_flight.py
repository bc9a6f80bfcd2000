"""One run for all who want the same."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.single_flight import SingleFlight


class SingleFlightTests(SynchronousTestCase):
    def test_leaving(self) -> None:
        """Who stops waiting leaves the run to the others; a failure reaches all of them."""
        flights, work = SingleFlight(), Deferred()

        async def run() -> object:
            return await work

        waiting = [Deferred.fromCoroutine(flights.do("x", run)) for _ in range(3)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0])
        work.errback(UpstreamError(Reason.RESET))
        for each in waiting[1:]:
            self.failureResultOf(each, UpstreamError)
        again = Deferred.fromCoroutine(flights.do("x", lambda: _value(5)))
        self.assertEqual(self.successResultOf(again), 5)


async def _value(value: int) -> int:
    return value
