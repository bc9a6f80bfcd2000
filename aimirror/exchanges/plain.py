"""Storing one plain stream: what a proxy rule fetches, or an upstream without ranges sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.download.proof import HOLDBACK
from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.ending import set_apart, store
from aimirror.exchanges.environment import Environment, Finished, Progress, algorithms
from aimirror.exchanges.growing import GrowingBody
from aimirror.exchanges.sinks import FileSink
from aimirror.exchanges.stream import StreamWriter
from aimirror.http import urls
from aimirror.interfaces import IUpstreamResponse
from aimirror.routing.digests import Digest, new_hash

if TYPE_CHECKING:
    from aimirror.store.parts import Part


class PlainFill:
    """Writes a response into ``part``, hashing on the way; owns the part until ``over``.

    ``over(Finished)`` is called once.  The last block is held back until an expected digest has
    matched; a ``size`` in bytes that is known beforehand must be right, too.
    Raises OSError when the part can't be opened; then nothing is owned.
    """

    log = Logger()
    #: Whether what comes is stored.
    keep = True

    def __init__(
        self,
        env: Environment,
        part: Part,
        response: IUpstreamResponse,
        entry: Entry,
        expected: Digest | None,
        rate_limit: Callable[[], int],
        over: Callable[[Finished], None],
        size: int | None = None,
    ) -> None:
        self._env = env
        self._size = size
        #: Where it comes from, with the port where that is not the usual one.
        self.host = urls.authority(response.url)
        self._part = part
        self._entry = entry
        self._expected = expected
        self._over = over
        self._hashes = {name: new_hash(name) for name in algorithms(expected)}
        self._written = 0
        self._framed = response.framed
        sink = FileSink(str(part.path), self._hashes.values())
        try:
            self.body = GrowingBody(
                str(part.path),
                response.length,
                self._readable,
                arrived=lambda position: max(position, self._written),
                left=self._left,
                clock=env.clock,
            )
        except OSError:
            sink.close()
            raise
        now = env.clock.seconds()
        self.progress = Progress(entry.key, entry.rule, now, response.length)
        self._writer = StreamWriter(
            response,
            sink,
            0,
            None,
            wrote=self._wrote,
            ended=self._ended,
            to_thread=env.to_thread,
            clock=env.clock,
            rate_limit=rate_limit,
        )

    def begin(self) -> None:
        """Start the flow."""
        self._writer.begin()

    def paced(self) -> None:
        """Its share of a rate limit changed: the stream asks for it with every chunk."""

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
        """The last reader may have left because it has all that there is."""
        going_on = self.body.size is None or self._written < self.body.size
        if going_on and not self.body.readers and not self._env.finish_abandoned:
            self.cancel()
        elif not self.body.readers:
            self._env.hosts.readers_changed(self.host)

    def _ended(self, result: FetchResult) -> None:
        Deferred.fromCoroutine(self._finish(result)).addErrback(
            lambda f: self.log.failure("the end of a download was not taken well", f)
        )

    async def _finish(self, result: FetchResult) -> None:
        """Whatever happens here, ``over`` is called: others wait for it."""
        try:
            finished = await self._conclude(result)
        except Exception as error:
            self.log.failure("a download could not be ended")
            finished = Finished(reason=Reason.DISK, detail=type(error).__name__)
        self._part.discard()  # unless it was stored
        if finished.entry is None:
            self.body.fail(finished.detail or finished.reason.value, finished.reason)
        self._part.close()
        self._over(finished)

    async def _conclude(self, result: FetchResult) -> Finished:
        size = self.body.size
        if result.reason is Reason.DONE and size is not None and size != self._written:
            result = evolve(result, reason=Reason.SHORT)
        if result.reason is not Reason.DONE:
            return Finished(reason=result.reason, detail=result.detail)
        if self._size not in (None, self._written):
            why = f"{self._written} bytes came, and the file has {self._size}"
            return set_apart(self._env, self._part, why)
        digests = {name: running.hexdigest() for name, running in self._hashes.items()}
        expected = self._expected
        if expected is not None and digests[expected.algorithm] != expected.hex:
            why = f"{expected.algorithm} is {digests[expected.algorithm]}, not {expected.hex}"
            return set_apart(self._env, self._part, why)
        if not self._framed:
            self.body.finish_unstored(self._written, self._env.clock, self._env.store.in_use)
            return Finished(detail="the upstream did not say where the body ends")
        blob = digests["sha256"]
        return await store(self._env, self._part, self.body, self._entry, blob, self._written)
