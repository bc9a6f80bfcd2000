"""TLS and tunnels over real sockets on 127.0.0.1."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate
from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyServer
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import ResponseDone

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Egress, Outgoing, Timeouts, Trust
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.upstream import tls
from aimirror.upstream.agent import Agents
from aimirror.upstream.client import Upstream
from aimirror.upstream.connection import Connection
from aimirror.upstream.errors import HTTP2_ONLY, tls_words
from aimirror.upstream.trust import Policies
from tests.upstream.network import Receiver
from tests.upstream.test_connection import SETTINGS

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
UNFRAMED = b"HTTP/1.1 200 OK\r\n\r\nhello"


def certificate(name: str) -> tuple[PrivateCertificate, bytes]:
    """A self-signed certificate for a DNS name, and its PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return PrivateCertificate.loadPEM(pem + secret), pem


NO_FILES = Trust()
LOCALHOST, LOCALHOST_PEM = certificate("localhost")


class Canned(Protocol):
    """Answers each request header with ``answer``, then does ``then``."""

    def __init__(self, answer: bytes, then: str) -> None:
        self.answer, self.then = answer, then
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"\r\n\r\n"):
            self.factory.requests.append((self.received, self.transport))
            self.received = b""
            self.transport.write(self.answer)
            if self.then == "close":
                self.transport.loseConnection()
            elif self.then == "cut":  # below TLS: no close alert
                self.transport.transport.loseConnection()
            elif self.then == "deaf":
                self.transport.transport.pauseProducing()


class CannedFactory(Factory):
    noisy = False

    def __init__(self, answer: bytes, then: str) -> None:
        self.answer, self.then = answer, then
        self.requests: list[tuple[bytes, object]] = []

    def buildProtocol(self, addr: object) -> Canned:
        protocol = Canned(self.answer, self.then)
        protocol.factory = self
        return protocol


class ConnectProxy(ProxyServer):
    """A proxy that knows CONNECT and nothing else."""

    asked = b""

    def connectionMade(self) -> None:
        pass

    def dataReceived(self, data: bytes) -> None:
        if self.peer is not None:
            super().dataReceived(data)
            return
        self.asked += data
        if self.asked.endswith(b"\r\n\r\n"):
            self.factory.asked.append(self.asked)
            self.factory.port = int(self.asked.split()[1].rpartition(b":")[2])
            self.factory.host = "127.0.0.1"
            super().connectionMade()

    def setPeer(self, peer: Protocol) -> None:
        super().setPeer(peer)
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")


class TamperingClient(ProxyClient):
    """Passes the origin's bytes on, one in 300,000 turned over."""

    passed = 0

    def dataReceived(self, data: bytes) -> None:
        at = 300_000 - self.passed
        self.passed += len(data)
        if 0 <= at < len(data):
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        super().dataReceived(data)


class TamperingClientFactory(ProxyClientFactory):
    protocol = TamperingClient
    noisy = False


class TamperingProxy(ProxyServer):
    clientProtocolFactory = TamperingClientFactory


def _restore(name: str, before: str | None) -> None:
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before


