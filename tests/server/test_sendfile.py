"""Files over real sockets of the loopback: order, holes, leaving, slowness, TLS.

Real sockets, because sendfile(2) needs one; each test has a hard time-out.
"""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet import reactor, ssl, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from aimirror.server import sendfile
from aimirror.server.answers import Answer
from aimirror.server.gone import ClientGone
from aimirror.server.request import MirrorRequest
from aimirror.server.sendfile import TURN, FilePort, FileServer
from aimirror.server.site import MirrorSite
from aimirror.server.streaming import SPAN, TLS_PIECE
from aimirror.store.inuse import hollow
from tests.server.support import GET, GrowingBody, answer

#: Seconds after which a test here has failed.
TIMEOUT = 20


class Bare(Protocol):
    """A server whose answers the test gives by hand."""

    transport: FileServer

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: object = None) -> None:
        self.lost.callback(None)


class PortCase(TestCase):
    timeout = TIMEOUT

    def listen(self, factory: Factory) -> int:
        port = FilePort(0, factory, interface="127.0.0.1", reactor=reactor)
        port.startListening()
        self.addCleanup(port.stopListening)
        return port.getHost().port

    def dial(self, port: int, receive_buffer: int = 0) -> socket.socket:
        """A blocking client, to be used in threads alone."""
        client = socket.socket()
        client.settimeout(TIMEOUT)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", port))
        self.addCleanup(client.close)
        return client

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await task.deferLater(reactor, 0.005)


def read_all(client: socket.socket) -> bytes:
    """All until the peer closes; raises ConnectionResetError when it does not do so cleanly."""
    pieces = []
    while piece := client.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def read_exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data


