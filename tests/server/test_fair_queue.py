"""FairQueue of clients."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.fair_queue import FairQueue, TooBusy


class FairQueueTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.queue = FairQueue(1, 4)
        #: Who runs, in order, and how each ends.
        self.begun: list[str] = []
        self.ends: list[Deferred[None]] = []

    def ask(self, client: str) -> Deferred[None]:
        def work() -> Deferred[None]:
            self.begun.append(client)
            self.ends.append(Deferred())
            return self.ends[-1]

        return Deferred.fromCoroutine(self.queue.run(client, work))

    def end(self) -> None:
        self.ends.pop(0).callback(None)

    def test_in_turn(self) -> None:
        """Who asks once does not wait for all of another who asked before."""
        for client in ("a", "a", "a", "b"):
            self.ask(client)
        for _ in range(4):
            self.end()
        self.assertEqual(self.begun, ["a", "a", "b", "a"])

    def test_flood(self) -> None:
        """A flood from one place is refused, and another gets in all the same."""
        flood = [self.ask("a") for _ in range(7)]
        refused = [each for each in flood if each.called]
        self.assertEqual(len(refused), 2)
        other = self.ask("b")
        self.assertNoResult(other)
        for each in refused:
            self.failureResultOf(each, TooBusy)
        more = [each for each in flood if each.called and each not in refused]
        self.failureResultOf(more[0], TooBusy)
        self.end()
        self.end()
        self.assertEqual(self.begun[-1], "b")

    def test_failing_and_leaving(self) -> None:
        """What fails, or is given up, makes place like what ends."""
        self.ask("a").addErrback(lambda failure: failure.trap(ValueError))
        second, third = self.ask("b"), self.ask("c")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.ends.pop(0).errback(ValueError())
        self.assertEqual(self.begun, ["a", "c"])
        self.end()
        self.successResultOf(third)
        self.ask("d")
        self.assertEqual(self.begun[-1], "d")