class LoopbackCase(TestCase):
    timeout = 10

    def listen(self, factory: IProtocolFactory) -> int:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port.getHost().port

    def serve(self, answer: bytes = HELLO, then: str = "", name: str = "localhost") -> int:
        """A TLS origin; its port."""
        own = LOCALHOST if name == "localhost" else certificate(name)[0]
        self.origin = CannedFactory(answer, then)
        options = CertificateOptions(
            privateKey=own.privateKey.original,
            certificate=own.original,
            acceptableProtocols=[b"h2", b"http/1.1"],
            caCerts=self.believed,
            verify=bool(self.believed),
        )
        return self.listen(TLSMemoryBIOFactory(options, False, self.origin))

    #: Authorities of whom the origin wants a client's certificate.
    believed: list[object] | None = None

    def client(self, trust: Certificate | None = LOCALHOST) -> Upstream:
        self.agents = Agents(reactor, tls=Policies(trust))
        self.addCleanup(self.agents.close)
        return Upstream(self.agents)

    async def ask(
        self,
        url: str,
        proxy: str = "",
        trust: Certificate | None = LOCALHOST,
        files: Trust = NO_FILES,
    ):
        egress = Egress(proxy, ANYWHERE, trust=files)
        outgoing = Outgoing("GET", url, Headers(), egress, Timeouts(5, 5, 5))
        response = await self.client(trust).request(outgoing)
        receiver, done = Receiver(), Deferred()
        receiver.finished = done.callback
        response.deliver(receiver)
        error = await done
        if error is not None:
            raise error
        return receiver.body

    def kept(self, data: bytes) -> str:
        """The path of a new file."""
        path = Path(self.mktemp())
        path.write_bytes(data)
        return str(path)

    def folder(self, name: str, data: bytes) -> Path:
        """A new folder with one file."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / name).write_bytes(data)
        return folder

    def patch_environment(self, name: str, value: str) -> None:
        before = os.environ.get(name)
        os.environ[name] = value
        self.addCleanup(_restore, name, before)

    async def fault(self, url: str, **more: object) -> UpstreamError:
        with self.assertRaises(UpstreamError) as caught:
            await self.ask(url, **more)
        return caught.exception


class TrustTests(LoopbackCase):
    async def test_verified(self) -> None:
        """A trusted certificate is accepted; SNI is sent, and only http/1.1 offered by ALPN."""
        port = self.serve()
        self.assertEqual(await self.ask(f"https://localhost:{port}/"), b"hello")
        [(request, transport)] = self.origin.requests
        self.assertIn(b"Host: localhost:%d\r\n" % port, request)
        self.assertEqual(transport.getHandle().get_servername(), b"localhost")
        self.assertEqual(transport.negotiatedProtocol, b"http/1.1")

    async def test_odd_name(self) -> None:
        """A name that IDNA does not have is verified and sent like all others."""
        for name in ("my_repo.lan", "r3---sn.lan"):
            own, _ = certificate(name)
            self.origin = CannedFactory(HELLO, "")
            options = CertificateOptions(
                privateKey=own.privateKey.original,
                certificate=own.original,
                acceptableProtocols=[b"http/1.1"],
            )
            port = self.listen(TLSMemoryBIOFactory(options, False, self.origin))
            proxy = Factory.forProtocol(ConnectProxy)
            proxy.noisy, proxy.asked = False, []
            through = f"http://127.0.0.1:{self.listen(proxy)}"
            url = f"https://{name}:{port}/"
            self.assertEqual(await self.ask(url, proxy=through, trust=own), b"hello")
            [(_, transport)] = self.origin.requests
            self.assertEqual(transport.getHandle().get_servername(), name.encode())
            error = await self.fault(f"https://other_{name}:{port}/", proxy=through, trust=own)
            self.assertIs(error.reason, Reason.TLS)

    async def test_system_trust(self) -> None:
        """SSL_CERT_FILE replaces the system's certificates."""
        self.patch_environment("SSL_CERT_FILE", self.kept(LOCALHOST_PEM))
        port = self.serve()
        self.assertEqual(await self.ask(f"https://localhost:{port}/", trust=None), b"hello")

    async def test_folder_of_the_system(self) -> None:
        """So does SSL_CERT_DIR, where certificates lie by the hash of their subjects."""
        name = f"{LOCALHOST.original.subject_name_hash():08x}.0"
        self.patch_environment("SSL_CERT_DIR", str(self.folder(name, LOCALHOST_PEM)))
        port = self.serve()
        self.assertEqual(await self.ask(f"https://localhost:{port}/", trust=None), b"hello")

    async def test_authority_beside_the_system(self) -> None:
        """A ca_file is believed beside the system's certificates, not in their place."""
        _, other_pem = certificate("other")
        files = Trust((self.kept(LOCALHOST_PEM + other_pem),))
        port = self.serve()
        self.assertEqual(
            await self.ask(f"https://localhost:{port}/", trust=None, files=files), b"hello"
        )
        besides = Trust((self.kept(other_pem),))
        self.assertEqual(await self.ask(f"https://localhost:{port}/", files=besides), b"hello")

    async def test_untrusted(self) -> None:
        """A certificate that nobody vouches for is TLS, and no request is sent."""
        error = await self.fault(f"https://localhost:{self.serve()}/", trust=None)
        self.assertIs(error.reason, Reason.TLS)
        self.assertIn("certificate verify failed", error.detail)
        self.assertEqual(self.origin.requests, [])

    async def test_other_host(self) -> None:
        """A trusted certificate for another host is TLS."""
        error = await self.fault(f"https://127.0.0.1:{self.serve()}/")
        self.assertIs(error.reason, Reason.TLS)
        # Twisted 26.4 and later let OpenSSL say it, which names the host.
        self.assertRegex(error.detail, "127.0.0.1|for another host")

    async def test_http2_only(self) -> None:
        """A server without HTTP/1.1 is told of as that, whether it says so by TLS or by frames."""
        port = self.serve(SETTINGS)
        error = await self.fault(f"https://localhost:{port}/")
        self.assertEqual((error.reason, error.detail), (Reason.PROTOCOL, HTTP2_ONLY))
        refusal = SSL.Error([("SSL routines", "", "tlsv1 alert no application protocol")])
        self.assertEqual(tls_words(refusal), HTTP2_ONLY)

    async def test_no_tls(self) -> None:
        """A server that does not speak TLS is TLS, one that hangs up is RESET."""
        plain = self.listen(Answering.factory(b"SSH-2.0-x\r\n"))
        self.assertIs((await self.fault(f"https://localhost:{plain}/")).reason, Reason.TLS)
        closing = self.listen(Answering.factory(b""))
        self.assertIs((await self.fault(f"https://localhost:{closing}/")).reason, Reason.RESET)


