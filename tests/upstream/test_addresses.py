from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.egress import ANYWHERE, Reach, Zone
from aimirror.upstream.addresses import permitted, zone

ZONES = {
    Zone.FORBIDDEN: (
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "2001::1",
        "100::1",
        "64:ff9b:1::1",
        "4000::1",
    ),
    Zone.PRIVATE: (
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.5",
        "fd12::1",
        "fec0::1",
        "203.0.113.9",
        "2001:db8::1",
    ),
    Zone.LOOPBACK: ("127.0.0.1", "127.255.0.1", "::1"),
    Zone.PUBLIC: ("1.1.1.1", "172.32.0.1", "100.128.0.1", "151.101.0.223", "2a04:4e42::223"),
}


def carriers(v4: IPv4Address) -> list[str]:
    high, low = int(v4) >> 16, int(v4) & 0xFFFF
    return [f"::ffff:{v4}", f"64:ff9b::{v4}", f"2002:{high:x}:{low:x}::1"]


class ZoneTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Each special network is known for what it is."""
        for wanted, texts in ZONES.items():
            for text in texts:
                self.assertIs(zone(ip_address(text)), wanted, text)

    @settings(max_examples=50, deadline=None)
    @given(st.ip_addresses(v=4))
    def test_embedded(self, v4: IPv4Address) -> None:
        """An IPv6 address that carries an IPv4 one is judged as that one."""
        for text in carriers(v4):
            self.assertIs(zone(ip_address(text)), zone(v4), text)

    def test_embedded_metadata(self) -> None:
        """No IPv6 spelling reaches the cloud metadata or loopback address of IPv4."""
        for text in carriers(IPv4Address("169.254.169.254")):
            self.assertIs(zone(ip_address(text)), Zone.FORBIDDEN)
        for text in (*carriers(IPv4Address("127.0.0.1")), "::127.0.0.1"):
            self.assertIs(zone(ip_address(text)), Zone.LOOPBACK)


class PermittedTests(SynchronousTestCase):
    def test_public_by_default(self) -> None:
        """Without a word in the configuration only public addresses are dialled."""
        self.assertTrue(permitted(Reach(), "h", ip_address("1.1.1.1")))
        for text in ("10.0.0.1", "127.0.0.1", "169.254.169.254"):
            self.assertFalse(permitted(Reach(), "h", ip_address(text)))

    def test_listed(self) -> None:
        """A listed network or host opens private addresses, an IPv4-mapped spelling included."""
        by_network = Reach(networks=(ip_network("10.1.0.0/16"),))
        for text in ("10.1.2.3", "::ffff:10.1.2.3"):
            self.assertTrue(permitted(by_network, "h", ip_address(text)))
        self.assertFalse(permitted(by_network, "h", ip_address("10.2.0.1")))
        by_host = Reach(hosts=frozenset({"nas.lan"}))
        self.assertTrue(permitted(by_host, "NAS.lan.", ip_address("10.2.0.1")))
        self.assertFalse(permitted(by_host, "other.lan", ip_address("10.2.0.1")))

    def test_never(self) -> None:
        """The forbidden zone stays closed even when everything lists it."""
        everything = Reach(
            zones=frozenset(Zone),
            networks=(ip_network("0.0.0.0/0"), ip_network("::/0")),
            hosts=frozenset({"metadata"}),
        )
        for reach in (everything, ANYWHERE):
            for text in ZONES[Zone.FORBIDDEN]:
                self.assertFalse(permitted(reach, "metadata", ip_address(text)), text)
