"""The bytes of a connection, given out one head at a time."""

from __future__ import annotations

from aimirror.server.head import END, MAX_HEAD, BadRequest


class HeadBuffer:
    """Collects bytes of a connection and gives them out one head of ``most`` bytes at a time."""

    def __init__(self, most: int = MAX_HEAD) -> None:
        self._most = most
        self._bytes = bytearray()
        self._scanned = 0

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        self._bytes += data

    def take(self) -> bytes | None:
        """The next whole head with its final empty line, None while it is not complete.

        Raises BadRequest when it never will be.
        """
        data = self._bytes
        while data.startswith(b"\r\n"):  # RFC 9112 section 2.2: some clients end a body so
            del data[:2]
        end = data.find(END, max(0, self._scanned - len(END)))
        if end < 0 or end > self._most:
            self._check_incomplete()
            return None
        raw = bytes(data[: end + len(END)])
        del data[: len(raw)]
        self._scanned = 0
        return raw

    def take_rest(self) -> bytes:
        """All that is held: it belongs to the body of the request whose head was taken."""
        rest = bytes(self._bytes)
        self.clear()
        return rest

    def clear(self) -> None:
        """Forget what is held."""
        self._bytes.clear()
        self._scanned = 0

    def _check_incomplete(self) -> None:
        data = self._bytes
        if len(data) > self._most:
            raise BadRequest(431, f"request head longer than {self._most} bytes")
        line_end = data.find(b"\n", self._scanned)
        if line_end == 0 or (line_end > 0 and data[line_end - 1] != 0x0D):
            raise BadRequest(400, "a line must end in CR LF")
        self._scanned = len(data)

    def __len__(self) -> int:
        return len(self._bytes)
