"""The TLS layer towards upstreams; whom it believes is for ``trust`` to say."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory

from aimirror.upstream.dialing import READ_BYTES

#: pyOpenSSL's own bindings, which are not public: without them all is done as Twisted does.
_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)
_JOINS = hasattr(_lib, "SSL_read") and _ffi is not None
#: Where the records of one read, and one begun before, are decrypted to.
_ROOM = READ_BYTES + (16 << 10)
_plaintext: Any = _ffi.new("char[]", _ROOM) if _JOINS else None


def _decrypted(connection: Any) -> bytes:
    """The plaintext of all records that are there whole; why there is no more, the next read tells.

    pyOpenSSL's ``recv`` gives one record at a time.
    """
    end = 0
    while end < _ROOM:
        count = _lib.SSL_read(connection._ssl, _plaintext + end, _ROOM - end)
        if count <= 0:
            break
        end += count
    return bytes(_ffi.buffer(_plaintext, end))


class ClientTLS(BufferingTLSTransport):
    """TLS whose ``loseConnection`` says goodbye and closes, without waiting for the peer's.

    Twisted waits for the peer's close alert for ever: a dead peer would hold the socket.  A
    close after sending our own alert is allowed (RFC 8446 section 6.1).

    Twisted delivers record by record, 16 KiB each, through all layers above; this delivers the
    records of one read together: a sixth less CPU for a whole cold download.
    """

    def _flushReceiveBIO(self) -> None:
        """Deliver what one read brought, then do as Twisted does: errors, alerts and the end."""
        if _JOINS and not self._lostTLSConnection and not self._aborted:
            data = _decrypted(self._tlsConnection)
            if data:
                ProtocolWrapper.dataReceived(self, data)
        super()._flushReceiveBIO()  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        """Send what is buffered and the alert, then close."""
        super().loseConnection()
        if self._producer is None and self.transport is not None:
            self.transport.loseConnection()


class ClientTLSFactory(TLSMemoryBIOFactory):
    """Builds ClientTLS."""

    protocol = ClientTLS
