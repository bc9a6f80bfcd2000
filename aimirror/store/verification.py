"""Proof of what is stored: every blob hashed again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.logger import Logger

from aimirror.store.database import Blob
from aimirror.store.index import Index
from aimirror.store.layout import Layout
from aimirror.store.parts import DeferToThread
from aimirror.store.shelf import Shelf

#: Blobs hashed at the same time, each in a thread; more would starve the service's own threads.
PARALLEL = 2
#: Bytes read at a time; also how soon a thread notices that it shall stop.
BLOCK = 1 << 20


@define(eq=False)
class Reading:
    """How far a thread is with one blob; the thread alone writes to it."""

    bytes: int = 0


@define
class Verification:
    """What a walk over all blobs came to, so far; whoever began it may look at it meanwhile."""

    checked: int = 0
    #: Of the blobs that were checked.
    bytes: int = 0
    #: Blobs that were not what their name says; they and their entries were dropped.
    bad: int = 0
    #: Blobs that could not be read; they stay.
    unreadable: int = 0
    reading: set[Reading] = field(factory=set, eq=False, repr=False)

    @property
    def hashed(self) -> int:
        """Bytes that were read, of the blobs under way, too."""
        return self.bytes + sum(each.bytes for each in self.reading)

    def told(self) -> str:
        """What it came to, in words."""
        unread = f", {self.unreadable} could not be read" if self.unreadable else ""
        checked = f"{self.checked} file{'' if self.checked == 1 else 's'} checked"
        return f"{checked}, {self.bad} damaged dropped{unread}"


class Verifier:
    """Walks over all blobs of an open cache."""

    log = Logger()

    def __init__(
        self, layout: Layout, index: Index, shelf: Shelf, defer_to_thread: DeferToThread
    ) -> None:
        self._layout = layout
        self._index = index
        self._shelf = shelf
        self._defer_to_thread = defer_to_thread
        self._stopped = False
        self._walking = DeferredLock()

    async def stop(self) -> None:
        """End the walk that is going on, and those that wait; the cache closes."""
        self._stopped = True
        await self._walking.acquire()
        self._walking.release()

    def _has_stopped(self) -> bool:
        return self._stopped

    def walk(self, result: Verification) -> Deferred[Verification]:
        """Fires with what was found, which ``result`` tells meanwhile; one walk at a time."""
        return self._walking.run(lambda: Deferred.fromCoroutine(self._verify(result)))

    async def _verify(self, result: Verification) -> Verification:
        blobs = self._all_blobs()
        walks = [self._verify_some(blobs, result) for _ in range(PARALLEL)]
        await gatherResults([Deferred.fromCoroutine(walk) for walk in walks], consumeErrors=True)
        return result

    def _all_blobs(self) -> Iterator[Blob]:
        name = ""
        while not self._stopped and (page := self._index.blobs_after(name)):
            yield from page
            name = page[-1].sha256

    async def _verify_some(self, blobs: Iterator[Blob], result: Verification) -> None:
        for blob in blobs:
            path, reading = self._layout.blob(blob.sha256), Reading()
            result.reading.add(reading)
            try:
                computed = await self._digest(blob, path, reading)
            except OSError as error:
                self.log.error("cannot read blob {path}: {error}", path=path, error=error)
                result.unreadable += 1
                continue
            finally:
                result.reading.remove(reading)
            if self._stopped:
                return
            now = self._index.blob(blob.sha256)
            if now is None or now.mtime_ns != blob.mtime_ns:
                continue  # evicted meanwhile, and maybe stored again
            result.checked += 1
            result.bytes += blob.size
            if computed != blob.sha256:
                self.log.error("blob {path} is damaged: dropped", path=path)
                result.bad += 1
                self._shelf.remove(blob.sha256)

    async def _digest(self, blob: Blob, path: Path, reading: Reading) -> str | None:
        computed: str | None = None
        if not blob.packed:
            computed = await self._defer_to_thread(digest, path, self._has_stopped, reading)
        elif self._index.packed.read(blob.sha256) is not None:  # proved by reading it
            computed = blob.sha256
        return computed


def digest(path: Path, stopped: Callable[[], bool], reading: Reading) -> str | None:
    """The sha256 of a file, None when told to stop or when there is no file.  Blocks."""
    hasher = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(BLOCK):
                if stopped():
                    return None
                hasher.update(block)
                reading.bytes += len(block)
    except FileNotFoundError:
        return None
    return hasher.hexdigest()
