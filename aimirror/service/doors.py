"""The addresses of the service: taken while it may, opened once it is ready, closed at its end."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred

from aimirror.config import Config
from aimirror.forward.contexts import FileContexts
from aimirror.server.listening import bound, leads_here, opened
from aimirror.server.site import MirrorSite
from aimirror.server.tls import ServerTLSFactory
from aimirror.service import systemd

if TYPE_CHECKING:
    from aimirror.server.sendfile import FilePort


class Doors:
    """Where clients come in, and where administrators do if at an address of its own."""

    #: The numbers of their ports, once they are open.
    port = admin_port = 0

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        #: Bound, until they are opened.
        self._socket: socket.socket | None = None
        self._admin_socket: socket.socket | None = None
        self._ports: list[FilePort] = []

    def take(self, config: Config) -> None:
        """Bind, unless that is done; raises CannotListen."""
        if self._socket is not None:
            return
        server, admin = config.server, config.admin
        self._socket = systemd.take_socket() or bound(server.host, server.port)
        if admin.port is not None:
            self._admin_socket = bound(admin.host, admin.port)

    def open(self, config: Config, site: MirrorSite) -> None:
        """Let clients in."""
        taken, self._socket = self._socket, None
        assert taken is not None
        self.port = self._open(taken, config, site)

    def open_admin(self, config: Config, site: MirrorSite) -> None:
        """Let administrators in, where they have an address."""
        taken, self._admin_socket = self._admin_socket, None
        if taken is not None:
            self.admin_port = self._open(taken, config, site)

    def lead_here(self, url: str, config: Config) -> bool:
        """Whether a URL leads to this service."""
        return leads_here(url, (self.port, self.admin_port), config.server.public_host)

    async def close(self) -> None:
        """Let nobody in any more."""
        for taken in (self._socket, self._admin_socket):
            if taken is not None:
                taken.close()
        for port in self._ports:
            await maybeDeferred(port.stopListening)

    def _open(self, taken: socket.socket, config: Config, site: MirrorSite) -> int:
        """The number of the port of a site that is open now."""
        site.noisy = False
        port = opened(taken, self._secured(config, site), self._reactor)
        self._ports.append(port)
        number: int = port.getHost().port  # type: ignore[no-untyped-call]
        return number

    def _secured(self, config: Config, site: MirrorSite) -> MirrorSite | ServerTLSFactory:
        """The site, inside TLS where the configuration has it."""
        files = config.server.tls
        if files is None:
            return site
        contexts = FileContexts(files.cert, files.key, self._reactor.seconds)
        return ServerTLSFactory(contexts, False, site, self._reactor)
