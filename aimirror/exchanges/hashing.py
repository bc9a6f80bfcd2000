"""The digests of the first bytes of a part: by a worker, or here when they are few."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from aimirror.download.tasks import HashTask
from aimirror.interfaces import IPool
from aimirror.routing.digests import new_hash

if TYPE_CHECKING:
    from aimirror.store.parts import Part

#: Bytes up to which the parent hashes a file itself: sooner than a worker could be asked.
HASHED_HERE = 1 << 20


def hashed(
    pool: IPool, part: Part, digest: tuple[str, str] | None, stop: int, total: int
) -> Deferred[dict[str, str]]:
    """SHA-256, and that of the known ``digest``, by name; raises OSError."""
    names = ("sha256",) if digest is None else tuple(dict.fromkeys(("sha256", digest[0])))
    if not stop == total <= HASHED_HERE:
        path = str(part.path)
        return pool.hash(HashTask(key=part.id, path=path, algorithms=names, stop=stop))
    data = os.pread(part.fd, stop, 0)
    digests = {}
    for name in names:
        running = new_hash(name)
        running.update(data)
        digests[name] = running.hexdigest()
    return succeed(digests)
