"""The digest that Alpine's index names of a package: that of a part, which names the rest.

Source: the Alpine wiki, "Apk spec".  A package is three gzip streams: a signature (not always), the
control part, the data; ``datahash`` of the second is the SHA-256 of the third.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any

#: zlib's word for one gzip stream.
_GZIP = 31
#: Bytes of an unpacked signature or control part.
MOST_CONTROL = 4 << 20
_DATA_HASH = re.compile(rb"(?:^|(?<=\0))datahash = ([0-9a-f]{64})$", re.MULTILINE)


def _sha1() -> Any:
    return hashlib.sha1(usedforsecurity=False)


class AlpinePackage:
    """The SHA-1 of a package's control part, as it is packed; fed like a hash of the whole file.

    ``hexdigest`` is "" for what is no package, and where the data is not what that part names.
    """

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._unpacked = b""
        self._sha1 = _sha1()
        self._data = hashlib.sha256()
        self._control = b""
        self._bad = False

    def update(self, piece: bytes) -> None:
        """The next bytes."""
        try:
            if not self._bad:
                self._feed(bytes(piece))
        except (ValueError, zlib.error):
            self._bad = True

    def _feed(self, piece: bytes) -> None:
        while piece and not self._control:
            self._unpacked += self._stream.decompress(piece, MOST_CONTROL)
            if len(self._unpacked) > MOST_CONTROL or self._stream.unconsumed_tail:
                raise ValueError("the control part is too large")
            rest = self._stream.unused_data
            self._sha1.update(piece[: len(piece) - len(rest)])
            piece = rest
            if self._stream.eof:
                self._end_stream()
        self._data.update(piece)

    def _end_stream(self) -> None:
        if not self._unpacked.startswith(b".SIGN."):
            self._control = self._unpacked
        self._stream, self._unpacked = zlib.decompressobj(_GZIP), b""
        if not self._control:
            self._sha1 = _sha1()

    def hexdigest(self) -> str:
        """See the class."""
        data = _DATA_HASH.search(self._control)
        if self._bad or not self._control:
            return ""
        if data is not None and data[1].decode("ascii") != self._data.hexdigest():
            return ""
        digest: str = self._sha1.hexdigest()
        return digest
