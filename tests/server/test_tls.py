"""TLS that the mirror ends: what is written arrives, in few calls, whoever reads how."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from pathlib import Path

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from aimirror.forward.authority import make, now
from aimirror.forward.contexts import LeafContexts
from aimirror.server.request import MirrorRequest
from aimirror.server.site import MirrorSite
from aimirror.server.streaming import TLS_PIECE
from aimirror.server.tls import ServerTLSFactory
from tests.server.support import GET, Answer, GrowingBody, answer, parse_answers
from tests.server.test_sendfile import TIMEOUT, PortCase, read_all

HOST = "mirror.test"
LAST = GET[:-2] + b"Connection: close\r\n\r\n"


class ServerTLSTests(PortCase):
    def setUp(self) -> None:
        self.authority = make([HOST], now())
        self.contexts = LeafContexts(self.authority, now)

    def serve(self, made: Answer) -> MirrorSite:
        async def handler(_: MirrorRequest) -> Answer:
            return made

        site = MirrorSite(handler, reactor)
        creator = self.contexts.creator(HOST)
        self.port = self.listen(ServerTLSFactory(creator, False, site, reactor))
        return site

    def fetch(self, *requests: bytes, receive_buffer: int = 0) -> bytes:
        """In a thread: all that comes after the requests, until the end."""
        pem = Path(self.mktemp())
        pem.write_bytes(self.authority.pem)
        context = ssl.create_default_context(cafile=str(pem))
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(TIMEOUT)
        plain.connect(("127.0.0.1", self.port))
        with context.wrap_socket(plain, server_hostname=HOST) as client:
            for request in requests:
                client.sendall(request)
            return read_all(client)

    async def test_file(self) -> None:
        """A file of many pieces arrives byte for byte, also by a reader with a small window."""
        data = random.Random(1).randbytes(9 * TLS_PIECE + 1)
        body = GrowingBody(data, len(data), readable=True)
        self.addCleanup(body.close)
        self.serve(answer(body))
        for buffer in (0, 4096):
            got = await deferToThread(self.fetch, LAST, receive_buffer=buffer)
            ((status, _, sent),) = parse_answers(got)
            self.assertEqual((status, sent == data), (200, True))

    async def test_from_memory(self) -> None:
        """Small and large answers from memory come in order, repeats included."""
        for size in (10, 250_000):
            data = random.Random(size).randbytes(size)
            site = self.serve(answer(data, memo_until=2e10))
            got = await deferToThread(self.fetch, *[GET] * 20, LAST, receive_buffer=4096)
            answers = parse_answers(got)
            self.assertEqual([each[2] == data for each in answers], [True] * 21)
            self.assertEqual(len(site.memo), 2)

    async def test_apart_from_plain(self) -> None:
        """What is remembered for TLS is not given out without it: its links begin differently."""
        site = self.serve(answer(b"secret", memo_until=2e10))
        await deferToThread(self.fetch, GET, GET, LAST)
        self.assertEqual({like[:6] for like in site.memo._answers}, {b"https\n"})

    def test_whole_pieces(self) -> None:
        """One call encrypts a whole piece, not a record of it."""
        if not hasattr(SSL.Context, "clear_mode"):
            raise SkipTest("this pyOpenSSL can't leave the mode")
        server = self.contexts.creator(HOST).serverConnectionForTLS(None)
        server.set_accept_state()
        client = SSL.Connection(SSL.Context(SSL.TLS_METHOD))
        client.set_tlsext_host_name(HOST.encode())
        client.set_connect_state()
        for _ in range(4):
            for one, other in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    one.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(1 << 16))
        self.assertEqual(server.send(b"x" * TLS_PIECE), TLS_PIECE)
