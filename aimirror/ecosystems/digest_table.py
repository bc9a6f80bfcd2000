"""Many digests by name in little memory: indexes of hundreds of thousands of files are kept."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from aimirror.routing.digests import Digest

#: Names are told apart by Python's own keyed hash of 64 bits.  Two with the same one would only
#: make a right file be refused.
_MASK = (1 << 64) - 1


class DigestTable:
    """Made once of mappings from names to digests; a later mapping's word on a name counts."""

    def __init__(self, said: Iterable[Mapping[str, Digest]]) -> None:
        rows: dict[str, dict[int, bytes]] = {}
        for mapping in said:
            for name, digest in mapping.items():
                named = _hash(name)
                if len(rows) > 1 or digest.algorithm not in rows:
                    for others in rows.values():
                        others.pop(named, None)
                rows.setdefault(digest.algorithm, {})[named] = bytes.fromhex(digest.hex)
        #: By algorithm: hashes in order, and the digests in the same order, one after the other.
        self._tables = {
            algorithm: (array("Q", hashes), b"".join(map(found.__getitem__, hashes)))
            for algorithm, found in rows.items()
            for hashes in [sorted(found)]
        }

    def get(self, name: str) -> Digest | None:
        """What a file must hash to; None when nothing is said of it."""
        named = _hash(name)
        for algorithm, (hashes, digests) in self._tables.items():
            at = bisect_left(hashes, named)
            if at < len(hashes) and hashes[at] == named:
                size = len(digests) // len(hashes)
                return Digest(algorithm, digests[at * size : (at + 1) * size].hex())
        return None

    def __len__(self) -> int:
        return sum(len(hashes) for hashes, _ in self._tables.values())


def _hash(name: str) -> int:
    return hash(name) & _MASK
