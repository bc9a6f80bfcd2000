"""Who may connect, how fast, and what a client may take."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from attrs import Factory, define, frozen

from aimirror.bounded import LRU
from aimirror.http.egress import Network
from aimirror.http.headers import Headers

#: Clients whose rates are remembered; of more, those who asked longest ago start anew.
MOST_CLIENTS = 10_000
#: Seconds of its rate that a client may use at once: package managers ask in bursts.
BURST_SECONDS = 10.0
#: Leading bits by which IPv6 clients are told apart: one household has that many.
CLIENT_BITS = 64

_Address = IPv4Address | IPv6Address


@frozen(kw_only=True)
class Limits:
    """What clients may take; times in seconds."""

    #: An idle connection is kept this long for another request.
    keep_alive: float = 75.0
    #: From a head's first byte to its last: slower is an attempt to hold connections.
    head_time: float = 20.0
    #: Silence of a client that is to send its request's body.
    body_silence: float = 60.0
    #: Silence of a client that is to take an answer.
    silence: float = 300.0
    #: Running answers may go on for so long when the service stops.
    stop_time: float = 3.0
    #: Requests on one connection.
    requests: int = 10_000
    #: Simultaneous connections; further ones are closed at once.
    connections: int = 8192
    #: Of them those of one client, trusted proxies apart; 0 is no limit.
    client_connections: int = 2048
    #: Requests per second of one client; 0 is no limit.
    client_rate: float = 0.0
    #: Bytes of a request's head: room for the bearer tokens of registries, answered 431 beyond.
    head_size: int = 64 * 1024
    #: Bytes of a request's body, answered 413 beyond; 0 is no limit, for bodies are streamed.
    body_size: int = 0


#: The peer of a client on a Unix socket.
UNIX = "unix"


@lru_cache(maxsize=4096)
def address(text: str) -> _Address | None:
    """A peer's address, IPv4 in its IPv6 dress as IPv4; None for what is none (a Unix socket)."""
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


#: An address as some proxies write it: with its port, or in brackets.
_FORWARDED = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
#: What is told of those whom a proxy does not name by an address.
NAMELESS = "unknown"


def forwarded(element: str) -> str:
    """The address that a proxy tells of its client, NAMELESS for anything else."""
    match = _FORWARDED.fullmatch(element)
    value = (element if match is None else match[1] or match[2]).partition("%")[0]
    return value if address(value) is not None else NAMELESS


def among(peer: str, networks: tuple[Network, ...]) -> bool:
    """Whether a peer's address is in one of some networks."""
    ip = address(peer) if networks else None
    return ip is not None and any(ip in network for network in networks)


def asker(peer: str, headers: Headers, proxies: tuple[Network, ...]) -> str:
    """Who really asks: the client that the nearest proxy names, if it is one of ours."""
    last = (headers.joined("x-forwarded-for") or "").rpartition(",")[2].strip()
    return forwarded(last) if last and among(peer, proxies) else peer


def plain(peer: str) -> str:
    """A peer as it is told: by its IPv4 address, even where it came to an IPv6 socket."""
    ip = address(peer)
    return str(ip) if isinstance(ip, IPv4Address) else peer


def is_local(peer: str) -> bool:
    """Whether a client is on this machine."""
    ip = address(peer)
    return peer == UNIX or (ip is not None and ip.is_loopback)


def client(peer: str) -> str:
    """What one client is counted by."""
    ip = address(peer)
    if not isinstance(ip, IPv6Address):
        return peer
    return str(IPv6Address(int(ip) >> (128 - CLIENT_BITS) << (128 - CLIENT_BITS)))


@frozen
class Networks:
    """Who may connect: whoever ``deny`` does not name and ``allow``, unless empty, does.

    Clients without an address, on a Unix socket, are let in: its permissions say who they are.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def admit(self, peer: str) -> bool:
        """Whether a client may come in."""
        ip = address(peer)
        if ip is None:
            return peer == UNIX or self == Networks()
        if any(ip in network for network in self.deny):
            return False
        return not self.allow or any(ip in network for network in self.allow)


@define
class Rates:
    """Requests of each client against ``rate`` per second, after a burst."""

    rate: float
    #: By client: requests left, and when that was so.
    _left: LRU[str, tuple[float, float]] = Factory(lambda: LRU(MOST_CLIENTS))

    def wait(self, peer: str, now: float) -> float:
        """Count a request; 0, or the seconds after which it would be welcome."""
        name = client(peer)
        most = max(1.0, self.rate * BURST_SECONDS)
        left, at = self._left.get(name) or (most, now)
        left = min(most, left + (now - at) * self.rate)
        wait = 0.0 if left >= 1 else (1 - left) / self.rate
        self._left.put(name, (left if wait else left - 1, now))
        return wait
