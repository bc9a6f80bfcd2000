import errno
import hashlib
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import HashTask
from aimirror.routing.digests import ALGORITHMS
from aimirror.workers.worker import hashing
from aimirror.workers.worker.hashing import HASH_THREADS, Hasher

DATA = bytes(range(256)) * 20000  # more than four buffers


class HeldThreads:
    """A thread pool and its reactor in one thread, which works when it is told to."""

    def __init__(self):
        self.waiting = []

    def callInThreadWithCallback(self, done, function, *args):
        self.waiting.append((done, function, args))

    def callFromThread(self, function, *args):
        function(*args)

    def work(self):
        while self.waiting:
            done, function, args = self.waiting.pop(0)
            try:
                done(True, function(*args))
            except Exception:
                from twisted.python.failure import Failure

                done(False, Failure())


class HasherTests(SynchronousTestCase):
    def setUp(self):
        self.path = self.mktemp()
        with open(self.path, "wb") as file:
            file.write(DATA)
        self.threads = HeldThreads()
        self.hasher = Hasher(self.threads, self.threads)
        self.bytes_read = 0
        preadv = hashing.preadv

        def counted(*args):
            count = preadv(*args)
            self.bytes_read += count
            return count

        self.patch(hashing, "preadv", counted)

    def ask(self, stop, key="k", algorithms=("sha256",)):
        task = HashTask(key, self.path, algorithms, stop)
        return Deferred.fromCoroutine(self.hasher.digests(task))

    def digests(self, *args, **fields):
        asked = self.ask(*args, **fields)
        self.threads.work()
        return self.successResultOf(asked)

    def failure(self, *args, **fields):
        asked = self.ask(*args, **fields)
        self.threads.work()
        return self.failureResultOf(asked, OSError).value

    def test_all_algorithms(self):
        """Every algorithm that a rule may name is computed in one pass."""
        expected = {
            "blake2b-256": hashlib.blake2b(DATA, digest_size=32).hexdigest(),
            **{name: hashlib.new(name, DATA).hexdigest() for name in ALGORITHMS if "-" not in name},
        }
        self.assertEqual(self.digests(len(DATA), algorithms=tuple(ALGORITHMS)), expected)
        self.assertEqual(self.bytes_read, len(DATA))

    def test_goes_on(self):
        """A file that grows is read once."""
        for stop in (1, 1000, 1000, 3_000_000, len(DATA)):
            expected = hashlib.sha256(DATA[:stop]).hexdigest()
            self.assertEqual(self.digests(stop), {"sha256": expected})
        self.assertEqual(self.bytes_read, len(DATA))

    def test_backwards(self):
        """Asked for less than was hashed, it starts again."""
        self.digests(5000)
        self.assertEqual(self.digests(100), {"sha256": hashlib.sha256(DATA[:100]).hexdigest()})

    def test_other_algorithms(self):
        """Asked for other algorithms, it starts again."""
        self.digests(5000)
        self.assertEqual(
            self.digests(6000, algorithms=("md5",)), {"md5": hashlib.md5(DATA[:6000]).hexdigest()}
        )

    def test_forgotten(self):
        """A key that was forgotten starts again."""
        self.digests(5000)
        self.hasher.forget("k")
        self.digests(6000)
        self.assertEqual(self.bytes_read, 11000)

    def test_bounded_states(self):
        """Of too many states the one used least recently goes."""
        self.patch(hashing, "MOST_STATES", 2)
        self.hasher = Hasher(self.threads, self.threads)
        for key in ("a", "b", "a", "c"):
            self.digests(1000, key=key)
        self.bytes_read = 0
        self.digests(2000, key="a")
        self.assertEqual(self.bytes_read, 1000)
        self.digests(2000, key="b")
        self.assertEqual(self.bytes_read, 3000)

    def test_bounded_threads(self):
        """No more than HASH_THREADS files are hashed at a time, one key never twice."""
        asked = [self.ask(1000, key=str(n)) for n in range(HASH_THREADS + 3)]
        self.assertEqual(len(self.threads.waiting), HASH_THREADS)
        self.threads.work()
        for each in asked:
            self.successResultOf(each)
        again = [self.ask(2000), self.ask(3000)]
        self.assertEqual(len(self.threads.waiting), 1)
        self.threads.work()
        expected = hashlib.sha256(DATA[:3000]).hexdigest()
        self.assertEqual(self.successResultOf(again[1]), {"sha256": expected})

    def test_failures(self):
        """A missing file, a file that is too short and an unknown algorithm are OSErrors."""
        self.assertEqual(self.failure(len(DATA) + 1).errno, errno.EIO)
        self.assertEqual(self.failure(10, algorithms=("crc",)).errno, errno.EINVAL)
        Path(self.path).unlink()
        self.assertEqual(self.failure(10).errno, errno.ENOENT)

    def test_recovers(self):
        """After a failure the digest is right again."""
        self.failure(len(DATA) + 1)
        expected = hashlib.sha256(DATA).hexdigest()
        self.assertEqual(self.digests(len(DATA)), {"sha256": expected})

    def test_close(self):
        """A worker that leaves does not wait for a long file."""
        asked = self.ask(len(DATA))
        self.hasher.close()
        self.threads.work()
        error = self.failureResultOf(asked, OSError).value
        self.assertEqual((error.errno, self.bytes_read), (errno.ECANCELED, 0))
