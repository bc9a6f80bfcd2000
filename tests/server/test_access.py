"""Who may connect, and how fast."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.access import (
    BURST_SECONDS,
    MOST_CLIENTS,
    Networks,
    Rates,
    client,
    is_local,
    plain,
)

TEN, ONE = ip_network("10.0.0.0/8"), ip_network("10.0.0.1")


class NetworksTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Deny goes before allow; an empty allow means all; a Unix socket is let in."""
        for networks, peer, wanted in (
            (Networks(), "192.0.2.1", True),
            (Networks((TEN,)), "10.9.9.9", True),
            (Networks((TEN,)), "::ffff:10.9.9.9", True),
            (Networks((TEN,)), "192.0.2.1", False),
            (Networks((TEN,)), "::1", False),
            (Networks((TEN,), (ONE,)), "10.0.0.1", False),
            (Networks((), (ONE,)), "10.0.0.1", False),
            (Networks((), (ONE,)), "10.0.0.2", True),
            (Networks((TEN,)), "unix", True),
        ):
            self.assertIs(networks.admit(peer), wanted, (networks, peer))

    def test_local(self) -> None:
        """Loopback in all of its forms is this machine, and nothing else is."""
        for peer in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"):
            self.assertTrue(is_local(peer), peer)
        for peer in ("10.0.0.1", "0.0.0.0", "::", "localhost.evil", ""):
            self.assertFalse(is_local(peer), peer)

    def test_client(self) -> None:
        """An IPv6 household is one client, IPv4 addresses are each one."""
        self.assertEqual(client("2001:db8::1"), client("2001:db8::ffff:1"))
        self.assertNotEqual(client("2001:db8::1"), client("2001:db8:0:1::1"))
        self.assertNotEqual(client("192.0.2.1"), client("192.0.2.2"))

    def test_plain(self) -> None:
        """Who came by IPv4 to a socket of IPv6 is told, counted and logged by that address."""
        self.assertEqual(plain("::ffff:192.0.2.1"), "192.0.2.1")
        for peer in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0", "unix"):
            self.assertEqual(plain(peer), peer)


class RatesTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.floats(0.1, 100), st.lists(st.floats(0, 5), max_size=200))
    def test_bound(self, rate: float, pauses: list[float]) -> None:
        """However a client spreads its requests, no more than burst and rate pass."""
        rates, now, passed = Rates(rate), 0.0, 0
        for pause in pauses:
            now += pause
            passed += rates.wait("192.0.2.1", now) == 0
        self.assertLessEqual(passed, max(1.0, rate * BURST_SECONDS) + rate * now + 1e-6)

    def test_wait_is_enough(self) -> None:
        """Who comes back after the time that was told is served, others never had to wait."""
        rates = Rates(2.0)
        while not (wait := rates.wait("192.0.2.1", 0.0)):
            pass
        self.assertEqual(rates.wait("192.0.2.2", 0.0), 0.0)
        self.assertEqual(rates.wait("192.0.2.1", wait), 0.0)

    def test_memory(self) -> None:
        """Clients beyond the bound are forgotten, the longest silent first."""
        rates = Rates(1.0)
        for number in range(MOST_CLIENTS + 10):
            rates.wait(str(number), 0.0)
        self.assertEqual(len(rates._left), MOST_CLIENTS)
