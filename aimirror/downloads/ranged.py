"""The interpreter of one ranged download: carries out the machine's commands."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.core import commands as c
from aimirror.core.download import Download, Phase
from aimirror.core.entries import Entry
from aimirror.core.fetching import Egress, FetchResult, FetchTask, HashTask, Reason, Validator
from aimirror.core.headers import Headers
from aimirror.downloads.growing import GrowingBody
from aimirror.downloads.plain import new_hash
from aimirror.downloads.stream import FileSink, StreamWriter
from aimirror.downloads.tools import Finished, Progress, Tools
from aimirror.interfaces import IFetch, IUpstreamResponse

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from aimirror.cache.parts import Part

#: Bytes up to which the parent hashes a file itself: sooner than a worker could be asked.
HASHED_HERE = 1 << 20
#: Seconds, and the share of the file, between two checkpoints of the journal.
CHECKPOINT_SECONDS = 1.0
CHECKPOINT_SHARE = 50


@frozen
class Place:
    """Where pieces of one source come from: the URL after redirects and how to ask it."""

    url: str
    headers: Headers
    egress: Egress
    validator: Validator


class RangedFill:
    """Fills ``part`` as ``machine`` says; owns the part until ``over(Finished)`` was called.

    ``resolve(source)`` asks the original URL of a source again and fires with a Place or a
    FetchResult that says why not; ``whole()`` fires with a response to a request without Range,
    or with a FetchResult.
    """

    log = Logger()

    def __init__(
        self,
        tools: Tools,
        part: Part,
        machine: Download,
        entry: Entry,
        place: Place,
        *,
        resolve: Callable[[int], Deferred[Place | FetchResult]],
        whole: Callable[[], Deferred[IUpstreamResponse | FetchResult]],
        rate_limit: Callable[[], int],
        over: Callable[[Finished], None],
    ) -> None:
        self._tools = tools
        self._part = part
        self.machine = machine
        self._entry = entry
        self._places = {0: place}
        self._resolve = resolve
        self._whole = whole
        self._rate_limit = rate_limit
        self._over: Callable[[Finished], None] | None = over
        self._flights: dict[int, IFetch] = {}
        self._stream: StreamWriter | None = None
        self._drained: Deferred[None] | None = None
        self._pending: deque[c.Command] = deque()
        self._carrying_out = False
        self._wake: IDelayedCall | None = None
        self._kept_at = tools.clock.seconds()
        self._kept = machine.written.total()
        self.progress = Progress(entry.key, entry.rule, self._kept_at, machine.total)
        self.body = GrowingBody(
            str(part.path),
            machine.total,
            machine.readable,
            joined=self._joined,
            advanced=machine.advanced,
            left=self._left,
        )

    # -- events ----------------------------------------------------------------------------

    def begin(self, response: IUpstreamResponse | None, start: int, stop: int) -> None:
        """Start; ``response`` (if any) is the probe, bringing ``[start, stop)``."""
        now = self._tools.clock.seconds()
        if response is not None:
            self._stream = self._streamed(response, start, stop)
        self._do(self.machine.begin(now, (start, stop)))
        if self._stream is not None:
            self._stream.begin()

    def allowed(self, slots: int) -> None:
        """The share of connections changed."""
        self._do(self.machine.allowed(slots, self._tools.clock.seconds()))

    def add_source(self, source: int, place: Place) -> None:
        """Another upstream has the same file."""
        self._places[source] = place
        self._do(self.machine.add_source(source, self._tools.clock.seconds()))

    def expect(self, algorithm: str, digest: str) -> None:
        """The right digest became known."""
        self._do(self.machine.expect(algorithm, digest, self._tools.clock.seconds()))

    def same_version(self, found: Validator, strongly: bool = False) -> bool:
        """Whether a validator is of the version that is being fetched.

        Servers of one file rarely agree on more than a strong ETag; without one, only the first
        source (whose validators must not differ) is believed.
        """
        ours = self._places[0].validator
        if strongly:
            return bool(found.etag) and found.etag == ours.etag and not found.etag.startswith("W/")
        return ours.agrees(found)

    def cancel(self) -> None:
        """Stop and keep what is written for later; readers are cut."""
        self._do(self.machine.failed(Reason.CANCELLED, "the service stops"))

    def spans(self) -> tuple[tuple[int, int], ...]:
        """The written bytes, for status pages."""
        return self.machine.written.pairs

    def _joined(self, reader: int, position: int, stop: int | None) -> None:
        end = self.machine.total if stop is None else stop
        self._do(self.machine.joined(reader, position, end, self._tools.clock.seconds()))

    def _left(self, reader: int) -> None:
        self.machine.left(reader)
        if not self.body.readers and not self._tools.finish_abandoned:
            self._do(self.machine.failed(Reason.CANCELLED, "nobody reads it any more"))

    def _wrote(self, flight: int, start: int, stop: int) -> None:
        self._part.wrote(start, stop)
        now = self._tools.clock.seconds()
        commands = self.machine.wrote(flight, start, stop, now)
        self.progress.written = self.machine.written.total()
        self.body.wake()
        self._do(commands)
        self._checkpoint(now)

    def _ended(self, flight: int, result: FetchResult) -> None:
        self._flights.pop(flight, None)
        if flight == 0:
            self._stream = None
        if self._drained is not None and not self._flights and self._stream is None:
            drained, self._drained = self._drained, None
            drained.callback(None)
        self._do(self.machine.ended(flight, result, self._tools.clock.seconds()))

    def _checkpoint(self, now: float) -> None:
        """Let the journal follow; what it costs is bounded by time and by share of the file."""
        written = self.progress.written
        if now - self._kept_at < CHECKPOINT_SECONDS and (
            (written - self._kept) * CHECKPOINT_SHARE < self.machine.total
        ):
            return
        self._kept, self._kept_at = written, now
        self._part.checkpoint().addErrback(lambda f: self.log.failure("journal not written", f))

    # -- commands --------------------------------------------------------------------------

    def _do(self, commands: list[c.Command]) -> None:
        """Carry out in order; what is caused on the way comes after what was decided before."""
        self._pending.extend(commands)
        if self._carrying_out:
            return
        self._carrying_out = True
        try:
            while self._pending:
                self._carry_out(self._pending.popleft())
        finally:
            self._carrying_out = False

    def _carry_out(self, command: c.Command) -> None:
        match command:
            case c.Fetch():
                self._fetch(command)
            case c.Trim(id=flight, stop=stop):
                if (running := self._running(flight)) is not None:
                    running.trim(stop)
            case c.Cancel(id=flight):
                if (running := self._running(flight)) is not None:
                    running.cancel()
            case c.Hash(stop=stop):
                self._hash(stop)
            case c.Resolve(source=source):
                self._resolve(source).addCallback(lambda found: self._resolved(source, found))
            case c.FetchWhole():
                self._whole().addCallback(self._whole_came)
            case c.Wake(at=at):
                self._wake_at(at)
            case c.Complete() | c.Restart() | c.Fail():
                self._conclude(command)

    def _conclude(self, command: c.Complete | c.Restart | c.Fail) -> None:
        match command:
            case c.Complete(digests=digests):
                self._complete(dict(digests))
            case c.Restart():
                self._restarted(command)
            case c.Fail():
                self._failed(command)

    def _running(self, flight: int) -> IFetch | StreamWriter | None:
        return self._stream if flight == 0 else self._flights.get(flight)

    def _fetch(self, command: c.Fetch) -> None:
        place = self._places[command.source]
        task = FetchTask(
            id=command.id,
            url=place.url,
            headers=place.headers,
            start=command.start,
            stop=command.stop,
            total=self.machine.total,
            path=str(self._part.path),
            validator=place.validator,
            egress=place.egress,
            timeouts=self._tools.timeouts,
            rate_limit=self._rate_limit() // max(1, self.machine.slots),
        )
        flight = command.id
        fetch = self._tools.pool.fetch(task, lambda a, b: self._wrote(flight, a, b))
        self._flights[flight] = fetch
        fetch.result.addCallback(lambda result: self._ended(flight, result))
        fetch.result.addErrback(lambda f: self.log.failure("a piece ended badly", f))

    def _streamed(self, response: IUpstreamResponse, start: int, stop: int) -> StreamWriter:
        return StreamWriter(
            response,
            FileSink(str(self._part.path)),
            start,
            stop,
            wrote=lambda a, b: self._wrote(0, a, b),
            ended=lambda result: self._ended(0, result),
            to_thread=self._tools.to_thread,
            clock=self._tools.clock,
            rate_limit=lambda: self._rate_limit() // max(1, self.machine.slots),
        )

    def _whole_came(self, found: IUpstreamResponse | FetchResult) -> None:
        if isinstance(found, FetchResult):
            self._ended(0, found)
        elif self.machine.phase is not Phase.FILLING:
            found.abort()
        else:
            self._stream = self._streamed(found, 0, self.machine.total)
            self._stream.begin()

    def _resolved(self, source: int, found: Place | FetchResult) -> None:
        now = self._tools.clock.seconds()
        if isinstance(found, FetchResult):
            self._do(self.machine.unresolved(source, found, now))
        else:
            self._places[source] = found
            self._do(self.machine.resolved(source, now))

    def _hash(self, stop: int) -> None:
        digest = self.machine.digest
        names = ("sha256",) if digest is None else tuple(dict.fromkeys(("sha256", digest[0])))
        if stop == self.machine.total <= HASHED_HERE:
            data = os.pread(self._part.fd, stop, 0)
            digests = {}
            for name in names:
                running = new_hash(name)
                running.update(data)
                digests[name] = running.hexdigest()
            self._hashed(stop, digests)
            return
        task = HashTask(key=self._part.id, path=str(self._part.path), algorithms=names, stop=stop)
        hashing = self._tools.pool.hash(task)
        hashing.addCallbacks(
            lambda digests: self._hashed(stop, digests),
            lambda f: self._do(self.machine.failed(Reason.DISK, f.getErrorMessage())),
        )
        hashing.addErrback(lambda f: self.log.failure("hashing failed", f))

    def _hashed(self, stop: int, digests: dict[str, str]) -> None:
        self._do(self.machine.hashed(stop, digests, self._tools.clock.seconds()))

    def _wake_at(self, at: float) -> None:
        if self._wake is not None and self._wake.active():
            self._wake.cancel()
        delay = max(0.0, at - self._tools.clock.seconds())
        self._wake = self._tools.clock.callLater(delay, self._tick)

    def _tick(self) -> None:
        self._do(self.machine.tick(self._tools.clock.seconds()))

    # -- ends ------------------------------------------------------------------------------

    def _complete(self, digests: dict[str, str]) -> None:
        Deferred.fromCoroutine(self._commit(digests["sha256"])).addErrback(
            lambda f: self.log.failure("a download could not be ended", f)
        )

    async def _commit(self, blob: str) -> None:
        total = self.machine.total
        self.body.wake()
        if self._flights or self._stream is not None:
            # Losers of a race may still write; what is committed must not be touched any more.
            self._drained = Deferred()
            await self._drained
        try:
            path = await self._tools.store.commit(self._part, blob, total)
        except OSError as error:
            self._part.discard()
            self.body.fail("the file could not be stored")
            self._finish(Finished(reason=Reason.DISK, detail=error.strerror or str(error)))
            return
        self.body.finish(total, str(path))
        self._finish(Finished(evolve(self._entry, blob=blob, size=total)))

    def _restarted(self, command: c.Restart) -> None:
        self.body.fail(command.detail or command.reason.value)
        if command.quarantine:
            self._tools.store.quarantine(self._part, command.detail)
        else:
            self._part.discard()
        self._finish(
            Finished(reason=command.reason, detail=command.detail, mismatch=command.quarantine)
        )

    def _failed(self, command: c.Fail) -> None:
        self.body.fail(command.detail or command.reason.value)
        if command.reason in (Reason.DISK, Reason.DISK_FULL):
            self._part.discard()
        self._finish(Finished(reason=command.reason, detail=command.detail))

    def _finish(self, finished: Finished) -> None:
        if self._wake is not None and self._wake.active():
            self._wake.cancel()
        self._part.close()
        self._tools.pool.forget(self._part.id)
        if self._over is not None:
            over, self._over = self._over, None
            over(finished)
