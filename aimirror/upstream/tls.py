"""TLS towards upstreams: system trust, host names verified, HTTP/1.1 by ALPN."""

from __future__ import annotations

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.web.client import HostnameCachingHTTPSPolicy
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

#: Hosts whose TLS context is kept; each holds the system's certificates, read in ~20 ms.
CACHED_CONTEXTS = 64


@implementer(IPolicyForHTTPS)
class SystemTrust:
    """Verifies against the system's certificates, or ``trust``; SSL_CERT_FILE is honoured."""

    def __init__(self, trust: Certificate | None = None) -> None:
        self._trust = trust

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """What makes TLS connections to a host (IPolicyForHTTPS)."""
        return optionsForClientTLS(
            hostname.decode("ascii"), trustRoot=self._trust, acceptableProtocols=[b"http/1.1"]
        )


def default_policy(trust: Certificate | None = None) -> IPolicyForHTTPS:
    """SystemTrust with its contexts kept per host."""
    return HostnameCachingHTTPSPolicy(SystemTrust(trust), cacheSize=CACHED_CONTEXTS)


class ClientTLS(BufferingTLSTransport):
    """TLS whose ``loseConnection`` says goodbye and closes, without waiting for the peer's.

    Twisted waits for the peer's close alert for ever: a dead peer would hold the socket.  A
    close after sending our own alert is allowed (RFC 8446 section 6.1).  Bytes are delivered in
    records of 16 KiB as they were sent: joining those of one read was measured to cost as much
    as it saves.
    """

    def loseConnection(self) -> None:
        """Send what is buffered and the alert, then close."""
        super().loseConnection()
        if self._producer is None and self.transport is not None:
            self.transport.loseConnection()


class ClientTLSFactory(TLSMemoryBIOFactory):
    """Builds ClientTLS."""

    protocol = ClientTLS
