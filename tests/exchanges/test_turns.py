"""Several upstreams that have the same."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.exchanges.turns import PassedOver, first_able
from aimirror.interfaces import UpstreamError
from aimirror.upstream.health import Health

UPSTREAMS = ("https://one.test/a", "https://two.test/a", "https://three.test/a")


class FirstAbleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.health = Health()
        self.attempts: list[int] = []
        self.dropped: list[int] = []
        self.last: list[bool] = []

    def first(self, *outcomes: int | Exception) -> Deferred[int]:
        """Attempts come to these, one for each upstream; numbers below zero are unable."""

        async def attempt(index: int, last: bool) -> int:
            self.attempts.append(index)
            self.last.append(last)
            outcome = outcomes[index]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return Deferred.fromCoroutine(
            first_able(
                self.health,
                lambda: 100.0,
                UPSTREAMS,
                attempt,
                able=lambda answer: answer >= 0,
                drop=self.dropped.append,
                nobody=lambda: UpstreamError(Reason.STATUS, "nobody"),
            )
        )

    def test_first_that_can(self) -> None:
        """The first that is able is believed; what came before is dropped, and asked later."""
        failing = UpstreamError(Reason.CONNECT)
        self.assertEqual(self.successResultOf(self.first(failing, -1, 7)), 7)
        self.assertEqual((self.attempts, self.dropped), ([0, 1, 2], [-1]))
        self.assertEqual(self.last, [False, False, True])
        self.assertEqual(self.successResultOf(self.first(1, 2, 3)), 3)

    def test_last_word(self) -> None:
        """When none can, the last one's answer or failure is the answer."""
        self.assertEqual(self.successResultOf(self.first(-1, -2, -3)), -3)
        self.health = Health()
        silent = UpstreamError(Reason.SILENT)
        failed = self.failureResultOf(self.first(-1, -2, silent), UpstreamError)
        self.assertIs(failed.value, silent)

    def test_passed_over(self) -> None:
        """Who is passed over is not held to be ill, and the trouble is that of those before."""
        failing = UpstreamError(Reason.CONNECT)
        failed = self.failureResultOf(self.first(failing, PassedOver(), PassedOver()))
        self.assertIs(failed.value, failing)
        self.assertEqual(list(self.health.shunned(100.0)), ["https://one.test"])
        nobody = self.failureResultOf(self.first(*[PassedOver()] * 3), UpstreamError)
        self.assertEqual(nobody.value.detail, "nobody")

    def test_cancelled(self) -> None:
        """An attempt that was cancelled ends the search."""
        cancelled = UpstreamError(Reason.CANCELLED)
        self.failureResultOf(self.first(cancelled, 1, 1), UpstreamError)
        self.assertEqual(self.attempts, [0])
