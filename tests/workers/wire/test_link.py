import os

from twisted.internet.error import ConnectionDone
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from aimirror.workers.wire import commands
from aimirror.workers.wire.link import Link, socket_pair


class Clumsy(Link):
    """Fails in every way."""

    heard = 0

    @commands.Ping.responder
    def ping(self):
        raise KeyError("secret")

    @commands.Hash.responder
    def hash(self, key, path, algorithms, stop):
        raise commands.HashFailed.of(OSError(5, "Input/output error"))

    @commands.Forget.responder
    def forget(self, key):
        raise ValueError(key)

    @commands.Cancel.responder
    def cancel(self, id):
        self.heard += 1
        return {}


class LinkTests(SynchronousTestCase):
    def setUp(self):
        self.lost = []
        self.parent, self.worker = Link(lambda: self.lost.append(1)), Clumsy(lambda: None)
        transports = [iosim.FakeTransport(p, isServer=False) for p in (self.parent, self.worker)]
        self.pump = iosim.connect(self.parent, transports[0], self.worker, transports[1])

    def failureOf(self, command, **fields):
        """What a command fails with; taken at once, as AMP complains of what nobody takes."""
        failures = []
        self.parent.ask(command, **fields).addErrback(failures.append)
        self.pump.flush()
        (failure,) = failures
        return failure.value

    def assertUp(self):
        before = self.worker.heard
        self.parent.tell(commands.Cancel, id=1)
        self.pump.flush()
        self.assertEqual(self.worker.heard, before + 1)

    def test_undeclared_error(self):
        """An error that no command declares is answered as Failed, by its type; the link stays."""
        error = self.failureOf(commands.Ping)
        self.assertIsInstance(error, commands.Failed)
        self.assertEqual(str(error), "KeyError")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertUp()

    def test_error_without_answer(self):
        """An error in a command that has no answer is logged; the link stays."""
        self.parent.tell(commands.Forget, key="k")
        self.pump.flush()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertUp()

    def test_unhandled_answer(self):
        """A caller that does not look at an error does not lose the link."""
        self.parent.ask(commands.Ping)
        self.pump.flush()
        self.assertEqual(len(self.flushLoggedErrors(KeyError, commands.Failed)), 2)
        self.assertUp()

    def test_unknown_command(self):
        """A command that the other end does not know fails alone."""
        error = self.failureOf(commands.Fetch, task=b"")
        self.assertIsInstance(error, amp.UnhandledCommand)
        self.assertUp()

    def test_undecodable(self):
        """A command whose arguments make no sense fails alone."""
        self.parent.callRemoteString(b"cancel", False, id=b"no number")
        self.pump.flush()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertUp()

    def test_hash_error(self):
        """An OSError keeps its number and text on the way."""
        failed = self.failureOf(commands.Hash, key="k", path=b"p", algorithms=[], stop=1)
        error = failed.error()
        self.assertEqual((error.errno, error.strerror), (5, "Input/output error"))

    def test_lost(self):
        """When the link is lost, its owner is told once, then calls in flight fail."""
        asked = self.parent.ask(commands.Ping)
        told = []
        asked.addErrback(lambda failure: told.append((failure.type, list(self.lost))))
        self.parent.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(told, [(ConnectionDone, [1])])
        self.assertEqual(self.lost, [1])


class SocketPairTests(SynchronousTestCase):
    def test_non_blocking(self):
        """Both ends are connected and never block a reactor."""
        ours, theirs = socket_pair()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        self.assertFalse(os.get_blocking(ours))
        self.assertFalse(os.get_blocking(theirs))
        os.write(ours, b"x")
        self.assertEqual(os.read(theirs, 1), b"x")
