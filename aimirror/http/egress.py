"""How a request leaves: which addresses it may reach, through which proxy, with which time-outs."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from attrs import evolve, field, frozen

from aimirror.http.headers import Headers

Address = IPv4Address | IPv6Address


Network = IPv4Network | IPv6Network


class Zone(enum.Enum):
    """The kind of network that an address belongs to."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    #: Link-local (cloud metadata included), multicast, unspecified, reserved: never dialled.
    FORBIDDEN = "forbidden"


@frozen
class Reach:
    """Which addresses may be dialled, judged on the resolved address that is then used."""

    zones: frozenset[Zone] = frozenset({Zone.PUBLIC})
    #: Networks and hosts that the configuration lists beside those zones.
    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    #: Networks that are refused whatever else permits them.
    refused: tuple[Network, ...] = ()


#: For a rule's own upstream, which the administrator wrote down: all but the forbidden zone.
ANYWHERE = Reach(zones=frozenset({Zone.PUBLIC, Zone.PRIVATE, Zone.LOOPBACK}))


@frozen(cache_hash=True)
class Trust:
    """Whose certificates are believed in TLS, and which is shown; names of PEM files."""

    #: Beside the system's.
    ca_files: tuple[str, ...] = ()
    #: What is shown to an upstream that asks for it, "" for none; its key is perhaps in the file.
    certificate: str = ""
    key: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (*self.ca_files, self.certificate, self.key)))

    @property
    def anonymous(self) -> Trust:
        """The same, and nothing is shown."""
        return Trust(self.ca_files)


@frozen
class Egress:
    """How a request leaves: directly or through an upstream proxy, and to which addresses."""

    #: "" for direct, else http://, https://, socks5:// or socks5h://[user:password@]host:port.
    proxy: str = field(default="", repr=lambda value: repr("***" if value else ""))
    reach: Reach = Reach()
    #: Hosts reached directly although there is a proxy (see ``proxies.bypassed``).
    no_proxy: tuple[str, ...] = ()
    #: The proxy for http:// targets where it is another, None where it is the same.
    plain_proxy: str | None = field(default=None, repr=lambda value: repr(value and "***"))
    trust: Trust = Trust()


@frozen
class Timeouts:
    """Seconds: to connect (TLS included), to the response header, and of silence in a body."""

    connect: float = 10.0
    header: float = 30.0
    silence: float = 30.0


def _somebody() -> tuple[str, ...]:
    """The mirror itself."""
    return ("",)


@frozen
class Outgoing:
    """One request to an upstream, without its body."""

    method: str
    url: str
    headers: Headers
    egress: Egress = Egress()
    timeouts: Timeouts = Timeouts()
    #: Whether it wants a connection that nobody has used.
    fresh: bool = False
    #: Who waits for the answer, by address; nobody once the last one has left.
    clients: Callable[[], Collection[str]] = field(default=_somebody, eq=False, repr=False)

    def asking(self, headers: Headers) -> Outgoing:
        """The same request with these fields."""
        egress, timeouts = self.egress, self.timeouts
        return Outgoing(self.method, self.url, headers, egress, timeouts, self.fresh, self.clients)

    def anew(self) -> Outgoing:
        """The same request by another connection: those that are idle may be dead."""
        return evolve(self, fresh=True)
