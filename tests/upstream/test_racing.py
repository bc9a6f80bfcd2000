"""Addresses that are tried one after the other, and side by side."""

from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.upstream.racing import ATTEMPT_DELAY, PASSED_BY_FOR, PassedBy, Race, Unreached

ADDRESSES = [ip_address(f"192.0.2.{n}") for n in range(3)]


class RaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts: list[Deferred[str]] = []
        self.cancelled: list[int] = []

    def run_race(self) -> Deferred:
        self.race = Race(self.clock, ADDRESSES, self.attempt)
        return self.race.run()

    def attempt(self, address: object) -> Deferred[str]:
        number = len(self.attempts)
        self.attempts.append(Deferred(lambda _: self.cancelled.append(number)))
        return self.attempts[-1]

    def test_first(self) -> None:
        """An address that answers at once is the only one that is tried."""
        running = self.run_race()
        self.attempts[0].callback("one")
        self.assertEqual(self.successResultOf(running), ("one", ADDRESSES[0]))
        self.clock.advance(10)
        self.assertEqual((len(self.attempts), self.race.passed_by), (1, []))

    def test_silent(self) -> None:
        """One that says nothing has the delay for itself; the first that answers ends the rest."""
        running = self.run_race()
        self.clock.advance(ATTEMPT_DELAY * 0.9)
        self.assertEqual(len(self.attempts), 1)
        self.clock.advance(ATTEMPT_DELAY * 0.2)
        self.attempts[1].callback("two")
        self.assertEqual(self.successResultOf(running), ("two", ADDRESSES[1]))
        self.assertEqual((self.cancelled, self.race.passed_by), ([0], ADDRESSES[:1]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """One that answers late wins if no other has."""
        running = self.run_race()
        self.clock.advance(ATTEMPT_DELAY)
        self.attempts[0].callback("one")
        self.assertEqual(self.successResultOf(running), ("one", ADDRESSES[0]))
        self.assertEqual((self.cancelled, self.race.passed_by), ([1], ADDRESSES[1:2]))

    def test_refused(self) -> None:
        """After a refusal the next one is tried at once; the last refusal is the failure."""
        running = self.run_race()
        for attempt in range(3):
            self.assertEqual(len(self.attempts), attempt + 1)
            self.attempts[attempt].errback(
                Unreached(Reason.CONNECT) if attempt % 2 else ConnectionRefusedError()
            )
        self.failureResultOf(running, ConnectionRefusedError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused_at_last(self) -> None:
        """The last to fail is waited for, in whatever order they do."""
        running = self.run_race()
        self.clock.pump([ATTEMPT_DELAY] * 2)
        self.attempts[2].errback(ConnectionRefusedError())
        self.attempts[0].errback(ConnectionRefusedError())
        self.assertNoResult(running)
        self.attempts[1].callback("two")
        self.assertEqual(self.successResultOf(running), ("two", ADDRESSES[1]))

    def test_not_the_address(self) -> None:
        """What would happen at each address ends the race."""
        running = self.run_race()
        self.attempts[0].errback(ValueError())
        self.failureResultOf(running, ValueError)
        self.clock.advance(10)
        self.assertEqual(len(self.attempts), 1)

    def test_cancelled(self) -> None:
        """Cancelling ends all attempts."""
        running = self.run_race()
        self.clock.advance(ATTEMPT_DELAY)
        running.cancel()
        self.failureResultOf(running)
        self.clock.advance(10)
        self.assertEqual((self.cancelled, len(self.attempts)), ([0, 1], 2))


class PassedByTests(SynchronousTestCase):
    def test_last(self) -> None:
        """An address that did not answer is tried after the others, of this host, for a while."""
        passed_by = PassedBy()
        passed_by.learn("one.example", ADDRESSES[1], ADDRESSES[:1], 100)
        after = [*ADDRESSES[1:], ADDRESSES[0]]
        self.assertEqual(passed_by.ordered("one.example", ADDRESSES, 101), after)
        self.assertEqual(passed_by.ordered("two.example", ADDRESSES, 101), ADDRESSES)
        later = 101 + PASSED_BY_FOR
        self.assertEqual(passed_by.ordered("one.example", ADDRESSES, later), ADDRESSES)

    def test_well_again(self) -> None:
        """One that answers is as good as any."""
        passed_by = PassedBy()
        passed_by.learn("one.example", ADDRESSES[1], ADDRESSES[:1], 100)
        passed_by.learn("one.example", ADDRESSES[0], [], 101)
        self.assertEqual(passed_by.ordered("one.example", ADDRESSES, 102), ADDRESSES)
