"""The bytes of a connection, given out one head at a time."""

from __future__ import annotations

from aimirror.server.head import END, MAX_HEAD, BadRequest


class HeadBuffer:
    """Collects bytes of a connection and gives them out one head of ``most`` bytes at a time."""

    def __init__(self, most: int = MAX_HEAD) -> None:
        self._most = most
        self._bytes = bytearray()
        self._scanned = 0
        #: One whole head and nothing else, as most clients send it: it is not copied.
        self._whole = b""

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._whole:
            self._bytes += self._whole
            self._whole = b""
        elif not self._bytes and data.endswith(END) and self._is_head(data):
            self._whole = data
            return
        self._bytes += data

    def _is_head(self, data: bytes) -> bool:
        length = len(data) - len(END)
        return data.find(END) == length <= self._most and not data.startswith(b"\r\n")

    def take(self) -> bytes | None:
        """The next whole head with its final empty line, None while it is not complete.

        Raises BadRequest when it never will be.
        """
        if self._whole:
            raw, self._whole = self._whole, b""
            return raw
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
        rest = self._whole or bytes(self._bytes)
        self.clear()
        return rest

    def clear(self) -> None:
        """Forget what is held."""
        self._bytes.clear()
        self._whole = b""
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
        return len(self._whole or self._bytes)
