"""The socket on which we listen."""

from __future__ import annotations

import socket
import struct

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from aimirror.server import listening
from aimirror.server.listening import (
    BACKLOG,
    CannotListen,
    authority,
    bound,
    leads_here,
    opened,
    own_names,
)

#: struct tcp_info (linux/tcp.h): of a listening socket, tcpi_sacked is its backlog.
_SACKED = 8 + 4 * 5


class ListeningTests(TestCase):
    def test_bound(self) -> None:
        """Nobody gets in before it is opened; then a whole burst may wait."""
        taken = bound("127.0.0.1", 0)
        address = taken.getsockname()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
        port = opened(taken, ServerFactory(), reactor)
        self.addCleanup(port.stopListening)
        self.assertEqual(taken.fileno(), -1)
        socket.create_connection(address).close()
        if not hasattr(socket, "TCP_INFO"):
            raise SkipTest("this system does not tell how many may wait")
        info = port.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        (backlog,) = struct.unpack_from("I", info, _SACKED)
        self.assertEqual(backlog, BACKLOG)

    def test_taken(self) -> None:
        """An address that is taken or foreign, or a name without one, is told in one line."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            error = self.assertRaises(CannotListen, bound, "127.0.0.1", port)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}: Address already in use: ", str(error))
        for host in ("192.0.2.1", "2001:db8::1", "no host"):
            error = self.assertRaises(CannotListen, bound, host, 0)
            self.assertIn(f"cannot listen on {authority(host, 0)}: ", str(error))

    def test_who_has_it(self) -> None:
        """Of a port that is in use the owner is named, where that can be told, and a free one."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            for owner, named in (("nginx (pid 12)", "nginx (pid 12)"), ("", "another program")):
                self.patch(listening, "port_owner", {port: owner}.get)
                error = self.assertRaises(CannotListen, bound, "127.0.0.1", port)
                self.assertIn(f"in use: {named} does; --port takes another one", str(error))
            suggested = int(str(error).rpartition(" ")[2])
            with socket.create_server(("127.0.0.1", suggested)):
                self.assertNotEqual(suggested, port)

    def test_taken_meanwhile(self) -> None:
        """Who else had bound the address and opens it first has it."""
        one = bound("127.0.0.1", 0)
        two = bound(*one.getsockname())
        port = opened(one, ServerFactory(), reactor)
        self.addCleanup(port.stopListening)
        error = self.assertRaises(CannotListen, opened, two, ServerFactory(), reactor)
        self.assertIn("Address already in use", str(error))
        self.assertEqual(two.fileno(), -1)

    def test_own_names(self) -> None:
        """What means the mirror itself."""
        names = own_names("10.0.0.1", 8081, "https://Mirror.test")
        wanted = {"localhost", "mirror.test", "10.0.0.1:8081"}
        wanted |= {"localhost:8081", "127.0.0.1:8081", "[::1]:8081"}
        self.assertEqual(names, wanted)
        self.assertNotIn("", own_names("0.0.0.0", 1, ""))

    def test_authority(self) -> None:
        """Addresses of IPv6 are bracketed."""
        self.assertEqual(authority("::1", 80), "[::1]:80")
        self.assertEqual(authority("mirror", 80), "mirror:80")


class OwnTests(SynchronousTestCase):
    def test_leads_here(self) -> None:
        """Our ports on this machine are ours by all of its names, and so is the public name."""
        for url in (
            "http://127.0.0.1:8081/aimirror/api/overview",
            "http://127.9.9.9:8081/",
            "http://[::1]:8082/x",
            "http://[::ffff:127.0.0.1]:8081/",
            "http://localhost:8081/",
            "http://a.localhost:8081/",
            "http://0x7f.1:8081/",
            f"http://{socket.gethostname()}:8081/",
            "https://mirror.test/simple/",
        ):
            self.assertTrue(leads_here(url, (8081, 8082), "https://mirror.test"), url)
        for url in (
            "http://127.0.0.1:9000/",
            "http://10.0.0.1:8081/",
            "https://other.test/",
            "ftp://localhost:8081/",
        ):
            self.assertFalse(leads_here(url, (8081, 8082), "https://mirror.test"), url)
        self.assertFalse(leads_here("http://other.test/", (8081,), ""))
