"""Tunnels over real sockets of the loopback: order, ends, back-pressure, silence."""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone

from aimirror.forward.tunnel import READ_BYTES
from aimirror.http.egress import Address
from tests.forward.support import ProxyCase


class TunnelTests(ProxyCase):
    def setUp(self) -> None:
        super().setUp()
        self.start(allow=(f"127.0.0.1:{self.port}",))

    async def test_both_ways(self) -> None:
        """Bytes go through as they are, both ways; without Host and in HTTP/1.0, too."""
        near, far = await self.tunnel()
        near.send(b"\x16\x03\x01hello")
        await far.sees(b"\x16\x03\x01hello")
        far.send(b"\0answer\r\n\r\n")
        await near.sees(b"\0answer\r\n\r\n")
        self.assertEqual(near.received, b"\0answer\r\n\r\n")

    async def test_answer_has_no_framing(self) -> None:
        """The 200 has no length: what follows is the host's."""
        near = await self.client(f"CONNECT 127.0.0.1:{self.port} HTTP/1.1\r\nHost: x\r\n\r\n")
        await near.sees(b"\r\n\r\n")
        self.assertEqual(near.received, b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def test_early_bytes(self) -> None:
        """What a client sends before it was answered is not lost; the host may speak first."""
        accepted = self.host.next()
        near = await self.client(f"CONNECT 127.0.0.1:{self.port} HTTP/1.1\r\nHost: x\r\n\r\nearly")
        far = await accepted
        far.send(b"SSH-2.0")
        await far.sees(b"early")
        await near.sees(b"SSH-2.0")

    async def test_half_close(self) -> None:
        """The end of one direction is passed on, the other goes on; then all is closed."""
        near, far = await self.tunnel()
        near.send(b"all")
        near.transport.loseWriteConnection()
        await far.until(lambda: far.ended)
        self.assertEqual(far.received, b"all")
        far.send(b"still")
        await near.sees(b"still")
        self.assertFalse(near.ended)
        far.transport.loseConnection()
        await near.until(lambda: near.ended)
        near.transport.loseConnection()
        await near.closed()
        while self.site.channels:
            await self.pause()

    async def test_half_close_of_the_host(self) -> None:
        """The same begun by the host."""
        near, far = await self.tunnel()
        far.send(b"all")
        far.transport.loseWriteConnection()
        await near.until(lambda: near.ended)
        self.assertEqual(near.received, b"all")
        near.send(b"still")
        await far.sees(b"still")
        near.transport.loseConnection()
        await far.until(lambda: far.ended)

    async def test_reset(self) -> None:
        """A broken connection is no clean end for the other side."""
        for breaks, sees in ((0, 1), (1, 0)):
            ends = await self.tunnel()
            ends[breaks].transport.abortConnection()
            await ends[sees].closed()
            self.assertFalse(ends[sees].ended)
            self.assertFalse(ends[sees].lost.check(ConnectionDone))

    async def test_back_pressure(self) -> None:
        """Who sends faster than the other takes has to wait; nothing is lost."""
        for sender, taker in ((0, 1), (1, 0)):
            ends = await self.tunnel()
            ends[taker].transport.pauseProducing()
            total = 64 * READ_BYTES
            data, sent = b"x" * total, ends[sender].transport.socket
            sent.setblocking(False)
            went = 0
            for _ in range(100):
                try:
                    went += sent.send(data[went:])
                except BlockingIOError:
                    await self.pause(0.005)
            self.assertLess(went, total)  # the kernel's buffers and ours are full
            ends[taker].transport.resumeProducing()
            ends[sender].send(data[went:])
            await ends[taker].until(lambda: ends[taker].count >= total)  # noqa: B023
            self.assertEqual(ends[taker].count, total)

    async def test_logged(self) -> None:
        """A tunnel is one line, with the bytes that the client got, when it is over."""
        near, far = await self.tunnel()
        far.send(b"12345")
        await near.sees(b"12345")
        self.assertEqual(self.logged, [])
        near.transport.loseConnection()
        await far.until(lambda: far.ended)
        far.transport.loseConnection()
        while not self.logged:
            await self.pause()
        [(exchange, sent)] = self.logged
        self.assertEqual((exchange.method, exchange.status, sent), ("CONNECT", 200, 5))

    async def test_client_leaves_while_dialling(self) -> None:
        """A client that leaves before its tunnel is open takes the dialling along."""
        ended: list[object] = []
        never: Deferred[list[Address]] = Deferred(ended.append)
        self.agents._dialer._resolve = lambda host: never
        self.start(allow=("slow.example",))
        near = await self.client("CONNECT slow.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.pause(0.05)
        near.transport.abortConnection()
        while not ended:
            await self.pause()


class SilenceTests(ProxyCase):
    async def test_idle(self) -> None:
        """A tunnel without a byte is closed, one that moves is not."""
        self.start(allow=(f"127.0.0.1:{self.port}",), idle=1.0)
        near, far = await self.tunnel()
        for _ in range(4):  # longer than the limit in all
            await self.pause(0.5)
            far.send(b".")
        await near.until(lambda: near.count >= 4)
        self.assertIsNone(near.lost)
        await near.closed()
        await far.closed()


class RefusalTests(ProxyCase):
    async def test_nobody_there(self) -> None:
        """A host that does not answer is 502, and the connection can be used on."""
        unused = socket.socket()
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        self.start(allow=(f"127.0.0.1:{port}",))
        near = await self.client(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n")
        await near.sees(b"connection refused")
        self.assertTrue(near.received.startswith(b"HTTP/1.1 502 "))
        near.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        await near.sees(b"own /x")
        unused.close()
