"""The socket on which we listen: bound early, while rights and a good place for complaints are
there, and opened to clients when everything behind it is ready.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aimirror.http.targets import BadTarget, parse_target
from aimirror.platform import port_owner
from aimirror.server.access import is_local

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory

    from aimirror.server.sendfile import FilePort

#: Connections that wait to be accepted: a burst of clients must not be refused.
BACKLOG = 511
#: Ports that are looked at for a free one to suggest.
_LOOKED_AT = 20


class CannotListen(Exception):
    """The address can't be had; the text is one line that says which, and why."""


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address, by which nobody can connect yet; raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        made.bind(addresses[0][4])
    except OSError as error:
        made.close()
        raise CannotListen(_told(host, port, error)) from None
    return made


def opened(taken: socket.socket, factory: IProtocolFactory, reactor: Any) -> FilePort:
    """Let clients in; takes the socket over, closed when this fails with CannotListen."""
    from aimirror.server.sendfile import FilePort  # commands want to know names alone

    with taken:
        try:
            taken.listen(BACKLOG)
        except OSError as error:
            host, number = taken.getsockname()[:2]
            raise CannotListen(_told(host, number, error)) from None
        port: FilePort = FilePort._fromListeningDescriptor(
            reactor, taken.fileno(), taken.family, factory
        )
    port.startListening()
    return port


def authority(host: str, port: int) -> str:
    """``host:port`` as URLs have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_names(host: str, port: int, public: str) -> frozenset[str]:
    """Authorities by which URLs mean us: here, as ``server.public_host`` says, and from within."""
    here = {authority(name, port) for name in ("localhost", "127.0.0.1", "::1", host.lower())}
    return frozenset({"localhost", public.rpartition("://")[2].lower(), *here} - {""})


def leads_here(url: str, ports: Iterable[int], public: str) -> bool:
    """Whether a URL means one of our own ports on this machine, or ``server.public_host``."""
    try:
        target = parse_target(url)
    except BadTarget:
        return False
    own = public.rpartition("://")[2].lower()
    if own in (target.host, authority(target.host, target.port)):
        return True
    names = ("localhost", socket.gethostname().lower())
    named = target.host in names or target.host.endswith(".localhost")
    literal = "" if target.literal is None else str(target.literal)
    return target.port in ports and (named or is_local(literal))


def _told(host: str, port: int, error: OSError) -> str:
    why = f"cannot listen on {authority(host, port)}: {error.strerror or error}"
    if error.errno != errno.EADDRINUSE:
        return why
    owner = port_owner(port) or "another program"
    return f"{why}: {owner} does; --port takes another one, such as --port {_free_after(port)}"


def _free_after(port: int) -> int:
    """A port on which nobody listens now, 0 (which means any) if it is none of the next ones."""
    for other in range(port + 1, min(port + 1 + _LOOKED_AT, 65536)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", other))
            return other
    return 0
