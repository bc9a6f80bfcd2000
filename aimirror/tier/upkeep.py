"""Walks over all that is in the store: what there is, and whether it is right."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from zope.interface import implementer

from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from aimirror.tier.keys import Keys
from aimirror.tier.names import LARGEST_ENTRY, opened
from aimirror.tier.s3 import Bucket, StoreError

#: The folders of the store.
KINDS = ("blobs", "entries", "orders")


@define
class Checked:
    """What a walk has come to."""

    right: int = 0
    bytes: int = 0
    #: Names of objects that were not what they should be, and are deleted.
    bad: tuple[str, ...] = ()


async def objects(bucket: Bucket, prefix: str) -> AsyncIterator[tuple[str, int]]:
    """The names and sizes of all objects below a prefix; raises StoreError."""
    after, more = "", True
    while more:
        names, more = await bucket.listed(prefix, after)
        for name, size in names:
            after = name
            yield name, size
        more = more and bool(names)


async def verify(bucket: Bucket, keys: Keys) -> Checked:
    """Read everything, and delete what nobody could use: damaged blobs, entries of others."""
    checked = Checked()
    for kind in KINDS:
        async for name, size in objects(bucket, f"{kind}/"):
            if await _right(bucket, keys, kind, name):
                checked.right += 1
                checked.bytes += size
            else:
                await bucket.delete(name)
                checked.bad += (name,)
    return checked


async def _right(bucket: Bucket, keys: Keys, kind: str, name: str) -> bool:
    if kind != "blobs":
        data = await bucket.get(name, LARGEST_ENTRY)
        return data is None or opened(name, data, keys) is not None
    response = await bucket.open(name)
    if response is None:
        return True
    try:
        return await _Hashed(response).done == name.rpartition("/")[2]
    except UpstreamError as error:
        raise StoreError(f"{name}: {error}") from None


@implementer(IReceiver)
class _Hashed:
    """Hashes a body; ``done`` fires with its sha256 (hex)."""

    def __init__(self, response: IUpstreamResponse) -> None:
        self._hash: Any = hashlib.sha256()
        self.done: Deferred[str] = Deferred(lambda _: response.abort())
        response.deliver(self)

    def data(self, chunk: bytes) -> None:
        """See IReceiver."""
        self._hash.update(chunk)

    def finished(self, error: UpstreamError | None) -> None:
        """See IReceiver."""
        if error is not None:
            self.done.errback(error)
        else:
            self.done.callback(self._hash.hexdigest())
