"""Many digests by name in little memory: indexes of hundreds of thousands of files are kept."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from aimirror.routing.digests import Digest

#: Digests of one index; the largest real ones have some hundred thousand.
MOST_DIGESTS = 2_000_000
#: Bytes by which names are told apart.  Two with the same ones would only make a right file be
#: refused, and only by its own index.
_HASHED = 8


class DigestTable:
    """Made once of mappings from names to digests; a later mapping's word on a name counts.

    Of too many digests the first are kept.
    """

    def __init__(self, said: Iterable[Mapping[str, Digest]]) -> None:
        rows: dict[str, dict[int, bytes]] = {}
        count = 0
        for mapping in said:
            for name, digest in mapping.items():
                named = _hash(name)
                if len(rows) > 1 or digest.algorithm not in rows:
                    for others in rows.values():
                        others.pop(named, None)
                rows.setdefault(digest.algorithm, {})[named] = bytes.fromhex(digest.hex)
            count += len(mapping)
            if count > MOST_DIGESTS:
                break
        #: By algorithm: hashes in order, and the digests in the same order, one after the other.
        self._tables = {
            algorithm: (array("Q", hashes), b"".join(map(digests.__getitem__, hashes)))
            for algorithm, digests in rows.items()
            for hashes in [sorted(digests)]
        }

    def dump(self) -> bytes:
        """The table as bytes."""
        sizes = {name: (len(h), len(d) // len(h)) for name, (h, d) in self._tables.items() if h}
        body = b"".join(hashes.tobytes() + digests for hashes, digests in self._tables.values())
        return json.dumps(sizes).encode("ascii") + b"\n" + body

    @classmethod
    def load(cls, dumped: bytes) -> DigestTable:
        """The table that was dumped on this machine; ValueError for anything else."""
        head, _, body = dumped.partition(b"\n")
        made, at = cls(()), 0
        for name, (count, size) in json.loads(head).items():
            hashes = array("Q")
            middle = at + count * hashes.itemsize
            stop = middle + count * size
            if not (0 < count <= len(body) and 0 < size <= len(body) and stop <= len(body)):
                raise ValueError("not a table")
            hashes.frombytes(body[at:middle])
            made._tables[name] = (hashes, body[middle:stop])
            at = stop
        return made

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
    raw = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=_HASHED).digest(), "little")