class TransportTests(PortCase):
    async def connected(self, **options: int) -> tuple[Bare, socket.socket]:
        made: list[Bare] = []
        factory = Factory()

        def build(_: object) -> Bare:
            made.append(Bare())
            return made[0]

        factory.buildProtocol = build
        client = self.dial(self.listen(factory), **options)
        await self.until(lambda: bool(made) and made[0].transport is not None)
        return made[0], client

    def file(self, size: int) -> tuple[int, bytes]:
        body = GrowingBody(os.urandom(size), readable=True)
        self.addCleanup(body.close)
        return body.fd, body.data

    def send(self, server: Bare, fd: int, offset: int, count: int) -> Deferred[object]:
        done: Deferred[object] = Deferred()
        server.transport.send_file(fd, offset, count, done.callback)
        return done

    async def test_order(self) -> None:
        """Spans and writes arrive in the order in which they were asked for."""
        fd, data = self.file(5 * TURN)
        server, client = await self.connected()
        reading = deferToThread(read_all, client)
        server.transport.write(b"head;")
        self.assertIsNone(await self.send(server, fd, 7, 4 * TURN))
        server.transport.write_now(b";middle;")
        self.assertIsNone(await self.send(server, fd, 0, 3))
        server.transport.write(b";end")
        server.transport.loseConnection()
        got = await reading
        self.assertEqual(got, b"head;" + data[7 : 7 + 4 * TURN] + b";middle;" + data[:3] + b";end")
        self.assertEqual(server.transport.taken, len(got))

    async def test_at_once(self) -> None:
        """What goes out at once goes after what was written; what does not is for a span."""
        fd, data = self.file(32 * TURN)
        server, client = await self.connected(receive_buffer=4096)
        server.transport.write(b"head;")
        position = 0
        while sent := server.transport.send_some(fd, position, len(data) - position):
            self.assertLessEqual(sent, TURN)
            position += sent
        self.assertGreater(position, 0)
        self.assertEqual(server.transport.taken, len(b"head;") + position)
        done = self.send(server, fd, position, len(data) - position)
        self.assertEqual(server.transport.send_some(fd, 0, 1), 0)
        reading = deferToThread(read_all, client)
        self.assertIsNone(await done)
        self.assertEqual(server.transport.send_some(fd, len(data), 1), 0)
        server.transport.loseConnection()
        self.assertEqual(await reading, b"head;" + data)
        await server.lost
        self.assertEqual(server.transport.send_some(fd, 0, 1), 0)

    async def test_closing_after_the_last_byte(self) -> None:
        """A connection that is to be closed closes after its span, which goes out whole."""
        fd, data = self.file(3 * TURN)
        server, client = await self.connected(receive_buffer=4096)
        done = self.send(server, fd, 0, len(data))
        server.transport.loseConnection()
        self.assertEqual(await deferToThread(read_all, client), data)
        self.assertIsNone(await done)

    async def test_one_at_a_time(self) -> None:
        """A second span before the first is done is a mistake of the caller."""
        fd, _ = self.file(20 * TURN)
        server, _client = await self.connected(receive_buffer=4096)
        done = self.send(server, fd, 0, 20 * TURN)
        self.assertRaises(RuntimeError, server.transport.send_file, fd, 0, 1, lambda _: None)
        server.transport.abortConnection()
        self.assertIsInstance(await done, ClientGone)
        await server.lost

    async def test_fairness(self) -> None:
        """However fast one client reads, others have their turn between two of its turns."""
        fd, data = self.file(20 * TURN)
        server, client = await self.connected()
        turns = 0
        done = self.send(server, fd, 0, len(data))
        reading = deferToThread(read_all, client)
        while not done.called:
            turns += 1
            await task.deferLater(reactor, 0)
        self.assertGreaterEqual(turns, 19)
        server.transport.loseConnection()
        self.assertEqual(len(await reading), len(data))

    async def test_few_turns(self) -> None:
        """A client that takes all at once gets much with each turn: every turn costs CPU."""
        server, _client = await self.connected()
        counts: list[int] = []
        self.patch(sendfile, "send_file", lambda *span: counts.append(span[3]) or span[3])
        self.assertIsNone(await self.send(server, 0, 0, 64_000_000))
        self.assertEqual((sum(counts), len(counts)), (64_000_000, 16))
        server.transport.abortConnection()
        await server.lost

    async def test_client_leaves(self) -> None:
        """A client that leaves midway gives ClientGone, once, and nothing is sent any more."""
        fd, data = self.file(20 * TURN)
        server, client = await self.connected(receive_buffer=4096)
        done = self.send(server, fd, 0, len(data))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.assertIsInstance(await done, ClientGone)
        await server.lost
        self.assertIsInstance(await self.send(server, fd, 0, 1), ClientGone)

    async def test_abort(self) -> None:
        """After an abort not a byte is sent, even before the reactor has closed the socket."""
        fd, data = self.file(TURN)
        server, client = await self.connected()
        server.transport.abortConnection()
        self.assertIsInstance(await self.send(server, fd, 0, len(data)), ClientGone)
        server.transport.write_now(b"x")
        with self.assertRaises(ConnectionResetError):
            await deferToThread(read_all, client)
        self.assertEqual(server.transport.taken, 0)

    async def test_short_file(self) -> None:
        """A file that ends early is an EOFError, a bad descriptor an OSError."""
        fd, data = self.file(1000)
        server, client = await self.connected()
        self.assertIsInstance(await self.send(server, fd, 0, 1001), EOFError)
        bad = os.dup(fd)
        os.close(bad)
        self.assertIsInstance(await self.send(server, bad, 0, 1), OSError)
        server.transport.loseConnection()
        self.assertEqual(await deferToThread(read_all, client), data)

    async def test_given_up(self) -> None:
        """A file given up under its reader ends the span as an error, and no byte is another."""
        fd, data = self.file(32 * TURN)
        server, client = await self.connected(receive_buffer=4096)
        sending = self.send(server, fd, 0, len(data))
        await self.until(lambda: server.transport.taken > 0)
        hollow(fd)
        reading = deferToThread(read_all, client)
        self.assertIsInstance(await sending, (EOFError, OSError))
        server.transport.loseConnection()
        got = await reading
        self.assertLess(len(got), len(data))
        self.assertEqual(got, data[: len(got)])

    async def test_producer_resumes(self) -> None:
        """A producer that was paused by what was written before goes on after the span."""
        fd, _ = self.file(TURN)
        server, client = await self.connected()
        told: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                told.append("pause")

            def resumeProducing(self) -> None:
                told.append("resume")

            def stopProducing(self) -> None:
                told.append("stop")

        server.transport.registerProducer(Producer(), True)
        server.transport.write(b"x" * 10 * TURN)
        done = self.send(server, fd, 0, TURN)
        reading = deferToThread(read_all, client)
        await done
        await self.until(lambda: "resume" in told)
        self.assertEqual(told, ["pause", "resume"])
        server.transport.unregisterProducer()
        server.transport.loseConnection()
        self.assertEqual(len(await reading), 11 * TURN)