class Answering(Protocol):
    """Writes something and hangs up."""

    answer = b""

    @classmethod
    def factory(cls, answer: bytes) -> Factory:
        made = Factory.forProtocol(type("Answering", (cls,), {"answer": answer}))
        made.noisy = False
        return made

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.answer)
        self.transport.loseConnection()


class ClientCertificateTests(LoopbackCase):
    """An origin that wants a certificate of ours."""

    def setUp(self) -> None:
        self.own, own_pem = certificate("mirror")
        self.believed = [self.own.original]
        key = self.own.privateKey.dump(crypto.FILETYPE_PEM)
        self.cert, self.key, self.both = map(self.kept, (own_pem, key, own_pem + key))

    async def test_shown(self) -> None:
        """It gets what the files hold, in one file or in two."""
        for files in (Trust((), self.cert, self.key), Trust((), self.both)):
            port = self.serve()
            self.assertEqual(await self.ask(f"https://localhost:{port}/", files=files), b"hello")
            shown = self.origin.requests[0][1].getPeerCertificate()
            self.assertEqual(shown.get_subject().commonName, "mirror")

    async def test_none(self) -> None:
        """Without one the origin's refusal is TLS."""
        error = await self.fault(f"https://localhost:{self.serve()}/")
        self.assertIn(error.reason, (Reason.TLS, Reason.RESET))

    async def test_connections_of_its_own(self) -> None:
        """A connection under a certificate is of no use to requests that show none."""
        url = f"https://localhost:{self.serve()}/"
        upstream = self.client()
        for files in (Trust((), self.cert, self.key), Trust()):
            egress = Egress("", ANYWHERE, trust=files)
            asked = upstream.request(Outgoing("GET", url, Headers(), egress, Timeouts(5, 5, 5)))
            if files.certificate:
                response, done = await asked, Deferred()
                receiver = Receiver()
                receiver.finished = done.callback
                response.deliver(receiver)
                await done
            else:
                with self.assertRaises(UpstreamError):
                    await asked
        self.assertEqual(len(self.origin.requests), 1)

    async def test_not_elsewhere(self) -> None:
        """Where a redirect leads to another origin, no certificate is shown."""
        elsewhere = self.serve()
        there, self.believed = self.origin, [self.own.original]
        moved = b"HTTP/1.1 302 Found\r\nLocation: https://localhost:%d/\r\n" % elsewhere
        here = self.serve(moved + b"Content-Length: 0\r\n\r\n")
        egress = Egress("", ANYWHERE, trust=Trust((), self.cert, self.key))
        url = f"https://localhost:{here}/"
        outgoing = Outgoing("GET", url, Headers(), egress, Timeouts(5, 5, 5))
        with self.assertRaises(UpstreamError):
            await self.client().request(outgoing, None, 5)
        self.assertEqual((len(self.origin.requests), there.requests), (1, []))


class ClosingTests(LoopbackCase):
    async def test_end_with_alert(self) -> None:
        """A body without length is complete when TLS was closed in the regular way."""
        port = self.serve(UNFRAMED, "close")
        self.assertEqual(await self.ask(f"https://localhost:{port}/"), b"hello")

    async def test_end_without_alert(self) -> None:
        """Without the close alert anybody could have cut it: RESET."""
        port = self.serve(UNFRAMED, "cut")
        self.assertIs((await self.fault(f"https://localhost:{port}/")).reason, Reason.RESET)

    async def test_deaf_peer(self) -> None:
        """An idle connection closes although the peer never answers the close alert."""
        port = self.serve(then="deaf")
        await self.ask(f"https://localhost:{port}/")
        await self.agents.close()
        self.origin.requests[0][1].transport.abortConnection()


