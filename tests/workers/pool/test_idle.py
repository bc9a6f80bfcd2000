"""What the parent knows of the idle connections of workers."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.hosts import Hosts
from aimirror.upstream.pool import IDLE_SECONDS
from aimirror.workers.pool.idle import Idle

HOST = "files.test"


class FakeSlot:
    """A worker that closes what it is told to."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    async def close_idle(self, host: str) -> None:
        self.closed.append(host)


class IdleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.hosts = Hosts(self.clock, 2)
        self.idle = Idle(self.hosts, self.clock.seconds)
        self.one, self.other = FakeSlot(), FakeSlot()

    def counted(self) -> int:
        return self.hosts.connections(HOST)

    def test_used_again(self) -> None:
        """One is counted from its piece's end to the next piece there."""
        self.idle.keep(self.one, HOST)
        self.assertEqual((self.idle.at(HOST), self.counted()), ([self.one], 1))
        self.idle.use(self.other, HOST)
        self.idle.use(self.one, HOST)
        self.assertEqual((self.idle.at(HOST), self.counted()), ([], 0))

    def test_too_old(self) -> None:
        """Workers close theirs after a while, so they are forgotten then."""
        self.idle.keep(self.one, HOST)
        self.clock.advance(IDLE_SECONDS)
        self.assertEqual((self.idle.at(HOST), self.counted()), ([], 0))

    def test_worker_is_gone(self) -> None:
        """Its connections are gone with it, and no other's."""
        for slot in (self.one, self.other, self.one):
            self.idle.keep(slot, HOST)
        self.idle.lose(self.one)
        self.assertEqual((self.idle.at(HOST), self.counted()), ([self.other], 1))

    def test_closed_for_another(self) -> None:
        """Where a new connection is wanted elsewhere, the worker with the oldest closes it."""
        self.idle.keep(self.one, HOST)
        self.idle.keep(self.other, HOST)
        self.hosts.take(HOST)
        self.successResultOf(Deferred.fromCoroutine(self.hosts.make_room(HOST)))
        self.assertEqual((self.one.closed, self.other.closed), ([HOST], []))
        self.assertEqual((self.idle.at(HOST), self.counted()), ([self.other], 2))
