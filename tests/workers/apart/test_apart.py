"""Reading in processes of its own: real ones, as the kernel's limits are what is tested."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from aimirror.interfaces import BodyFailed, Unreadable
from aimirror.testing.apart import busy, dies, echo, fails, greedy
from aimirror.workers.apart import apart
from aimirror.workers.apart.apart import Apart
from aimirror.workers.pool.pool import worker_environment
from tests.workers.support import hostile_folder

#: CPU seconds that a child takes to be up, on slow machines.
STARTED = 0.6


class ApartTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.patch(apart, "SECONDS", 0.2)
        self.apart = Apart(reactor, worker_environment(os.environ))
        self.addCleanup(self.apart.stop)

    async def refused(self, waiting: Deferred[bytes]) -> str:
        try:
            await waiting
        except Unreadable as error:
            return str(error)
        raise self.failureException("it was read")

    async def test_bytes(self) -> None:
        """Bytes of any length go there and back, and a job's source is asked in its turn."""
        for data in (b"", b"x", bytes(3 << 20)):
            self.assertEqual(await self.apart(echo, data, "a", "é"), data + "|a|é".encode())

        async def source() -> bytes:
            return b"later"

        self.assertEqual(await self.apart(echo, source), b"later")

    async def test_hostile_folder(self) -> None:
        """A reader imports nothing from the folder that the service happens to run in."""
        folder = hostile_folder(self.mktemp())
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder)
        own = {**os.environ, "PYTHONPATH": os.pathsep.join(["", "."])}
        elsewhere = Apart(reactor, worker_environment(own))
        self.addCleanup(elsewhere.stop)
        self.assertEqual(await elsewhere(echo, b"x"), b"x")
        self.assertEqual(list((folder / "imported").iterdir()), [])

    async def test_many(self) -> None:
        """More jobs than processes take turns, and each gets its own answer."""
        jobs = [self.apart(echo, str(number).encode()) for number in range(20)]
        self.assertEqual(await gatherResults(jobs), [str(n).encode() for n in range(20)])
        self.assertLessEqual(len(self.apart._children), apart.CHILDREN)

    async def test_not_understood(self) -> None:
        """What is not understood is said so, and the next job is done."""
        self.assertIn("not a word", await self.refused(self.apart(fails, b"")))
        self.assertEqual(await self.apart(echo, b"x"), b"x")

    async def test_source_fails(self) -> None:
        """A source that fails is no fault of the process."""

        async def source() -> bytes:
            raise BodyFailed("gone")

        with self.assertRaises(BodyFailed):
            await self.apart(echo, source)
        self.assertEqual(await self.apart(echo, b"x"), b"x")

    async def test_busy(self) -> None:
        """One that never ends is ended, and holds up no other one."""
        began = time.monotonic()
        endless = self.apart(busy, b"")
        self.assertEqual(await self.apart(echo, b"x"), b"x")
        await self.refused(endless)
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(await self.apart(echo, b"x"), b"x")

    async def test_no_longer_than_allowed(self) -> None:
        """What never ends costs hardly more of the processor than it is allowed."""
        await self.apart(echo, b"x")
        before = sum(os.times()[2:4])
        await self.refused(self.apart(busy, b""))
        self.assertLess(sum(os.times()[2:4]) - before, 0.2 + STARTED)

    async def test_greedy(self) -> None:
        """One that takes all memory is ended, and takes none of ours."""
        self.assertIn("memory", await self.refused(self.apart(greedy, b"")))
        self.assertEqual(await self.apart(echo, b"x"), b"x")

    async def test_death(self) -> None:
        """A process that dies fails its job alone."""
        await self.refused(self.apart(dies, b""))
        self.assertEqual(await self.apart(echo, b"x"), b"x")

    async def test_cancelled(self) -> None:
        """A job that is given up makes room for the next one."""
        self.apart(busy, b"").addErrback(lambda failure: None).cancel()
        self.assertEqual(await self.apart(echo, b"x"), b"x")

    async def test_stopped(self) -> None:
        """After the end nothing is read, and no process is left."""
        running = self.apart(busy, b"")
        refused = self.refused(running)
        await self.apart.stop()
        await refused
        self.assertEqual(self.apart._children, [])
        await self.refused(self.apart(echo, b"x"))
