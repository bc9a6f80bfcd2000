"""Which network an address belongs to, and whether it may be dialled."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network

from aimirror.http.egress import Address, Network, Reach, Zone


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


#: Addresses whose zone is remembered: each request is judged, and most go to few hosts.
MOST_JUDGED = 256

#: Where clouds answer with a machine's own credentials; some lie within private ranges.
_METADATA = _networks(
    "169.254.0.0/16",  # AWS, Azure, GCP, OpenStack and most others: all of IPv4 link-local
    "100.100.100.200/32",  # Alibaba Cloud
    "192.0.0.192/32",  # Oracle Cloud
    "168.63.129.16/32",  # Azure's wire server
    "fd00:ec2::/32",  # AWS
    "fd20:ce::254/128",  # GCP
)

#: IANA special-purpose registries (RFC 6890 and its updates): nothing there answers for a file.
_NEVER = _networks(
    "0.0.0.0/8",
    "192.0.0.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",  # with the limited broadcast address
    "fe80::/10",
    "ff00::/8",
    "2001::/32",  # Teredo
)

_LOOPBACK = _networks("127.0.0.0/8", "::1/128")

_PRIVATE = _networks(
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
    "198.18.0.0/15",  # benchmarks (RFC 2544); also what transparent proxies hand out
    "fc00::/7",
    "fec0::/10",
    # Documentation: what closed networks and proxies answer for names of the outside.
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2001:db8::/32",
    "3fff::/20",
)

#: The only IPv6 space that IANA has given out for global unicast.
_GLOBAL_V6 = ip_network("2000::/3")

#: IPv6 networks whose last 32 bits are an IPv4 address: mapped, compatible, NAT64 (RFC 6052).
_TAILED = _networks("::ffff:0:0/96", "::/96", "64:ff9b::/96")


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4), else itself."""
    if not isinstance(address, IPv6Address) or int(address) <= 1:  # "::" and "::1" are themselves
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if _within(address, _TAILED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@lru_cache(MOST_JUDGED)
def zone(address: Address) -> Zone:
    """The kind of network; an IPv6 address that carries an IPv4 one is judged by the latter."""
    address = embedded(address)
    if _within(address, _METADATA) or _within(address, _NEVER):
        return Zone.FORBIDDEN
    if _within(address, _LOOPBACK):
        return Zone.LOOPBACK
    if _within(address, _PRIVATE):
        return Zone.PRIVATE
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return Zone.FORBIDDEN
    return Zone.PUBLIC


def permitted(reach: Reach, host: str, address: Address) -> bool:
    """Whether ``host``, resolved to ``address``, may be dialled.

    The forbidden zone never may, even when a network or host lists it.
    """
    judged = zone(address)
    if judged is Zone.FORBIDDEN or _listed(reach.refused, address):
        return False
    if judged in reach.zones or host.lower().rstrip(".") in reach.hosts:
        return True
    return _listed(reach.networks, address)


def _listed(networks: Iterable[Network], address: Address) -> bool:
    return _within(address, networks) or _within(embedded(address), networks)
