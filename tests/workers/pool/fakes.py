"""A reactor whose processes are played by the test."""

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test import iosim

from aimirror.download.tasks import FetchResult, Reason
from aimirror.workers.wire import commands
from aimirror.workers.wire.link import Link
from aimirror.workers.wire.tasks import pack_result, unpack_task


class FakeWorker(Link):
    """The worker's end of the link: notes what it hears, answers when told to."""

    def __init__(self):
        super().__init__(lambda: None)
        self.tasks = {}
        self.heard = []
        self.deaf = False
        self.hashes = []

    @commands.Ping.responder
    def ping(self):
        return Deferred() if self.deaf else {}

    @commands.Fetch.responder
    def fetch(self, task):
        task = unpack_task(task)
        self.tasks[task.id] = (task, Deferred())
        return self.tasks[task.id][1]

    @commands.Trim.responder
    def trim(self, id, stop):
        self.heard.append(("trim", id, stop))
        return {}

    @commands.Cancel.responder
    def cancel(self, id):
        self.heard.append(("cancel", id))
        return {}

    @commands.CloseIdle.responder
    def close_idle(self, host):
        self.heard.append(("close", host))
        return {}

    @commands.Hash.responder
    def hash(self, key, path, algorithms, stop):
        self.hashes.append((key, stop, Deferred()))
        return self.hashes[-1][2]

    @commands.Forget.responder
    def forget(self, key):
        self.heard.append(("forget", key))
        return {}

    @commands.Stop.responder
    def stop(self):
        self.heard.append(("stop",))
        return {}

    def wrote(self, id, start, stop):
        self.tell(commands.Wrote, spans=[(id, start, stop)])

    def finish(self, id, stop, reason=Reason.DONE):
        _, answer = self.tasks.pop(id)
        answer.callback({"result": pack_result(FetchResult(reason, stop))})


class FakeProcess:
    """A process of which the test says when it exits."""

    def __init__(self, pid, protocol, arguments, env, childFDs):
        self.pid = pid
        self.protocol = protocol
        self.arguments = arguments
        self.env = env
        self.childFDs = childFDs
        self.signals = []
        self.exited = False

    def signalProcess(self, name):
        if self.exited:
            raise ProcessExitedAlready
        self.signals.append(name)

    def exit(self, status=0):
        self.exited = True
        ended = ProcessDone(0) if status == 0 else ProcessTerminated(status)
        self.protocol.processExited(Failure(ended))


class FakeReactor(Clock):
    """IReactorTime, IReactorProcess and IReactorSocket, in memory."""

    def __init__(self):
        super().__init__()
        self.processes = []
        self.workers = []
        self.pumps = []
        self.broken = False

    def spawnProcess(self, protocol, executable, args=(), env=None, childFDs=None):
        if self.broken:
            raise OSError(11, "Resource temporarily unavailable")
        process = FakeProcess(100 + len(self.processes), protocol, args, env, childFDs)
        self.processes.append(process)
        return process

    def adoptStreamConnection(self, fd, family, factory):
        ours, theirs = factory.buildProtocol(None), FakeWorker()
        ends = [iosim.FakeTransport(end, isServer=end is ours) for end in (ours, theirs)]
        self.pumps.append(iosim.connect(ours, ends[0], theirs, ends[1]))
        self.workers.append(theirs)

    def flush(self):
        """Deliver all that was sent."""
        for pump in self.pumps:
            pump.flush()
