"""Names, judged addresses, sockets."""

from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Reach
from aimirror.interfaces import UpstreamError
from aimirror.upstream.dialing import (
    MAX_ADDRESSES,
    Dialer,
    interleaved,
    system_resolver,
)
from tests.upstream.network import Network

FACTORY = Factory.forProtocol(Protocol)


class DialerTests(SynchronousTestCase):
    def dial(self, *addresses: str, host: str = "one.example", reach: Reach = ANYWHERE):
        self.network = Network({host: addresses})
        self.dialer = Dialer(self.network.reactor, self.network.resolve, 12345)
        return Deferred.fromCoroutine(self.dialer.dial(host, 80, reach, 10, FACTORY))

    def test_dials_what_was_judged(self) -> None:
        """The reactor gets the address, never the name; the socket its read size."""
        dialling = self.dial("10.0.0.1")
        self.assertEqual(self.network.dialled, [("10.0.0.1", 80)])
        wire = self.network.accept()
        _protocol, address = self.successResultOf(dialling)
        self.assertEqual(str(address), "10.0.0.1")
        self.assertEqual(wire.bufferSize, 12345)

    def test_forbidden(self) -> None:
        """A name whose addresses are all out of reach is never dialled."""
        for address in ("169.254.169.254", "fe80::1", "0.0.0.0"):
            failure = self.failureResultOf(self.dial(address), UpstreamError)
            self.assertIs(failure.value.reason, Reason.FORBIDDEN)
            self.assertEqual(self.network.dialled, [])

    def test_only_permitted_ones(self) -> None:
        """Of several addresses only those within reach are dialled."""
        dialling = self.dial("127.0.0.1", "93.184.216.34", "10.0.0.1", reach=Reach())
        self.network.refuse()
        self.failureResultOf(dialling, UpstreamError)
        self.assertEqual(self.network.dialled, [("93.184.216.34", 80)])

    def test_literal(self) -> None:
        """An address needs no resolution and is judged all the same."""
        failure = self.failureResultOf(self.dial(host="169.254.169.254"), UpstreamError)
        self.assertIs(failure.value.reason, Reason.FORBIDDEN)
        self.dial(host="::1")
        self.assertEqual(self.network.dialled, [("::1", 80)])
        self.assertEqual(self.network.asked, [])

    def test_unknown_name(self) -> None:
        """A name without addresses is RESOLVE and names the host."""
        failure = self.failureResultOf(self.dial(), UpstreamError)
        self.assertIs(failure.value.reason, Reason.RESOLVE)
        self.assertIn("one.example", failure.value.detail)

    def test_next_address(self) -> None:
        """A refused address is followed by the next at once, by turns of the families."""
        dialling = self.dial("2600::1", "2600::2", "93.184.216.34")
        self.network.refuse(error=TimeoutError())
        self.network.refuse()
        self.assertEqual(
            self.network.dialled, [("2600::1", 80), ("93.184.216.34", 80), ("2600::2", 80)]
        )
        self.network.refuse()
        failure = self.failureResultOf(dialling, UpstreamError)
        self.assertIs(failure.value.reason, Reason.CONNECT)

    def test_dead_address(self) -> None:
        """A first address that says nothing costs a quarter of a second, and that once."""
        self.dial("2600::1", "93.184.216.34")
        dialer = self.dialer
        self.network.reactor.advance(0.25)
        self.network.accept()
        self.assertEqual([connector.stoppedConnecting for connector in self.connectors], [1, 0])
        again = Deferred.fromCoroutine(dialer.dial("one.example", 80, ANYWHERE, 10, FACTORY))
        self.assertEqual(self.network.dialled[2:], [("93.184.216.34", 80)])
        self.network.accept()
        self.assertEqual(str(self.successResultOf(again)[1]), "93.184.216.34")

    @property
    def connectors(self):
        return self.network.reactor.connectors

    def test_bounded(self) -> None:
        """No more than MAX_ADDRESSES are tried."""
        dialling = self.dial(*(f"93.184.216.{n}" for n in range(20)))
        while not dialling.called:
            self.network.refuse()
        self.failureResultOf(dialling, UpstreamError)
        self.assertEqual(len(self.network.dialled), MAX_ADDRESSES)

    def test_cancel(self) -> None:
        """Cancelling stops the attempt under way and tries no other."""
        dialling = self.dial("93.184.216.34", "93.184.216.35")
        dialling.cancel()
        self.failureResultOf(dialling)
        self.assertTrue(self.network.reactor.connectors[0].stoppedConnecting)
        self.assertEqual(len(self.network.dialled), 1)


class InterleavedTests(SynchronousTestCase):
    def test_turns(self) -> None:
        """Families take turns, beginning with the resolver's first."""
        texts = ["2600::1", "2600::2", "2600::3", "9.9.9.9"]
        mixed = [str(a) for a in interleaved([ip_address(text) for text in texts])]
        self.assertEqual(mixed, ["2600::1", "9.9.9.9", "2600::2", "2600::3"])


class _Names:
    """A reactor's resolver."""

    def resolveHostName(self, receiver, host: str) -> None:
        receiver.resolutionBegan(None)
        receiver.addressResolved(IPv6Address("TCP", "2600::1", 0))
        receiver.addressResolved(IPv4Address("TCP", "9.9.9.9", 0))
        receiver.addressResolved(IPv4Address("TCP", "9.9.9.9", 0))
        receiver.addressResolved(UNIXAddress("/x"))
        receiver.resolutionComplete()


class SystemResolverTests(SynchronousTestCase):
    def test_collects(self) -> None:
        """All addresses in order, each once."""
        found = self.successResultOf(system_resolver(_Names())("one.example"))
        self.assertEqual([str(address) for address in found], ["2600::1", "9.9.9.9"])
