"""The idle connections to upstreams and proxies."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.web._newclient import HTTP11ClientProtocol
from twisted.web.client import HTTPConnectionPool

from aimirror.upstream.connection import Connection
from aimirror.upstream.deadlines import Deadlines
from aimirror.upstream.hosts import Hosts

#: Seconds for which an idle connection is kept; servers close after 60 to 75, some after 5.
IDLE_SECONDS = 30


class ConnectionFactory(Factory):
    """Builds the pool's connections."""

    noisy = False

    def __init__(self, quiescent: Callable[[Connection], None], description: str) -> None:
        self._quiescent = quiescent

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        """A connection that goes back to the pool after each exchange."""
        return Connection(self._quiescent)


class Pool(HTTPConnectionPool):
    """Idle connections by key; a key stands for all that makes two of them interchangeable.

    Endpoints are ``routes.Route``: they name the host by which connections are counted.
    """

    retryAutomatically = False  # Twisted would repeat DELETE; we repeat GET and HEAD
    cachedConnectionTimeout = IDLE_SECONDS
    _factory = ConnectionFactory  # type: ignore[assignment]

    def __init__(self, reactor: IReactorTime, kept: int, hosts: Hosts) -> None:
        calls = Deadlines(reactor, IDLE_SECONDS)
        super().__init__(calls, persistent=kept > 0)  # type: ignore[no-untyped-call]
        self.maxPersistentPerHost = kept
        self._hosts = hosts

    def close(self) -> Deferred[None]:
        """Close the idle connections; fires when they are gone."""
        closed = self.closeCachedConnections()  # type: ignore[no-untyped-call]
        return cast("Deferred[None]", closed)

    def idle(self, key: Hashable, admits: Callable[[Connection], bool]) -> Connection | None:
        """An idle connection that ``admits`` agrees to; those to which it does not are closed."""
        idle = self._connections.get(key)
        while idle:
            connection = cast(Connection, idle.pop(0))
            if not idle:
                del self._connections[key]
            self._timeouts.pop(connection).cancel()
            if connection.spare is not None:
                connection.spare.drop()
                connection.spare = None
            if connection.state == "QUIESCENT":
                if admits(connection):
                    return connection
                connection.drop()
        return None

    async def fresh(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Connection:
        """A new connection."""
        return cast(Connection, await self._newConnection(key, endpoint))

    def close_idle(self, host: str) -> Deferred[None]:
        """Close one idle connection to a host, if there is any; fires when it is gone."""
        for idle in self._connections.values():
            for connection in idle:
                if connection.host == host and connection.state == "QUIESCENT":
                    return cast("Deferred[None]", connection.abort())
        return succeed(None)

    def _newConnection(
        self, key: Hashable, endpoint: IStreamClientEndpoint
    ) -> Deferred[HTTP11ClientProtocol]:
        return Deferred.fromCoroutine(self._opened(key, endpoint))

    async def _opened(self, key: Hashable, endpoint: Any) -> HTTP11ClientProtocol:
        """A new connection, beside which the host has no more than it may have."""
        await self._hosts.make_room(endpoint.host)
        return await super()._newConnection(key, endpoint)

    def _removeConnection(self, key: Hashable, connection: Connection) -> None:
        super()._removeConnection(key, connection)  # type: ignore[no-untyped-call]
        if not self._connections[key]:
            del self._connections[key]

    def _putConnection(self, key: Hashable, connection: Connection) -> None:
        super()._putConnection(key, connection)  # type: ignore[no-untyped-call]
        if connection in self._connections.get(key, ()):
            connection.spare = self._hosts.keep(connection.host, connection.abort)
