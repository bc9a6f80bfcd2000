"""An http(s) URL taken apart for sending, with its path and query kept to the letter."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from attrs import frozen

from aimirror.http.egress import Address

#: Ports that a Host field leaves out (RFC 9110 section 4.2).
DEFAULT_PORTS = {"http": 80, "https": 443}

#: The longest URL sent; servers refuse more with 414, most of them far earlier.
MAX_URL = 64 * 1024

#: Longest DNS name, and longest label of one, in octets (RFC 1035 section 2.3.4).
_MAX_NAME, _MAX_LABEL = 253, 63

#: Hosts of which it is remembered whether they are addresses.
MOST_HOSTS = 256

_URL = re.compile(r"(?i:(https?))://([^/?#]*)([^#]*)(?:#.*)?")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?")
#: A part of an address as inet_aton reads it: hexadecimal, octal or decimal.
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|0[0-7]{0,20}|[1-9][0-9]{0,19}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class BadTarget(ValueError):
    """A URL to which no request can be sent; the message never quotes path, query or userinfo."""


@frozen
class Target:
    """Where a request goes: ``host`` in lower case without brackets, ``path`` with its query."""

    scheme: str
    host: str
    port: int
    #: Origin-form, as it goes on the wire (RFC 9112 section 3.2.1).
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must be equal for credentials to be passed on (RFC 6454 section 4)."""
        return self.scheme, self.host, self.port

    @property
    def literal(self) -> Address | None:
        """The address, when the URL names one instead of a host, in whatever form."""
        return _literal(self.host)

    @property
    def bracketed(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host

    @property
    def authority(self) -> str:
        """The value of the Host field: the port only when it is not the scheme's own."""
        if self.port == DEFAULT_PORTS[self.scheme]:
            return self.bracketed
        return f"{self.bracketed}:{self.port}"

    @property
    def url(self) -> str:
        """Absolute form, for requests to a proxy (RFC 9112 section 3.2.2)."""
        return f"{self.scheme}://{self.authority}{self.path}"


@lru_cache(MOST_HOSTS)
def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return _classic(host)


def parse_target(url: str) -> Target:
    """Take a URL apart without changing a byte of path and query; the fragment is dropped.

    Raises BadTarget for other schemes, userinfo, bad hosts and ports, and any character that
    is not visible ASCII (a space, a control character or CR LF would end the request line).
    """
    if len(url) > MAX_URL:
        raise BadTarget("the URL is too long")
    if _VISIBLE.fullmatch(url) is None:
        raise BadTarget("the URL holds a character that is not visible ASCII")
    match = _URL.fullmatch(url)
    if match is None:
        raise BadTarget("not an http or https URL")
    scheme, authority, path = match[1].lower(), match[2], match[3]
    host, port = _host_and_port(authority, DEFAULT_PORTS[scheme])
    return Target(scheme, host, port, path if path.startswith("/") else "/" + path)


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    if "@" in authority:
        raise BadTarget("the URL holds a user name or password")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise BadTarget("the URL has no valid host and port")
    port = int(match[3]) if match[3] else default
    if not 0 < port < 65536:
        raise BadTarget(f"port {port} is out of range")
    return _address(match[1]) if match[1] else _name(match[2]), port


def _classic(host: str) -> IPv4Address | None:
    """The address that resolvers see in a host like ``127.1`` or ``0x7f000001`` (inet_aton)."""
    labels = host.removesuffix(".").split(".")
    if len(labels) > 4 or not all(map(_NUMBER.fullmatch, labels)):
        return None
    *first, last = (int(label, _base(label)) for label in labels)
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(labels)):
        return None
    return IPv4Address(sum(n << 24 - 8 * place for place, n in enumerate(first)) + last)


def _base(label: str) -> int:
    if label.startswith("0x"):
        return 16
    return 8 if label.startswith("0") else 10


def _address(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise BadTarget("the URL has a bad IPv6 address") from None


def _name(text: str) -> str:
    labels = text.removesuffix(".").split(".")
    if len(text) > _MAX_NAME or not all(0 < len(label) <= _MAX_LABEL for label in labels):
        raise BadTarget("the URL has a bad host name")
    return text.lower()
