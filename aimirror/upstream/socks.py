"""The client's side of SOCKS5 without I/O (RFC 1928; user and password by RFC 1929).

Of the libraries txsocksx has not run on Python 3 since 2013, socksio wants each message in one
piece, and python-socks keeps the part without I/O private; two messages each way are few enough.
"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.proxies import Proxy
from aimirror.upstream.racing import Unreached

_VERSION = 5
_NO_LOGIN, _LOGIN = 0, 2
_CONNECT = 1
_NAME = 3
#: Bytes of an address in a reply, by its type.
_ADDRESS_BYTES = {1: 4, 4: 16}
#: Replies after which another address of the same name may do.
_ABOUT_THE_ADDRESS = frozenset({1, 3, 4, 5, 6})
_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


class Socks5Crossing:
    """Asks a SOCKS5 proxy for a connection to ``host``, a name or an address."""

    def __init__(self, host: str, port: int, proxy: Proxy) -> None:
        self._request = _request(host, port)
        self._login = proxy.login
        self._step = self._method
        self.done = False

    def begin(self) -> bytes:
        """What is sent first: the ways of logging in that we know."""
        methods = [_NO_LOGIN] if self._login is None else [_LOGIN, _NO_LOGIN]
        return bytes([_VERSION, len(methods), *methods])

    def receive(self, buffer: bytearray) -> bytes:
        """Take whole messages off the buffer; what is to be sent.  Raises UpstreamError."""
        said = b""
        while not self.done:
            more = self._step(buffer)
            if more is None:
                break
            said += more
        return said

    def _method(self, buffer: bytearray) -> bytes | None:
        if len(buffer) < 2:
            return None
        version, method = buffer[:2]
        del buffer[:2]
        if version != _VERSION:
            raise _failed("it does not speak SOCKS5")
        if method == _NO_LOGIN:
            self._step = self._reply
            return self._request
        if method != _LOGIN or self._login is None:
            raise _failed("it wants another login")
        user, password = self._login
        if not 0 < len(user) < 256 or not 0 < len(password) < 256:
            raise _failed("user and password must have 1 to 255 bytes")
        self._step = self._logged_in
        return bytes([1, len(user)]) + user + bytes([len(password)]) + password

    def _logged_in(self, buffer: bytearray) -> bytes | None:
        if len(buffer) < 2:
            return None
        status = buffer[1]
        del buffer[:2]
        if status != 0:
            raise _failed("it refused user or password")
        self._step = self._reply
        return self._request

    def _reply(self, buffer: bytearray) -> bytes | None:
        if len(buffer) < 5:
            return None
        if buffer[0] != _VERSION:
            raise _failed("it does not speak SOCKS5")
        if buffer[1] != 0:
            why = _REPLIES.get(buffer[1], f"error {buffer[1]}")
            kind = Unreached if buffer[1] in _ABOUT_THE_ADDRESS else UpstreamError
            raise kind(Reason.CONNECT, f"the upstream proxy: {why}")
        address = buffer[4] + 1 if buffer[3] == _NAME else _ADDRESS_BYTES.get(buffer[3])
        if address is None:
            raise _failed("it does not speak SOCKS5")
        size = 4 + address + 2
        if len(buffer) < size:
            return None
        del buffer[:size]
        self.done = True
        return b""


def _request(host: str, port: int) -> bytes:
    head = bytes([_VERSION, _CONNECT, 0])
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return head + bytes([_NAME, len(name)]) + name + port.to_bytes(2, "big")
    kind = 1 if isinstance(address, IPv4Address) else 4
    return head + bytes([kind]) + address.packed + port.to_bytes(2, "big")


def _failed(why: str) -> UpstreamError:
    return UpstreamError(Reason.CONNECT, f"the upstream proxy: {why}")
