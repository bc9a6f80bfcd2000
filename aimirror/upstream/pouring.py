"""Bodies read straight from the socket into one buffer, past the layers that read their header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection as Stream

from aimirror.upstream import tls
from aimirror.upstream.incoming import Incoming

#: Bytes of the buffer that all connections share, each for the time of one read.  What is written
#: from it in one call takes large pages of the disk's cache: 0.24 CPU s/GB for both, against 0.38
#: to 0.8 where each read makes a new object of 256 KiB.
ROOM = 1 << 20
_buffer = memoryview(bytearray(ROOM))


class Pouring:
    """Hands all that ``incoming`` still waits for, but the last byte, to ``take``.

    ``take`` must not keep what it gets.  The last byte, and whatever is behind it, goes the usual
    way, by ``rest``: who reads there sees that the body is over and whether too much came.
    """

    @classmethod
    def at(cls, transport: Any, **fields: Any) -> Pouring | None:
        """Where the socket is right below, or below one layer of TLS; None elsewhere."""
        layer = transport if isinstance(transport, tls.ClientTLS) and tls.JOINS else None
        stream = transport if layer is None else layer.transport
        return cls(stream, layer, **fields) if isinstance(stream, Stream) else None

    def __init__(
        self,
        stream: Any,
        layer: tls.ClientTLS | None,
        *,
        incoming: Incoming,
        take: Callable[[memoryview], None],
        rest: Callable[[bytes], None],
    ) -> None:
        self._stream = stream
        self._layer = layer
        self._incoming = incoming
        self._take, self._rest = take, rest
        self._over = False
        self._reading = stream.doRead = self._read if layer is None else self._read_tls

    def end(self) -> None:
        """Read as usual again; idempotent."""
        if not self._over:
            self._over = True
            if self._stream.__dict__.get("doRead") == self._reading:  # an aborted one has its own
                del self._stream.doRead

    def _read(self) -> Exception | None:
        """As ``twisted.internet.tcp.Connection.doRead``."""
        try:
            count = self._stream.socket.recv_into(_buffer)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return CONNECTION_LOST
        if not count:
            return CONNECTION_DONE
        self._pour(count)
        return None

    def _read_tls(self) -> Exception | None:
        """The same, of what is decrypted; alerts, errors and the end are as the layer sees them."""
        assert self._layer is not None
        count, lost = self._layer.fill(self._stream.socket, _buffer)
        if count:
            self._pour(count)
        self._layer.go_on()
        return lost

    def _pour(self, count: int) -> None:
        left = self._incoming.left
        assert left is not None
        poured = min(count, left - 1)
        if poured:
            self._incoming.left = left - poured
            self._take(_buffer[:poured])
        if count > poured and not self._over:
            self.end()
            self._rest(bytes(_buffer[poured:count]))
