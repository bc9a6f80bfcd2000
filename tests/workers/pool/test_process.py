"""The pool with real worker processes and an origin on 127.0.0.1."""

import hashlib
import os
import signal
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from aimirror.download.tasks import FetchTask, HashTask, Reason
from aimirror.http.egress import ANYWHERE, Egress, Timeouts
from aimirror.http.headers import Headers
from aimirror.workers.pool.pool import Pool
from tests.workers.support import hostile_folder

#: Seconds within which a worker starts, or ends, on a loaded machine.
PATIENCE = 20
SIZE = 3 << 20
FILE = os.urandom(1 << 20) * 3


class Origin(Resource):
    """Serves FILE by ranges; with ``stall_after`` it goes silent after so many bytes."""

    isLeaf = True
    stall_after = None

    def render_GET(self, request):
        first, last = request.getHeader("range").removeprefix("bytes=").split("-")
        body = FILE[int(first) : int(last) + 1]
        request.setResponseCode(206)
        request.setHeader("Content-Range", f"bytes {first}-{last}/{SIZE}")
        request.setHeader("Content-Length", str(len(body)))
        request.setHeader("ETag", '"v1"')
        if self.stall_after is None:
            return body
        request.notifyFinish().addErrback(lambda _: None)
        request.write(body[: self.stall_after])
        return NOT_DONE_YET


class ProcessTests(TestCase):
    timeout = 60

    def setUp(self):
        self.origin = Origin()
        port = reactor.listenTCP(0, Site(self.origin), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"http://127.0.0.1:{port.getHost().port}/f?sig=%2b"
        self.path = self.mktemp()
        with open(self.path, "wb") as file:
            file.truncate(SIZE)
        self.pool = Pool(reactor, 1)
        self.pool.start()
        self.addCleanup(self.pool.stop)
        self.spans = []

    def fetch(self, start=0, stop=SIZE, **fields):
        task = FetchTask(
            0,
            self.url,
            Headers(),
            start,
            stop,
            SIZE,
            self.path,
            egress=Egress(reach=ANYWHERE),
            timeouts=Timeouts(5, 5, 30),
            **fields,
        )
        return self.pool.fetch(task, lambda a, b: self.spans.append((a, b)))

    async def until(self, condition):
        for _ in range(PATIENCE * 100):
            if condition():
                return
            await deferLater(reactor, 0.01)
        self.fail("it did not come about")

    async def up(self):
        await self.until(lambda: self.pool.states()[0].state == "ready")
        return self.pool.states()[0].pid

    def assertGone(self, pid):
        """Neither running nor left as a zombie."""
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    def written(self, stop):
        with open(self.path, "rb") as file:
            return file.read(stop)

    async def test_fetch_and_hash(self):
        """A file fetched in pieces is the file, and its digest is right."""
        half = SIZE // 2
        fetches = [self.fetch(0, half), self.fetch(half, SIZE)]
        for fetch, stop in zip(fetches, (half, SIZE), strict=True):
            result = await fetch.result
            self.assertEqual((result.reason, result.stop), (Reason.DONE, stop))
        self.assertEqual(self.written(SIZE), FILE)
        self.assertEqual(sum(b - a for a, b in self.spans), SIZE)
        digests = await self.pool.hash(HashTask("k", self.path, ("sha256",), SIZE))
        self.assertEqual(digests, {"sha256": hashlib.sha256(FILE).hexdigest()})

    async def test_hostile_folder(self):
        """A worker imports nothing from the folder that the service happens to run in."""
        await self.pool.stop()
        folder = hostile_folder(self.mktemp())
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(folder)
        own = {**os.environ, "PYTHONPATH": os.pathsep.join(["", "."])}
        self.pool = Pool(reactor, 1, own)
        self.pool.start()
        self.addCleanup(self.pool.stop)
        self.path = str(before / self.path)
        self.assertIs((await self.fetch().result).reason, Reason.DONE)
        self.assertEqual(list((folder / "imported").iterdir()), [])

    async def test_hash_missing_file(self):
        """The error of a worker's disk arrives."""
        asked = self.pool.hash(HashTask("k", self.path + "x", ("sha256",), 1))
        await self.assertFailure(asked, FileNotFoundError)

    async def test_cancel_and_trim(self):
        """A silent connection is dropped on cancelling, a trimmed one ends where it is told."""
        self.origin.stall_after = 100_000
        cancelled, trimmed = self.fetch(), self.fetch()
        await self.until(lambda: sum(b - a for a, b in self.spans) == 200_000)
        cancelled.cancel()
        trimmed.trim(100_000)
        result = await cancelled.result
        self.assertEqual((result.reason, result.stop), (Reason.CANCELLED, 100_000))
        result = await trimmed.result
        self.assertEqual((result.reason, result.stop), (Reason.DONE, 100_000))

    async def test_worker_killed_midway(self):
        """kill -9 of a worker ends its fetch at the last byte reported; the next worker goes on."""
        pid = await self.up()
        self.origin.stall_after = 100_000
        fetch = self.fetch()
        await self.until(lambda: self.spans and self.spans[-1][1] == 100_000)
        os.kill(pid, signal.SIGKILL)
        result = await fetch.result
        self.assertEqual((result.reason, result.stop), (Reason.WORKER_LOST, 100_000))
        self.assertEqual(self.written(100_000), FILE[:100_000])
        self.origin.stall_after = None
        result = await self.fetch(start=100_000).result
        self.assertIs(result.reason, Reason.DONE)
        self.assertEqual(self.written(SIZE), FILE)
        self.assertNotEqual(self.pool.states()[0].pid, pid)
        self.assertEqual(self.pool.states()[0].restarts, 1)

    async def test_stop_leaves_no_child(self):
        """Stopped in the middle of a fetch, the pool answers it and leaves no process."""
        pid = await self.up()
        self.origin.stall_after = 100_000
        fetch = self.fetch()
        await self.until(lambda: self.spans)
        os.kill(pid, signal.SIGINT)
        await self.pool.stop()
        self.assertIs((await fetch.result).reason, Reason.CANCELLED)
        self.assertGone(pid)

    async def test_leaves_without_parent(self):
        """A worker whose link is closed leaves by itself."""
        pid = await self.up()
        left = Deferred()
        slot = self.pool._slots[0]
        self.patch(slot, "_restart", lambda: left.callback(None))
        slot._link.drop()
        await left
        self.assertGone(pid)