class SiteTests(PortCase):
    def serve(self, *bodies: GrowingBody, tls: bool = False) -> tuple[int, MirrorSite]:
        for body in bodies:
            self.addCleanup(body.close)

        async def handler(request: MirrorRequest) -> Answer:
            return answer(bodies[int(request.raw_path[1:] or 0)])

        site = MirrorSite(handler, reactor)
        self.addCleanup(self.drop_all, site)
        factory = TLSMemoryBIOFactory(certificate(), False, site) if tls else site
        return self.listen(factory), site

    def drop_all(self, site: MirrorSite) -> Deferred[None]:
        for channel in list(site.channels):
            channel.transport.abortConnection()
        return Deferred.fromCoroutine(self.until(lambda: not site.channels))

    def fetch(self, port: int, tls: bool = False) -> bytes:
        client = self.dial(port)
        if tls:
            context = SSL.Context(SSL.TLS_METHOD)
            client.setblocking(True)
            client = SSL.Connection(context, client)
            client.set_connect_state()
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        try:
            while piece := client.recv(1 << 20):
                data += piece
        except SSL.ZeroReturnError:
            pass
        return data.partition(b"\r\n\r\n")[2]

    async def grow_at_random(self, body: GrowingBody) -> None:
        """Make random spans readable in random order, with turns of the reactor between."""
        chance = random.Random(7)
        cuts = sorted(chance.sample(range(1, len(body.data)), 60))
        spans = list(zip([0, *cuts], [*cuts, len(body.data)], strict=True))
        chance.shuffle(spans)
        for span in spans:
            body.grow(*span)
            await task.deferLater(reactor, 0)

    async def test_random_spans(self) -> None:
        """Spans that get readable in any order never let an unwritten byte out."""
        data = random.Random(1).randbytes(3 * SPAN).replace(b"\0", b"\1")
        body = GrowingBody(data, size=len(data))
        port, _ = self.serve(body)
        fetching = deferToThread(self.fetch, port)
        await self.until(lambda: bool(body.readers))
        await self.grow_at_random(body)
        self.assertEqual(await fetching, data)
        self.assertTrue(body.all_closed)

    async def test_tls(self) -> None:
        """Over TLS the file arrives just the same, a piece at a time."""
        data = random.Random(2).randbytes(5 * TLS_PIECE).replace(b"\0", b"\1")
        body = GrowingBody(data, size=len(data))
        port, _ = self.serve(body, tls=True)
        fetching = deferToThread(self.fetch, port, True)
        await self.until(lambda: bool(body.readers))
        await self.grow_at_random(body)
        self.assertEqual(await fetching, data)
        self.assertTrue(body.all_closed)

    async def test_client_leaves(self) -> None:
        """A client that leaves midway closes its reader; another one gets all."""
        body = GrowingBody(b"x" * 8 * SPAN, size=8 * SPAN, readable=True)
        port, _ = self.serve(body)
        client = self.dial(port, receive_buffer=4096)
        client.sendall(GET)
        await self.until(lambda: bool(body.readers))
        self.assertFalse(body.all_closed)
        client.close()
        await self.until(lambda: body.all_closed)
        self.assertEqual(await deferToThread(self.fetch, port), body.data)

    async def test_failure_is_a_reset(self) -> None:
        """A body that fails midway resets the connection: the client can't mistake it."""
        body = GrowingBody(b"x" * 1000, size=1000)
        port, _ = self.serve(body)
        client = self.dial(port)
        client.sendall(GET)
        await self.until(lambda: bool(body.readers))
        body.grow(0, 10)
        await deferToThread(client.recv, 10)
        body.fail()
        with self.assertRaises(ConnectionResetError):
            await deferToThread(read_all, client)

    async def test_keep_alive_and_pipelining(self) -> None:
        """Files and further requests share one connection."""
        bodies = [
            GrowingBody(bytes([65 + n]) * (TURN + n), size=TURN + n, readable=True)
            for n in range(3)
        ]
        port, _ = self.serve(*bodies)
        client = self.dial(port)
        client.sendall(b"".join(GET.replace(b"/ ", b"/%d " % n) for n in (0, 2, 1)))
        for n in (0, 2, 1):
            got = b""
            while not got.endswith(b"\r\n\r\n"):
                got += await deferToThread(client.recv, 1)
            self.assertEqual(await deferToThread(read_exactly, client, TURN + n), bodies[n].data)

    async def test_refusal_arrives(self) -> None:
        """The answer to a broken request is not lost to a reset while the client still sends."""
        port, _ = self.serve()
        client = self.dial(port)

        def talk() -> bytes:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 300_000)
            return client.recv(1000)

        self.assertTrue((await deferToThread(talk)).startswith(b"HTTP/1.1 400 "))

    async def test_memory_of_idle_readers(self) -> None:
        """Clients that take nothing hold no bytes of the file in the server's buffers."""
        body = GrowingBody(b"x" * 16 * SPAN, size=16 * SPAN, readable=True)
        port, site = self.serve(body)
        clients = [self.dial(port, receive_buffer=4096) for _ in range(20)]
        for client in clients:
            client.sendall(GET)
        await self.until(lambda: len(body.readers) == 20)
        for channel in site.channels:
            buffered = len(channel.transport.dataBuffer) + channel.transport._tempDataLen
            self.assertEqual(buffered, 0)


def certificate() -> ssl.CertificateOptions:
    """A fresh self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mirror.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    both = made.public_bytes(serialization.Encoding.PEM) + pem
    return ssl.PrivateCertificate.loadPEM(both).options()
