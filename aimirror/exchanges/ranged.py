"""The interpreter of one ranged download: carries out the machine's commands."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.caching.entries import Entry
from aimirror.download import commands as c
from aimirror.download.assignment import PROBE
from aimirror.download.download import EXPIRED, Download
from aimirror.download.life import Phase
from aimirror.download.piece import OTHER_VALIDATOR
from aimirror.download.tasks import FetchResult, FetchTask, HashTask, Reason
from aimirror.exchanges.ending import disk_reason, set_apart, store
from aimirror.exchanges.environment import Environment, Finished, Place, Progress, shared
from aimirror.exchanges.growing import GrowingBody
from aimirror.exchanges.keeping import Keeping
from aimirror.exchanges.stream import ComparingSink, FileSink, StreamWriter
from aimirror.http import urls
from aimirror.http.validator import Validator
from aimirror.interfaces import IFetch, IUpstreamResponse
from aimirror.routing.digests import new_hash

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from aimirror.store.parts import Part

#: Bytes up to which the parent hashes a file itself: sooner than a worker could be asked.
HASHED_HERE = 1 << 20
#: Bytes of a first request without an end after which it waits for a second one to be accepted, as
#: the rest would be lost then; seconds for which it waits.
LINGER_AT = 256 << 10
LINGER_FOR = 0.5
#: Seconds for which the ends of complete pieces are awaited, so that their connections are kept.
LANDING_SECONDS = 1.0


class RangedFill:
    """Fills ``part`` as ``machine`` says; owns the part until ``over(Finished)`` was called.

    ``place`` is where the machine's primary source is.  ``resolve(source)`` asks the original URL
    of a source again and fires with a Place or a FetchResult that says why not; ``whole(source)``
    fires with a response to a request without Range, or with a FetchResult.  ``troubled()`` is
    called when a piece did not come as it should.  Raises OSError when the part can't be read;
    then nothing is owned.
    """

    log = Logger()

    def __init__(
        self,
        env: Environment,
        part: Part,
        machine: Download,
        entry: Entry,
        place: Place,
        *,
        resolve: Callable[[int], Deferred[Place | FetchResult]],
        whole: Callable[[int], Deferred[IUpstreamResponse | FetchResult]],
        rate_limit: Callable[[], int],
        over: Callable[[Finished], None],
        troubled: Callable[[], None] = lambda: None,
        keep: bool = True,
        unlike: Callable[[], None] = lambda: None,
        repeats: Callable[[bool], None] = lambda well: None,
    ) -> None:
        self._env = env
        self._part = part
        self.machine = machine
        self._entry = entry
        self._places = {machine.primary: place}
        self._resolve = resolve
        self._whole = whole
        self._rate_limit = rate_limit
        self._over = over
        self.keep = keep
        self._unlike = unlike
        self._repeats = repeats
        #: Whether a request after the first one has brought bytes.
        self._repeated = False
        #: Whether one stream brings the file, known by its date: nodes have tags of their own.
        self._by_date = False
        self._troubled = troubled
        self._flights: dict[int, IFetch | StreamWriter] = {}
        #: The host that each flight is at; the probe flies before ``begin``.
        self._at: dict[int, str] = {PROBE: urls.authority(place.url)}
        self._streams: set[int] = {PROBE}
        #: Connections that each host leaves it.
        self._shares: dict[str, int] = {}
        self._begun = False
        self._drained: Deferred[None] | None = None
        self._pending: deque[c.Command] = deque()
        self._carrying_out = False
        self._concluding = False
        self._wake: IDelayedCall | None = None
        now = env.clock.seconds()
        self._keeping = Keeping(part, machine.total, now)
        self.progress = Progress(entry.key, entry.rule, now, machine.total)
        self.body = GrowingBody(
            str(part.path),
            machine.total,
            machine.readable,
            arrived=machine.arrived,
            joined=self._joined,
            advanced=machine.advanced,
            left=self._left,
            clock=env.clock,
        )

    @property
    def host(self) -> str:
        """The host that serves most of it, with its port where that is not the usual one."""
        return urls.authority(self._places[self.machine.primary].url)

    @property
    def hosts(self) -> frozenset[str]:
        """All hosts that it draws from."""
        alive = self.machine.assignment.sources
        return frozenset(
            urls.authority(place.url) for source, place in self._places.items() if source in alive
        )

    @property
    def connections(self) -> int:
        """Flights, each on a connection of its own."""
        return len(self._at)

    def connections_at(self, host: str) -> int:
        """Those to one host."""
        return sum(at == host for at in self._at.values())

    def streams_at(self, host: str) -> int:
        """Those to one host that the service itself reads."""
        return sum(self._at.get(flight) == host for flight in self._streams)

    @property
    def left(self) -> int:
        """Bytes that are not written yet."""
        return self.machine.assignment.missing()

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self.machine.total

    # -- events ----------------------------------------------------------------------------

    def begin(self, response: IUpstreamResponse, start: int, stop: int) -> None:
        """Start; ``response`` is the probe, bringing ``[start, stop)``."""
        self._begun = True
        probe = self._stream(PROBE, response, start, stop)
        self._do(self.machine.begin(self._now(), (start, stop)))
        if probe is not None:
            if self.machine.assignment.unproven and len(self.machine.assignment.flights) > 1:
                probe.linger(start + LINGER_AT, LINGER_FOR)
            probe.begin()

    def allowed(self, shares: Mapping[str, int], most: int) -> None:
        """What some hosts leave it has changed; ``most`` is what it may have altogether."""
        self._shares.update(shares)
        granted = {
            source: self._shares.get(urls.authority(place.url), 0)
            for source, place in self._places.items()
        }
        slots = min(most, sum(self._shares.get(host, 0) for host in self.hosts))
        if self._begun:
            self._do(self.machine.allowed(slots, self._now(), granted))
        else:
            self.machine.assignment.allow(slots, granted)

    def give_way(self, host: str, count: int) -> int:
        """End up to so many of its connections to a host; how many those are."""
        sources = self._sources_at(host)
        ended = self.machine.assignment.give_way(sources, count)
        self._do(ended)
        return len(ended)

    def flying(self, host: str) -> int:
        """Its connections to a host without those that are about to end."""
        return sum(self.machine.assignment.siblings(source) for source in self._sources_at(host))

    def _sources_at(self, host: str) -> frozenset[int]:
        return frozenset(
            source for source, place in self._places.items() if urls.authority(place.url) == host
        )

    def add_source(self, source: int, place: Place) -> None:
        """Another upstream has the same file."""
        if self.machine.phase is Phase.FILLING:
            self._places[source] = place
            self._do(self.machine.add_source(source, self._now()))
            self._env.hosts.changed(urls.authority(place.url))  # which gives it connections there
            self._do(self.machine.moved_in(source, self._now()))

    def same_version(self, source: int, theirs: Validator, strongly: bool = False) -> bool:
        """Whether a validator is of the version that is being fetched.

        Servers of one file rarely agree on more than a strong ETag; without one, a source is
        compared only with what it said itself.
        """
        ours = self._places[self.machine.primary].validator
        if strongly:
            return (
                bool(theirs.etag) and theirs.etag == ours.etag and not theirs.etag.startswith("W/")
            )
        if self._by_date:
            return bool(theirs.last_modified) and theirs.last_modified == ours.last_modified
        known = self._places.get(source)
        return (ours if known is None else known.validator).agrees(theirs)

    def cancel(self) -> None:
        """Stop and keep what is written for later; readers are cut."""
        self._do(self.machine.failed(Reason.CANCELLED, "the service stops"))

    def spans(self) -> tuple[tuple[int, int], ...]:
        """The written bytes, for status pages."""
        return self.machine.written.pairs

    def _now(self) -> float:
        return self._env.clock.seconds()

    def _joined(self, reader: int, position: int, stop: int | None) -> None:
        end = self.machine.total if stop is None else stop
        self._do(self.machine.joined(reader, position, end, self._now()))

    def _left(self, reader: int) -> None:
        self.machine.left(reader)
        filling = self.machine.phase is Phase.FILLING
        unwanted = not self.keep or not self._env.finish_abandoned
        if filling and not self.body.readers and unwanted:
            self._do(self.machine.failed(Reason.CANCELLED, "nobody reads it any more"))
        elif not self.body.readers:
            self._env.hosts.deserted(self.host)

    def _wrote(self, flight: int, start: int, stop: int) -> None:
        try:
            self._part.wrote(start, stop)
        except OSError as error:
            self._disk_failed(error)
            return
        now = self._now()
        commands = self.machine.wrote(flight, start, stop, now)
        self.progress.written = self.machine.written.total()
        self.body.wake()
        self._do(commands)
        if self.machine.phase is Phase.FILLING and self.keep:
            self._keeping.follow(self.progress.written, now)

    def _ended(self, flight: int, result: FetchResult, beside: int = 0) -> None:
        self._flights.pop(flight, None)
        self._at.pop(flight, None)
        self._streams.discard(flight)
        if self._rate_limit():
            self.paced()
        if self._drained is not None and not self._flights:
            drained, self._drained = self._drained, None
            drained.callback(None)
        probe = self._flights.get(PROBE)
        if isinstance(probe, StreamWriter):
            probe.go_on()
        result = self._own_tags(flight, result)
        self._do(self.machine.ended(flight, result, self._now(), beside))
        if result.reason not in (Reason.DONE, Reason.CANCELLED):
            self._troubled()

    def _own_tags(self, flight: int, result: FetchResult) -> FetchResult:
        """What it means that a node names the same file by another ETag than the first one did.

        Where the digest is known, that decides: tags are of no account from now on.  Else one
        connection does, if size and date are the same: what it brings must be what is here.
        """
        assignment = self.machine.assignment
        running = assignment.flights.get(flight)
        if result.detail != OTHER_VALIDATOR or running is None or flight == self.machine.whole:
            return result
        source = running.source
        place = self._places[source]
        if self.machine.digest is not None:
            self._places[source] = evolve(place, validator=Validator())
            self._unlike()
            return evolve(result, reason=Reason.CANCELLED)
        if len(assignment.sources) > 1 or self._by_date:
            return result
        if not (place.validator.etag and place.validator.last_modified):
            return result
        self._by_date = True
        self._unlike()
        return evolve(result, reason=Reason.WHOLE)

    def _disk_failed(self, error: OSError) -> None:
        self._do(self.machine.failed(disk_reason(error), error.strerror or str(error)))

    # -- commands --------------------------------------------------------------------------

    def _do(self, commands: Sequence[c.Command]) -> None:
        """Carry out in order; what is caused on the way comes after what was decided before."""
        self._pending.extend(commands)
        if self._carrying_out:
            return
        self._carrying_out = True
        try:
            while self._pending:
                command = self._pending.popleft()
                try:
                    self._carry_out(command)
                except OSError as error:
                    self._disk_failed(error)
                except Exception as error:
                    self.log.failure("a download could not go on")
                    self._pending.extend(self.machine.failed(Reason.DISK, type(error).__name__))
        finally:
            self._carrying_out = False

    def _carry_out(self, command: c.Command) -> None:
        match command:
            case c.Fetch():
                self._fetch(command)
            case c.Trim(id=flight, stop=stop):
                if flight in self._flights:
                    self._flights[flight].trim(stop)
            case c.Cancel(id=flight):
                if flight in self._flights:
                    self._flights[flight].cancel()
            case c.Hash(stop=stop):
                self._hash(stop)
            case c.Resolve(source=source):
                resolving = self._resolve(source).addErrback(self._unasked)
                resolving.addCallback(lambda place: self._resolved(source, place))
            case c.FetchWhole(id=flight, source=source):
                came = self._whole(source).addErrback(self._unasked)
                came.addCallback(lambda answer: self._whole_came(flight, answer))
            case c.Refused() | c.Once():
                self._learn(command)
            case c.Wake(at=at):
                self._wake_at(at)
            case c.Complete() | c.Restart() | c.Fail():
                self._end(command)

    def _learn(self, command: c.Refused | c.Once) -> None:
        """Let others know what a host bears, and what its links do."""
        if isinstance(command, c.Once):
            self._repeats(False)
        else:
            host = urls.authority(self._places[command.source].url)
            self._env.hosts.refused(host, alone=command.alone)

    def _unasked(self, failure: Failure) -> FetchResult:
        self.log.failure("an upstream could not be asked", failure)
        return FetchResult(Reason.PROTOCOL, 0, detail=type(failure.value).__name__)

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
            timeouts=self._env.timeouts,
            rate_limit=self._rate(),
        )
        flight = command.id
        host = self._at[flight] = urls.authority(place.url)
        hosts = self._env.hosts
        permit = hosts.take(host)

        def wrote(start: int, stop: int) -> None:
            permit.works()
            if not self._repeated:
                self._repeated = True
                self._repeats(True)
            self._wrote(flight, start, stop)

        fetch = self._env.pool.fetch(task, wrote)
        self._flights[flight] = fetch
        if task.rate_limit:
            self.paced()

        def over(result: FetchResult) -> None:
            permit.release()
            self._ended(flight, result, hosts.working(host))

        fetch.result.addCallback(over)
        fetch.result.addErrback(lambda f: self.log.failure("a piece ended badly", f))

    def _rate(self) -> int:
        """Bytes per second of each connection, 0 without limit."""
        return shared(self._rate_limit(), len(self._at))

    def paced(self) -> None:
        """The rate limit is to be divided anew."""
        rate = self._rate()
        for flight in self._flights.values():
            if not isinstance(flight, StreamWriter):
                flight.limit(rate)

    def _stream(
        self, flight: int, response: IUpstreamResponse, start: int, stop: int
    ) -> StreamWriter | None:
        """A flight that the parent reads itself; None when the part can't be written."""
        try:
            if self._by_date:
                sink: FileSink = ComparingSink(str(self._part.path), self.machine.written)
            else:
                sink = FileSink(str(self._part.path))
        except OSError as error:
            response.abort()
            self._at.pop(flight, None)
            self._streams.discard(flight)
            self._disk_failed(error)
            return None
        self._at[flight] = urls.authority(response.url)
        self._streams.add(flight)
        stream = self._flights[flight] = StreamWriter(
            response,
            sink,
            start,
            stop,
            wrote=lambda a, b: self._wrote(flight, a, b),
            ended=lambda result: self._ended(flight, result),
            to_thread=self._env.to_thread,
            clock=self._env.clock,
            rate_limit=self._rate,
        )
        return stream

    def _whole_came(self, flight: int, response: IUpstreamResponse | FetchResult) -> None:
        if isinstance(response, FetchResult):
            self._ended(flight, response)
        elif self.machine.phase is not Phase.FILLING:
            response.abort()
        elif (stream := self._stream(flight, response, 0, self.machine.total)) is not None:
            stream.begin()

    def _resolved(self, source: int, place: Place | FetchResult) -> None:
        if isinstance(place, FetchResult):
            beside = self._env.hosts.working(urls.authority(self._places[source].url))
            self._do(self.machine.unresolved(source, place, self._now(), beside))
        else:
            self._places[source] = place
            self._do(self.machine.resolved(source, self._now()))

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
        hashing = self._env.pool.hash(task)
        hashing.addCallbacks(lambda digests: self._hashed(stop, digests), self._not_hashed)
        hashing.addErrback(lambda f: self.log.failure("hashing failed", f))

    def _hashed(self, stop: int, digests: dict[str, str]) -> None:
        self._do(self.machine.hashed(stop, digests, self._now()))

    def _not_hashed(self, failure: Failure) -> None:
        self._do(self.machine.failed(Reason.DISK, failure.getErrorMessage()))

    def _wake_at(self, at: float) -> None:
        """At the latest then: however much happens meanwhile, connections are looked at."""
        if self._wake is not None and self._wake.active():
            if self._wake.getTime() <= at:
                return
            self._wake.cancel()
        if not self._concluding:
            self._wake = self._env.clock.callLater(max(0.0, at - self._now()), self._tick)

    def _tick(self) -> None:
        self._do(self.machine.tick(self._now()))

    # -- ends ------------------------------------------------------------------------------

    def _end(self, command: c.Complete | c.Restart | c.Fail) -> None:
        self._concluding = True
        if self._wake is not None and self._wake.active():
            self._wake.cancel()
        Deferred.fromCoroutine(self._finish(command)).addErrback(
            lambda f: self.log.failure("the end of a download was not taken well", f)
        )

    async def _finish(self, command: c.Complete | c.Restart | c.Fail) -> None:
        """Whatever happens here, ``over`` is called: others wait for it."""
        try:
            finished = await self._conclude(command)
        except Exception as error:
            self.log.failure("a download could not be ended")
            finished = Finished(reason=Reason.DISK, detail=type(error).__name__)
            self._part.discard()
            self.body.fail("the file could not be stored", Reason.DISK)
        self._env.pool.forget(self._part.id)
        closing = self._part.close()
        if finished.entry is None:
            await closing  # who comes next finds the part, to go on with it
        self._over(finished)

    async def _conclude(self, command: c.Complete | c.Restart | c.Fail) -> Finished:
        match command:
            case c.Complete(digests=digests):
                return await self._complete(dict(digests)["sha256"])
            case c.Restart(reason=reason, detail=detail, quarantine=quarantine):
                self.body.fail(detail or reason.value, reason)
                if quarantine and self.keep:
                    return set_apart(self._env, self._part, detail)
                self._part.discard()
                return Finished(reason=reason, detail=detail)
            case c.Fail(reason=reason, detail=detail):
                self.body.fail(detail or reason.value, reason)
                if reason is Reason.STATUS and command.status in EXPIRED and not self._repeated:
                    self._repeats(False)
                if reason in (Reason.DISK, Reason.DISK_FULL):
                    self._part.discard()
                await self._landed()
                if not self.keep:
                    self._part.discard()
                return Finished(reason=reason, detail=detail)

    async def _complete(self, blob: str) -> Finished:
        self.body.wake()
        # Losers of a race may still write; what is committed must not be touched any more.
        await self._landed()
        if not self.keep:
            env = self._env
            self.body.finish_unstored(self.machine.total, env.clock, env.store.in_use)
            self._part.discard()
            return Finished()
        return await store(self._env, self._part, self.body, self._entry, blob, self.machine.total)

    async def _landed(self) -> None:
        """Wait until no flight writes any more; ends that do not come soon are not waited for."""
        if self._flights:
            self._drained = Deferred()
            late = self._env.clock.callLater(LANDING_SECONDS, self._cut)
            await self._drained
            if late.active():
                late.cancel()

    def _cut(self) -> None:
        for flight in tuple(self._flights.values()):
            flight.cancel()
