"""An upstream that answers as a test tells it."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers as WireHeaders
from twisted.web.iweb import IResponse
from zope.interface import implementer

from aimirror.http.headers import Headers
from aimirror.upstream.heads import Head


@implementer(IResponse)
class FakeReply:
    """What ``Agents.send`` fires with; ``flow`` and ``end`` play the body."""

    version = (b"HTTP", 1, 1)
    phrase = b""
    request = None
    previousResponse = None
    kept = False

    def __init__(self, status, headers, length):
        headers = Headers(headers)
        self.head = Head(status, "", headers, length, length is None, True)
        self.code = status
        self.length = length
        self.headers = WireHeaders()
        for name, value in headers.raw():
            self.headers.addRawHeader(name, value)
        self.protocol = None
        self.aborted = False
        self.paused = False
        self.gathered = []
        self.poured = False

    def gather(self, left, pace=None):
        self.gathered.append(left)

    def pour(self):
        self.poured = True

    def setPreviousResponse(self, response):
        self.previousResponse = response

    def deliverBody(self, protocol):
        self.protocol = protocol
        protocol.makeConnection(self)

    def abortConnection(self):
        self.aborted = True

    def pauseProducing(self):
        self.paused = True

    def resumeProducing(self):
        self.paused = False

    def flow(self, data):
        """Body bytes, unless the connection is gone."""
        if not self.aborted:
            self.protocol.dataReceived(data)

    def end(self, reason=None):
        """The end of the body: by its framing, or by ``reason``."""
        self.protocol.connectionLost(Failure(ResponseDone() if reason is None else reason))


def partial(start, stop, total, **fields):
    """A 206 with a matching Content-Length."""
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    content_range = ("Content-Range", f"bytes {start}-{stop - 1}/{total}")
    return FakeReply(206, [content_range, *pairs], stop - start)


class FakeAgents:
    """Keeps requests and the Deferreds of their answers."""

    def __init__(self):
        self.requests = []
        self.answers = []
        self.cancelled = 0

    def send(self, outgoing, body=None):
        self.requests.append(outgoing)
        self.answers.append(Deferred(self._cancel))
        return self.answers[-1]

    def close_idle(self, host):
        return succeed(None)

    def answer(self, reply):
        """Answer the last request."""
        self.answers[-1].callback(reply)
        return reply

    def _cancel(self, _):
        self.cancelled += 1


RESET = ConnectionLost()
