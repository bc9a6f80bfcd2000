"""Storing one plain stream: what a proxy rule fetches, or an upstream without ranges sends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.core.digests import Digest
from aimirror.core.download import HOLDBACK
from aimirror.core.entries import Entry
from aimirror.core.fetching import FetchResult, Reason
from aimirror.downloads.growing import GrowingBody
from aimirror.downloads.stream import FileSink, StreamWriter
from aimirror.downloads.tools import Finished, Progress, Tools, algorithms
from aimirror.interfaces import IUpstreamResponse

if TYPE_CHECKING:
    from aimirror.cache.parts import Part


def new_hash(algorithm: str) -> Any:
    """A running hash; ``blake2b-256`` is BLAKE2b with 32 bytes."""
    if algorithm == "blake2b-256":
        return hashlib.blake2b(digest_size=32)
    return hashlib.new(algorithm, usedforsecurity=False)


class PlainFill:
    """Writes a response into ``part``, hashing on the way; owns the part until ``over``.

    ``over(Finished)`` is called once.  The last block is held back until an expected digest has
    matched.
    """

    log = Logger()

    def __init__(
        self,
        tools: Tools,
        part: Part,
        response: IUpstreamResponse,
        entry: Entry,
        expected: Digest | None,
        rate_limit: Callable[[], int],
        over: Callable[[Finished], None],
    ) -> None:
        self._tools = tools
        self._part = part
        self._entry = entry
        self._expected = expected
        self._over = over
        self._hashes = {name: new_hash(name) for name in algorithms(expected)}
        self._written = 0
        self._framed = response.framed
        self.body = GrowingBody(str(part.path), response.length, self._readable, left=self._left)
        now = tools.clock.seconds()
        self.progress = Progress(entry.key, entry.rule, now, response.length)
        self._writer = StreamWriter(
            response,
            FileSink(str(part.path), self._hashes.values()),
            0,
            None,
            wrote=self._wrote,
            ended=self._ended,
            to_thread=tools.to_thread,
            clock=tools.clock,
            rate_limit=rate_limit,
        )

    def begin(self) -> None:
        """Start the flow."""
        self._writer.begin()

    def cancel(self) -> None:
        """Stop; readers are cut."""
        self._writer.cancel()

    def spans(self) -> tuple[tuple[int, int], ...]:
        """The written bytes, for status pages."""
        return ((0, self._written),) if self._written else ()

    def _readable(self, position: int) -> int:
        limit = self._written
        if self._expected is not None and not self.body.complete:
            whole = self.body.size
            limit = min(limit, (self._written if whole is None else whole) - HOLDBACK)
        return max(position, limit)

    def _wrote(self, start: int, stop: int) -> None:
        self._part.wrote(start, stop)
        self._written = self.progress.written = stop
        self.body.wake()

    def _left(self, reader: int) -> None:
        if not self.body.readers and not self._tools.finish_abandoned:
            self.cancel()

    def _ended(self, result: FetchResult) -> None:
        Deferred.fromCoroutine(self._finish(result)).addErrback(
            lambda f: self.log.failure("a download could not be ended", f)
        )

    async def _finish(self, result: FetchResult) -> None:
        try:
            finished = await self._conclude(result)
        except OSError as error:
            finished = Finished(reason=Reason.DISK, detail=error.strerror or str(error))
            self._part.discard()
        if finished.entry is None and not self.body.complete:
            self.body.fail(finished.detail or finished.reason.value)
        self._part.close()
        self._over(finished)

    async def _conclude(self, result: FetchResult) -> Finished:
        size = self.body.size
        if result.reason is Reason.DONE and size is not None and size != self._written:
            result = evolve(result, reason=Reason.SHORT)
        if result.reason is not Reason.DONE:
            self._part.discard()
            return Finished(reason=result.reason, detail=result.detail)
        digests = {name: running.hexdigest() for name, running in self._hashes.items()}
        expected = self._expected
        if expected is not None and digests[expected.algorithm] != expected.hex:
            why = f"{expected.algorithm} is {digests[expected.algorithm]}, not {expected.hex}"
            self._tools.store.quarantine(self._part, why)
            return Finished(reason=Reason.CHANGED, detail=why, mismatch=True)
        if not self._framed:
            self._part.discard()
            self.body.finish(self._written, str(self._part.path))
            return Finished(detail="the upstream did not say where the body ends")
        path = await self._tools.store.commit(self._part, digests["sha256"], self._written)
        entry = evolve(self._entry, blob=digests["sha256"], size=self._written)
        self.body.finish(self._written, str(path))
        return Finished(entry)
