"""The interpreter of one ranged download: carries out the machine's commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror.caching.entries import Entry
from aimirror.download import commands as c
from aimirror.download.assignment import PROBE
from aimirror.download.download import Download
from aimirror.download.life import Phase
from aimirror.download.tasks import FetchResult, Reason
from aimirror.download.yielding import give_way
from aimirror.exchanges.concluding import Conclusion, End
from aimirror.exchanges.ending import disk_reason
from aimirror.exchanges.environment import Environment, Finished, Place, Progress
from aimirror.exchanges.flights import Flights
from aimirror.exchanges.growing import GrowingBody
from aimirror.exchanges.hashing import hashed
from aimirror.exchanges.in_order import Alarm, InOrder
from aimirror.exchanges.keeping import Keeping
from aimirror.exchanges.sinks import ComparingSink, FileSink
from aimirror.exchanges.sources import Sources
from aimirror.exchanges.stream import StreamWriter
from aimirror.http import urls
from aimirror.interfaces import IUpstreamResponse

if TYPE_CHECKING:
    from aimirror.store.parts import Part

#: Bytes of a first request without an end after which it waits for a second one to be accepted, as
#: the rest would be lost then; seconds for which it waits.
LINGER_AT = 256 << 10
LINGER_FOR = 0.5


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
        self.sources = Sources(machine, place, unlike)
        self._resolve = resolve
        self._whole = whole
        self._over = over
        self.keep = keep
        self._repeats = repeats
        self._troubled = troubled
        self.flights = Flights(
            env,
            str(part.path),
            machine.total,
            self.host,
            rate_limit=rate_limit,
            wrote=self._wrote,
            ended=self._ended,
            repeats=repeats,
        )
        #: Connections that each host leaves it; what the machine was told of that last.
        self._shares: dict[str, int] = {}
        self._allowed: tuple[int, dict[int, int]] = (0, {})
        self._begun = False
        self._do = InOrder(self._carry_out, self._failed)
        self._alarm = Alarm(env.clock, self._tick)
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
        return self.sources.host(self.machine.primary)

    # -- events ----------------------------------------------------------------------------

    def begin(self, response: IUpstreamResponse, start: int, stop: int) -> None:
        """Start; ``response`` is the probe, bringing ``[start, stop)``."""
        self._begun = True
        probe = self._stream(PROBE, response, start, stop)
        self._do(self.machine.begin(self._now(), (start, stop)))
        if probe is not None:
            probe.begin()

    def allowed(self, shares: Mapping[str, int], most: int) -> None:
        """What some hosts leave it has changed; ``most`` is what it may have altogether."""
        self._shares.update(shares)
        granted = self.sources.granted(self._shares)
        slots = min(most, sum(self._shares.get(host, 0) for host in self.sources.hosts))
        if (slots, granted) == self._allowed:
            return
        self._allowed = slots, granted
        self.machine.assignment.allowance.scarce = slots < most
        if self._begun:
            self._do(self.machine.allowed(slots, self._now(), granted))
        else:
            self.machine.assignment.allow(slots, granted)

    def give_way(self, host: str, count: int) -> int:
        """End up to so many of its connections to a host; how many those are."""
        ended = give_way(self.machine.assignment, self.sources.at(host), count)
        self._do(ended)
        return len(ended)

    def flying(self, host: str) -> int:
        """Its connections to a host without those that are about to end."""
        return sum(self.machine.assignment.siblings(source) for source in self.sources.at(host))

    def add_source(self, source: int, place: Place) -> None:
        """Another upstream has the same file."""
        if self.machine.phase is Phase.FILLING:
            self.sources[source] = place
            self._do(self.machine.add_source(source, self._now()))
            self._env.hosts.changed(urls.authority(place.url))  # which gives it connections there
            self._do(self.machine.moved_in(source, self._now()))

    def cancel(self) -> None:
        """Stop and keep what is written for later; readers are cut."""
        self._do(self.machine.failed(Reason.CANCELLED, "the service stops"))

    def spans(self) -> tuple[tuple[int, int], ...]:
        """The written bytes, for status pages."""
        return self.machine.written.pairs

    def _tick(self) -> None:
        now = self._now()
        self.machine.assignment.unsent(self.flights.waiting(), now)
        self._do(self.machine.tick(now))

    def _now(self) -> float:
        return self._env.clock.seconds()

    def _joined(self, reader: int, position: int, stop: int | None) -> None:
        end = self.machine.total if stop is None else stop
        self._do(self.machine.joined(reader, position, end, self._now()))
        if self.body.readers == 1:
            self._env.hosts.readers_changed(self.host)

    def _left(self, reader: int) -> None:
        self.machine.left(reader)
        filling = self.machine.phase is Phase.FILLING
        unwanted = not self.keep or not self._env.finish_abandoned
        if filling and not self.body.readers and unwanted:
            self._do(self.machine.failed(Reason.CANCELLED, "nobody reads it any more"))
        elif not self.body.readers:
            self._env.hosts.readers_changed(self.host)

    def _wrote(self, flight: int, start: int, stop: int) -> None:
        try:
            self._part.wrote(start, stop)
        except OSError as error:
            self._do(self._failed(error))
            return
        now = self._now()
        commands = self.machine.wrote(flight, start, stop, now)
        self.progress.written = self.machine.written.total()
        self.body.wake()
        self._do(commands)
        if self.machine.phase is Phase.FILLING and self.keep:
            self._keeping.follow(self.progress.written, now)

    def _ended(self, flight: int, result: FetchResult, beside: int) -> None:
        result = self.sources.own_tags(flight, result)
        self._do(self.machine.ended(flight, result, self._now(), beside))
        if result.reason not in (Reason.DONE, Reason.CANCELLED):
            self._troubled()

    def _failed(self, error: Exception) -> Sequence[c.Command]:
        if isinstance(error, OSError):
            return self.machine.failed(disk_reason(error), error.strerror or str(error))
        return self.machine.failed(Reason.DISK, type(error).__name__)

    # -- commands --------------------------------------------------------------------------

    def _carry_out(self, command: c.Command) -> None:
        match command:
            case c.Fetch():
                self.flights.fetch(command, self.sources[command.source])
                if self.machine.assignment.unproven:
                    self.flights.linger(LINGER_AT, LINGER_FOR)
            case c.Trim(id=flight, stop=stop):
                self.flights.trim(flight, stop)
            case c.Cancel(id=flight):
                self.flights.cancel(flight)
            case c.Hash(stop=stop):
                self._hash(stop)
            case c.Resolve(source=source):
                self._resolve(source).addCallback(lambda place: self._resolved(source, place))
            case c.FetchWhole(id=flight, source=source):
                self._whole(source).addCallback(lambda answer: self._whole_came(flight, answer))
            case c.Refused() | c.Once():
                self._learn(command)
            case c.Wake(at=at):
                self._alarm.set(at)
            case c.Complete() | c.Restart() | c.Fail():
                self._end(command)

    def _learn(self, command: c.Refused | c.Once) -> None:
        """Let others know what a host bears, and what its links do."""
        if isinstance(command, c.Once):
            self._repeats(False)
        else:
            host = self.sources.host(command.source)
            self._env.hosts.refused(host, alone=command.alone)

    def paced(self) -> None:
        """The rate limit is to be divided anew."""
        self.flights.paced()

    def _stream(
        self, flight: int, response: IUpstreamResponse, start: int, stop: int
    ) -> StreamWriter | None:
        """A flight that the parent reads itself; None when the part can't be written."""

        def sink(path: str) -> FileSink:
            if flight == self.machine.whole:  # what is there already must be what it brings
                return ComparingSink(path, self.machine.written)
            return FileSink(path)

        try:
            return self.flights.stream(flight, response, start, stop, sink)
        except OSError as error:
            self._do(self._failed(error))
            return None

    def _whole_came(self, flight: int, response: IUpstreamResponse | FetchResult) -> None:
        if isinstance(response, FetchResult):
            self.flights.ended(flight, response)
        elif self.machine.phase is not Phase.FILLING:
            response.abort()
        elif (stream := self._stream(flight, response, 0, self.machine.total)) is not None:
            stream.begin()

    def _resolved(self, source: int, place: Place | FetchResult) -> None:
        if isinstance(place, FetchResult):
            beside = self._env.hosts.working(self.sources.host(source))
            self._do(self.machine.unresolved(source, place, self._now(), beside))
        else:
            self.sources[source] = place
            self._do(self.machine.resolved(source, self._now()))

    def _hash(self, stop: int) -> None:
        machine = self.machine
        hashing = hashed(self._env.pool, self._part, machine.digest, stop, machine.total)
        hashing.addCallbacks(
            lambda digests: self._do(machine.hashed(stop, digests, self._now())),
            self._not_hashed,
        )
        hashing.addErrback(lambda f: self.log.failure("hashing failed", f))

    def _not_hashed(self, failure: Failure) -> None:
        self._do(self.machine.failed(Reason.DISK, failure.getErrorMessage()))

    # -- ends ------------------------------------------------------------------------------

    def _end(self, command: End) -> None:
        self._alarm.off()
        Deferred.fromCoroutine(self._finish(command)).addErrback(
            lambda f: self.log.failure("the end of a download was not taken well", f)
        )

    async def _finish(self, command: End) -> None:
        conclusion = Conclusion(
            env=self._env,
            part=self._part,
            body=self.body,
            entry=self._entry,
            flights=self.flights,
            keep=self.keep,
            repeats=self._repeats,
        )
        self._over(await conclusion.finish(command, self.machine.total))
