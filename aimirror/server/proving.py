"""Bodies that are passed on and not stored are checked, too, where their digest is known."""

from __future__ import annotations

from aimirror.download.proof import HOLDBACK
from aimirror.interfaces import BodyFailed
from aimirror.routing.digests import Digest, new_hash


class HeldBack:
    """Hashes a body on its way and keeps its last bytes back until its digest is right."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._hash = new_hash(digest.algorithm)
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What may be sent now that these bytes have come."""
        self._hash.update(data)
        self._held += data
        ready = max(0, len(self._held) - HOLDBACK)
        sent = bytes(self._held[:ready])
        del self._held[:ready]
        return sent

    def end(self) -> bytes:
        """The rest; raises BodyFailed when the body is not what it should be."""
        actual = self._hash.hexdigest()
        if actual != self._digest.hex:
            raise BodyFailed(f"{self._digest.algorithm} is {actual}, not {self._digest.hex}")
        return bytes(self._held)