class Poured(Protocol):
    """Keeps a body, and says of what types its pieces were."""

    def __init__(self) -> None:
        self.data, self.kinds = bytearray(), set()
        self.done: Deferred[object] = Deferred()

    def dataReceived(self, data: bytes | memoryview) -> None:
        self.data += data
        self.kinds.add(type(data))

    def connectionLost(self, reason: Failure) -> None:
        self.done.callback((reason.value,))


class RecordTests(LoopbackCase):
    """Records of one read are delivered together, and nothing of their faults gets lost."""

    BODY = bytes(range(256)) * 2048

    def answer(self) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.BODY) + self.BODY

    async def test_joined(self) -> None:
        """Half a megabyte comes whole, in fewer pieces than the 33 records it was sent in."""
        pieces: list[int] = []
        plain = Connection.dataReceived
        self.patch(Connection, "dataReceived", lambda c, d: (pieces.append(len(d)), plain(c, d)))
        port = self.serve(self.answer())
        self.assertEqual(await self.ask(f"https://localhost:{port}/"), self.BODY)
        self.assertLess(len(pieces), 33)

    async def pour(self, port: int) -> tuple[bytes, set[type], Exception]:
        """A body read straight from the socket: what came, and how, and why it ended."""
        egress, timeouts = Egress("", ANYWHERE), Timeouts(5, 5, 5)
        self.client()
        url = f"https://localhost:{port}/"
        reply = await self.agents.send(Outgoing("GET", url, Headers(), egress, timeouts))
        body = Poured()
        reply.deliverBody(body)
        reply.pour()
        (reason,) = await body.done
        return bytes(body.data), body.kinds, reason

    async def test_poured(self) -> None:
        """Right from the socket it is the same body, and its connection serves again."""
        port = self.serve(self.answer(), "")
        for _ in range(2):
            data, kinds, reason = await self.pour(port)
            self.assertEqual(data, self.BODY)
            self.assertIn(memoryview, kinds)
            self.assertIsInstance(reason, ResponseDone)

    async def test_poured_ends(self) -> None:
        """A body that is cut off, with an alert or without, is never taken for a whole one."""
        cut = self.answer()[:-10_000]
        for then, expected in (("close", Reason.SHORT), ("cut", Reason.RESET)):
            data, _, reason = await self.pour(self.serve(cut, then))
            self.assertEqual(data, self.BODY[:-10_000])
            self.assertIs(reason.reason, expected)

    async def test_without_bindings(self) -> None:
        """A pyOpenSSL without the bindings that we know is read record by record."""
        self.patch(tls, "JOINS", False)
        port = self.serve(self.answer())
        self.assertEqual(await self.ask(f"https://localhost:{port}/"), self.BODY)

    async def test_damaged_record(self) -> None:
        """A record that was tampered with ends the body with TLS, whatever came before it."""
        tampered = Factory.forProtocol(TamperingProxy)
        tampered.noisy = False
        tampered.host, tampered.port = "127.0.0.1", self.serve(self.answer())
        for joins in (True, False):
            self.patch(tls, "JOINS", joins)
            error = await self.fault(f"https://localhost:{self.listen(tampered)}/")
            self.assertIs(error.reason, Reason.TLS)
            self.assertIn("bad record mac", error.detail)
            data, _, error = await self.pour(self.listen(tampered))
            self.assertEqual(data, self.BODY[: len(data)])
            self.assertIs(error.reason, Reason.TLS)


class TunnelTests(LoopbackCase):
    def proxy(self) -> str:
        self.crossed = Factory.forProtocol(ConnectProxy)
        self.crossed.asked = []
        self.crossed.noisy = False
        return f"http://user:secret@127.0.0.1:{self.listen(self.crossed)}"

    async def test_through(self) -> None:
        """TLS runs through the tunnel end to end; the proxy alone gets its credentials."""
        port, proxy = self.serve(), self.proxy()
        self.assertEqual(await self.ask(f"https://localhost:{port}/", proxy=proxy), b"hello")
        [asked] = self.crossed.asked
        self.assertIn(b"\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n", asked)
        self.assertNotIn(b"Proxy-Authorization", self.origin.requests[0][0])
